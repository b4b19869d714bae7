"""Sentences on the reference curves of a pretrained encoder that is not one of the paper's models."""

from __future__ import annotations

import pandas as pd

from multires.report.names import layer_name

_SCORES = {
    "cca": (("pwcca", "mel", 20.0, "CCA with log-mel"), ("pwcca", "phone", None, "with phones"),
            ("pwcca", "word", None, "with words")),
    "mutual_information": (("adjusted", "phone", None, "Adjusted mutual information with phones"),
                           ("adjusted", "word", None, "with words")),
    "probes": (("accuracy", "phone", None, "Probe accuracy for phones"), ("accuracy", "word", None, "for words"),
               ("accuracy", "speaker", None, "for speakers")),
}  # fmt: skip
"""Scores of each stage: measure, view, window in milliseconds, and their words."""


def reference(stage: str, table: pd.DataFrame) -> str:
    """The course of a stage's scores by depth: the first, the highest and the last layer of each.

    Parameters
    ----------
    stage
        ``cca``, ``mutual_information`` or ``probes``.
    table
        What `multires.analysis.reference.reference_table` returns for it.
    """
    rows = table[table["layer_index"].notna()]
    label = str(rows["condition"].iloc[0])
    parts = []
    for measure, view, window, words in _SCORES[stage]:
        chosen = rows[rows["measure"].eq(measure) & rows["view"].eq(view)]
        if window is not None:
            chosen = chosen[chosen["window"].eq(window)]
        if chosen.empty:
            continue
        by_depth = chosen.sort_values("layer_index").to_dict("records")
        first, last = by_depth[0], by_depth[-1]
        highest = max(by_depth, key=lambda row: float(row["value"]))
        course = f"{words} goes from {first['value']:.2f} ({_place(first)}) to {last['value']:.2f} ({_place(last)})"
        if highest not in (first, last):
            course += f", with its highest value, {highest['value']:.2f}, at {_place(highest)}"
        parts.append(course)
    return f"{label}: {'; '.join(parts)}."


def _place(row: dict[str, object]) -> str:
    return layer_name(row["layer"], row["layer_index"])
