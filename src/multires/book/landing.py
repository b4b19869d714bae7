"""The verdicts, the picture of the experiment and the figure of the book's first page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from multires.book.design import design_html
from multires.errors import MultiresError
from multires.experiment.tables import ExperimentTables
from multires.report.answer import answer, leading
from multires.report.escape import for_markdown, for_terminal
from multires.report.names import capitalized, pair_name, speech_name
from multires.report.sentences import claim_1, claim_2, verdict_of
from multires.report.verdicts import CLAIMS, CONTRADICTS, NEITHER, NOTHING, OPEN, SUPPORTS, UNTESTED, summary

VERDICTS = {
    SUPPORTS: "Supported",
    CONTRADICTS: "Contradicted",
    NEITHER: "Neither switch dominates",
    OPEN: "Left open",
    NOTHING: "Nothing to attribute at this scale",
    UNTESTED: "Not tested",
}
"""Verdicts as the cards name them."""


def landing_markdown(
    judged: pd.DataFrame, experiments: Sequence[ExperimentTables], sensitivity: pd.DataFrame | None = None
) -> str:
    """The first page's answer: a paragraph, the picture of the experiment, and the claims as cards.

    Parameters
    ----------
    judged
        What `multires.book.evidence.claims` gives.
    experiments
        All of them.
    sensitivity
        Runs of the leading experiment with other targets, where there are any.
    """
    main = leading(experiments)
    picture = [] if main is None else [design_html(main)]
    return "\n\n".join([answer(experiments, judged, sensitivity), *picture, cards(judged, experiments)]) + "\n"


def cards(judged: pd.DataFrame, experiments: Sequence[ExperimentTables]) -> str:
    """The three claims: verdict first, then what was found, the effect with its interval, and a link.

    The first two take the verdict of the experiment that leads; the verdicts of others are named below it.
    """
    found = summary(judged)
    main = leading(experiments)
    parts = ["::::{grid} 1 1 3 3", ":gutter: 2", ":class-container: claims", ""]
    for claim, title in CLAIMS.items():
        rows = found[found["claim"] == claim]
        if claim < 3 and main is not None:
            rows = rows[rows["source"] == main.title]
        row = next(rows.itertuples(), None)
        if row is None:
            continue
        parts += [
            ":::{grid-item-card}",
            f":link: /notebooks/{row.chapter}",
            ":link-type: doc",
            f":class-card: claim {_kind(str(row.verdict))}",
            "",
            f"**{VERDICTS.get(str(row.verdict), capitalized(str(row.verdict)))}**",
            "",
            f"*Claim {claim}: {for_markdown(title)}*",
            "",
            _finding(claim, judged, main),
            "",
            _effect(row, for_markdown),
            *_others(claim, experiments, main),
            ":::",
        ]
    return "\n".join([*parts, "::::"])


def _kind(verdict: str) -> str:
    """The style class of a verdict."""
    return {SUPPORTS: "claim-supported", CONTRADICTS: "claim-contradicted"}.get(verdict, "claim-open")


def _finding(claim: int, judged: pd.DataFrame, main: ExperimentTables | None) -> str:
    """One sentence on a claim."""
    if claim < 3 and main is not None:
        clause = claim_1(main, numbers=False) if claim == 1 else claim_2(main)
        return f"On {for_markdown(speech_name(main.corpus))}, {for_markdown(clause)}."
    rows = judged[judged["claim"].eq(claim) & judged["primary"].astype(bool)]
    if claim == 3 and len(rows):
        return _COSTS.get(str(rows["conclusion"].iloc[0]), _COSTS[OPEN])
    return for_markdown(next((text for text in rows["sentence"] if text), ""))


_COSTS = {
    SUPPORTS: "A model that downsamples takes less time and fewer operations than the same model at 20 ms throughout.",
    CONTRADICTS: "A model that downsamples is not cheaper than the same model at 20 ms throughout.",
    OPEN: "Whether a model that downsamples is cheaper than the same model at 20 ms throughout is left open.",
}
"""The sentence on the third claim."""


def _others(claim: int, experiments: Sequence[ExperimentTables], main: ExperimentTables | None) -> list[str]:
    others = [each for each in experiments if each is not main] if claim < 3 else []
    if not others:
        return []
    verdicts = (f"{for_markdown(capitalized(speech_name(each.corpus)))}: {verdict_of(each, claim)}" for each in others)
    return ["", "; ".join(verdicts)]


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
    name, colon, rest = str(row.evidence).partition(": ")
    return f"{escape(pair_name(name) + colon + rest)}: {effect}"


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
