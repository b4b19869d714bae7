"""Curves of a pretrained encoder that is not one of the paper's models, named as what it is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from multires.report.figures.empty import nothing
from multires.report.figures.layers import layer_curves
from multires.report.names import speech_name
from multires.report.sentences import ACOUSTIC_NAMES


@dataclass(frozen=True)
class _Panels:
    """Panels of one stage: measure and name of the axis, and the views with their titles."""

    measure: str
    shuffled: str
    ylabel: str
    titles: dict[str, str]


_STAGES = {
    "cca": _Panels("pwcca", "shuffled", "CCA", {"mel": "log-mel", "phone": "phones", "word": "words"}),
    "mutual_information": _Panels(
        "adjusted", "adjusted shuffled", "MI, adjusted", {"phone": "phones", "word": "words"}
    ),
    "probes": _Panels("accuracy", "shuffled accuracy", "probe accuracy", {"phone": "phones", "word": "words"}),
}

_MEL_WINDOW = 20.0
"""Milliseconds in which layers and log-mel are compared."""


def reference_curves(stage: str, table: pd.DataFrame, *, corpus: str) -> Figure:
    """One measure of the reference encoder by depth, for sound where there is such a view, for phones and for words.

    Parameters
    ----------
    stage
        ``cca``, ``mutual_information`` or ``probes``.
    table
        What `multires.analysis.reference.reference_table` returns for it.
    corpus
        Named in the title, before the model's own name: the column condition.
    """
    panels = _STAGES[stage]
    rows = table[table["view"].isin(list(panels.titles))]
    if "window" in rows:
        rows = rows[rows["view"].ne("mel") | rows["window"].eq(_MEL_WINDOW)]
    acoustic = rows["model"].isin(list(ACOUSTIC_NAMES))
    scores, shuffled = rows["measure"].eq(panels.measure), rows["measure"].eq(panels.shuffled)
    known = rows[acoustic & scores]
    references = {
        ACOUSTIC_NAMES[str(model)]: dict(zip(part["view"], part["value"], strict=True))
        for model, part in known.groupby("model")
    }
    layers = rows[~acoustic & scores & rows["layer_index"].notna()]  # without weighted sums
    if layers.empty:
        return nothing(speech_name(corpus))
    name = str(layers["condition"].iloc[0])
    return layer_curves(
        layers, panels="view", ylabel=panels.ylabel, title=f"{speech_name(corpus)}; reference: {name}",
        panel_titles=panels.titles, baselines=rows[~acoustic & shuffled], references=references, columns=len(panels.titles),
    )  # fmt: skip
