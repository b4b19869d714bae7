"""What the book's first page shows of a run: the verdict table and one figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from multires.errors import MultiresError


def verdict_markdown(summary: pd.DataFrame, heading: str) -> str:
    """The verdicts as a Markdown table.

    Parameters
    ----------
    summary
        What `multires.claims.summary` gives.
    heading
        Names the corpus and models that the verdicts hold for.
    """
    lines = [f"**{heading}**", "", "| The paper's claim | This run | Evidence |", "|---|---|---|"]
    for row in summary.itertuples():
        lines.append(f"| {row.title} | **{row.verdict}** | {row.sentence} [Chapter](/notebooks/{row.chapter}) |")
    return "\n".join(lines) + "\n"


def write_landing(folder: Path, markdown: str, figure: Figure, alt: str) -> None:
    """Leave verdicts.md, headline.png and headline_alt.txt in a folder, where the builder of the book finds them.

    Raises
    ------
    MultiresError
        Where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "verdicts.md").write_text(markdown, encoding="utf-8")
        figure.savefig(folder / "headline.png", dpi=200)
        (folder / "headline_alt.txt").write_text(alt, encoding="utf-8")
    except OSError as error:
        raise MultiresError(f"cannot write {folder}: {error.strerror or error}; choose another workspace") from error
