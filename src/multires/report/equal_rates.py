"""Sentences on the comparison at equal frame rates, and why its measures disagree where they do."""

from __future__ import annotations

import pandas as pd

from multires.report.figures.resolution import MEASURE_TITLES
from multires.results import why_empty

EQUAL = "grid of 40 ms"
"""The matching that decides."""

CONTRASTS = {
    "downsampling, with the loss": "With the auxiliary loss", "downsampling, without the loss": "Without it"
}  # fmt: skip

_NO_PAIR = "This run has no two trained models that differ in downsampling alone."

_MORE, _LESS, _OPEN = "more", "less", "open"


def low_resolution(table: pd.DataFrame) -> str:
    """Verdict of each measure on the low-resolution block, what unequal frame rates would have shown, and disagreements.

    Markdown, a paragraph and a list for each pair of models.

    Parameters
    ----------
    table
        Of `multires.analysis.effects.block_effects`.
    """
    if table.empty:
        return "" if why_empty(table) else _NO_PAIR
    middle = table[table["block"].eq("middle")]
    words = middle[middle["view"].eq("word")]
    parts = []
    for contrast, name in CONTRASTS.items():
        rows = words[words["contrast"].eq(contrast)]
        equal = _by_measure(rows, EQUAL)
        if equal.empty:
            continue
        verdicts = {str(measure): _verdict(row) for measure, row in equal.iterrows()}
        counts = {kind: sum(found == kind for found in verdicts.values()) for kind in (_MORE, _LESS, _OPEN)}
        parts.append(
            f"**{name}**, at equal frame rates, the low-resolution block says more about words than the same block at full "
            f"resolution by {counts[_MORE]} of {len(verdicts)} measures, less by {counts[_LESS]}, and {counts[_OPEN]} "
            f"leave it open.\n\n{_list(equal, verdicts)}"
        )
        parts.append(_without(rows, verdicts))
        parts.append(_why(middle[middle["contrast"].eq(contrast)], verdicts))
    if not parts:
        return _NO_PAIR
    control = _by_measure(words[words["contrast"].eq("downsampling, untrained")], EQUAL)
    if not control.empty:
        parts.append(f"**Untrained models** show what the architectures alone do.\n\n{_list(control, {})}")
    return "\n\n".join(part for part in parts if part)


def _by_measure(rows: pd.DataFrame, matching: str) -> pd.DataFrame:
    found = rows[rows["matching"].eq(matching)].set_index("measure")
    return found.loc[[measure for measure in MEASURE_TITLES if measure in found.index]]


def _list(rows: pd.DataFrame, verdicts: dict[str, str]) -> str:
    """Each measure with its difference, and its verdict where there is one."""
    lines = []
    for measure, row in rows.iterrows():
        verdict = f": {_SAID[verdicts[str(measure)]]}" if str(measure) in verdicts else ""
        lines.append(
            f"- {MEASURE_TITLES[str(measure)]} {row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]{verdict}"
        )
    return "\n".join(lines)


def _verdict(row: pd.Series) -> str:
    if row["low"] > 0:
        return _MORE
    return _LESS if row["high"] < 0 else _OPEN


def _without(rows: pd.DataFrame, verdicts: dict[str, str]) -> str:
    """Measures whose conclusion at unequal frame rates is another one."""
    native = _by_measure(rows, "native")
    other = [
        f"{MEASURE_TITLES[measure]} ({_SAID[_verdict(row)]}, {row['value']:+.3f})"
        for measure, row in ((str(measure), row) for measure, row in native.iterrows())
        if measure in verdicts and _verdict(row) != verdicts[measure]
    ]
    if not other:
        return "Read natively, at 40 and 20 ms, every measure gives the same conclusion."
    return f"Read natively, at 40 and 20 ms, the conclusion would have been another one for {', '.join(other)}."


_SAID = {_MORE: "more about words", _LESS: "less about words", _OPEN: "open"}


def _why(middle: pd.DataFrame, verdicts: dict[str, str]) -> str:
    """Disagreements, and what the checks say about their cause: scale of directions, and order of frames."""
    if len(set(verdicts.values())) < 2:
        return "The measures agree."
    strong = {_MORE, _LESS} <= set(verdicts.values())
    text = f"The measures {'contradict each other' if strong else 'do not all decide'}."
    checks = []
    for measure in ("adjusted mi", "abx accuracy"):
        whitened = _by_measure(middle[middle["view"].eq("word, whitened")], EQUAL)
        pooled = _by_measure(middle[middle["view"].eq("word, mean of the word")], EQUAL)
        if measure in whitened.index:
            row = whitened.loc[measure]
            checks.append(f"with all directions scaled alike, {_check(measure, row, verdicts)}")
        if measure == "abx accuracy" and measure in pooled.index:
            checks.append(f"with one vector for each word, {_check(measure, pooled.loc[measure], verdicts)}")
    if not checks:
        return text
    lines = "\n".join(f"- {check[:1].upper()}{check[1:]}" for check in checks)
    return (
        f"{text} CCA and the probe read any linear combination of dimensions, however small its variance. MI and ABX depend "
        "on distances, in which the directions of large variance count most, and ABX also on the order of frames. "
        f"These checks tell whether this is the reason:\n\n{lines}"
    )


def _check(measure: str, row: pd.Series, verdicts: dict[str, str]) -> str:
    found = _verdict(row)
    change = "as before" if found == verdicts.get(measure) else "no longer as before"
    return (
        f"{MEASURE_TITLES[measure]} differs by {row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]: "
        f"{_SAID[found]}, {change}"
    )
