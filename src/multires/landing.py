"""What the book's first page shows of a run: the verdict table and one figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from multires.errors import MultiresError


def verdict_markdown(summary: pd.DataFrame, heading: str, *, linked: bool = True) -> str:
    """The verdicts as a Markdown table.

    Parameters
    ----------
    summary
        What `multires.claims.summary` gives.
    heading
        Names the corpus and models that the verdicts hold for.
    linked
        Whether each row ends in a link to its chapter, from the root of the book.
    """
    lines = [f"**{heading}**", "", "| The paper's claim | This run | Evidence |", "|---|---|---|"]
    for row in summary.itertuples():
        link = f" [More](/notebooks/{row.chapter})" if linked else ""
        lines.append(f"| {row.title} | **{row.verdict}** | {row.sentence}{link} |")
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
