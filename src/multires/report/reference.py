"""Sentences on the reference curves of a pretrained encoder that is not one of the paper's models."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from multires.report.names import layer_name
from multires.report.sentences import ACOUSTIC_NAMES

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
    rows = _layers(table)
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


_RISES = {"mel": False, "phone": True, "word": True}
"""Known direction of a trained encoder's score with depth, by view: true where it rises."""


def order(stage: str, table: pd.DataFrame) -> str:
    """Sentence on whether the known order of trained encoders holds: sound falls with depth, phones and words rise.

    Parameters
    ----------
    stage, table
        As for `reference`.
    """
    rows = _layers(table)
    held, exceptions, broken = [], [], []
    for measure, view, window, _ in _SCORES[stage]:
        chosen = rows[rows["measure"].eq(measure) & rows["view"].eq(view)]
        if window is not None:
            chosen = chosen[chosen["window"].eq(window)]
        if view not in _RISES or len(chosen) < 2:
            continue
        by_depth = chosen.sort_values("layer_index").to_dict("records")
        sign = 1 if _RISES[view] else -1
        contrary = [
            _place(after)
            for before, after in pairwise(by_depth)
            if sign * (float(after["value"]) - float(before["value"])) <= 0
        ]
        name, end = "sound" if view == "mel" else f"{view}s", "above" if _RISES[view] else "below"
        if sign * (float(by_depth[-1]["value"]) - float(by_depth[0]["value"])) <= 0:
            broken.append(f"for {name} it does not end {end} where it began")
        elif contrary:
            exceptions.append(f"for {name} it ends {end} where it began, with steps back at {' and '.join(contrary)}")
        else:
            held.append(f"for {name} it {'rises' if _RISES[view] else 'falls'} at every layer")
    if not held + exceptions + broken:
        return "This table has no score whose order is known."
    verdict = "does not hold" if broken else "holds with exceptions" if exceptions else "holds"
    return (
        "The order known of trained encoders, in which the score falls with depth for sound and rises for phones and words, "
        f"{verdict} here: {'; '.join(held + exceptions + broken)}."
    )


def _layers(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the encoder's layers: neither acoustic features nor weighted sums."""
    return table[table["layer_index"].notna() & ~table["layer"].isin(list(ACOUSTIC_NAMES))]


def _place(row: dict[str, object]) -> str:
    return layer_name(row["layer"], row["layer_index"])
