"""The verdict table and the figure of the book's first page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from multires.errors import MultiresError
from multires.report.escape import for_markdown, for_terminal


def verdict_markdown(summary: pd.DataFrame, heading: str, *, linked: bool = True) -> str:
    """The verdicts as a Markdown table: for each claim a row a source of evidence.

    Parameters
    ----------
    summary
        What `multires.report.verdicts.summary` gives.
    heading
        Names the corpus and models of this run.
    linked
        Whether each row ends in a link to its chapter, from the root of the book.
    """
    lines = [
        f"**{for_markdown(heading)}**", "",
        "| The paper's claim | Evidence from | Effect, with 95 % interval | Verdict |", "|---|---|---|---|",
    ]  # fmt: skip
    for _, part in summary.groupby("claim", sort=True):
        title = str(part.iloc[0]["title"])
        for row in part.itertuples():
            link = f" [More](/notebooks/{row.chapter})" if linked else ""
            effect = _effect(row, for_markdown)
            lines.append(f"| {for_markdown(title)} | {for_markdown(row.source)} | {effect} | **{row.verdict}**{link} |")
            title = ""
    return "\n".join(lines) + "\n"


def verdict_lines(summary: pd.DataFrame) -> str:
    """The same for a terminal: each claim, and below it a line a source with verdict and effect."""
    lines = []
    for _, part in summary.groupby("claim", sort=True):
        lines += ["", for_terminal(part.iloc[0]["title"])]
        source, verdict = part["source"].str.len().max(), part["verdict"].str.len().max()
        lines += [
            f"  {row.source:<{source}}  {row.verdict:<{verdict}}  {_effect(row, for_terminal)}"
            for row in part.itertuples()
        ]
    return "\n".join(lines[1:])


def _effect(row: Any, escape: Callable[[object], str]) -> str:
    if pd.isna(row.value):
        return escape(row.sentence)
    effect = f"{row.value:.2f}" if row.claim == 3 else f"{row.value:+.3f}"
    if pd.notna(row.low):
        effect += f" [{row.low:.2f}, {row.high:.2f}]" if row.claim == 3 else f" [{row.low:+.3f}, {row.high:+.3f}]"
    return f"{escape(row.evidence)}: {effect}"


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
        with (folder / "headline.png").open("wb") as file:
            figure.savefig(file, dpi=200, format="png")
        (folder / "headline_alt.txt").write_text(alt, encoding="utf-8")
    except OSError as error:
        raise MultiresError(f"cannot write {folder}: {error.strerror or error}; choose another workspace") from error
