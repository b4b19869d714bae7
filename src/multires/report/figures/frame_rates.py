"""Figure of phone error rates with repeated frames and on a common grid."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from multires.report.figures.empty import nothing, of_rows
from multires.report.figures.style import BASELINE, INK, heading, new_figure
from multires.report.names import condition_name

_TITLES = {"repeated": "frames repeated to 20 ms", "grid": "all layers on a 40 ms grid"}
_EDITS = {"insertions": "#6A51A3", "deletions": BASELINE, "substitutions": INK}


@of_rows
def frame_rates(effects: pd.DataFrame, *, corpus: str = "") -> Figure:
    """Insertions, deletions and substitutions of the control and the downsampling model: a panel for each manner.

    Parameters
    ----------
    effects
        What `multires.experiment.frame_rates.frame_rate_effects` returns.
    corpus
        Named in the title.
    """
    effects = effects[effects["edit"].isin(list(_EDITS))]
    effects = effects[effects.groupby(["trained", "manner"])["edit"].transform("nunique") == len(_EDITS)]
    if effects.empty:
        return nothing(corpus, f"the table lacks some of {', '.join(_EDITS)}")
    kinds = list(dict.fromkeys(effects["trained"]))
    manners = [manner for manner in _TITLES if manner in set(effects["manner"])]
    bars = [(known, name) for known in kinds for name in ("mono", "multi")]
    figure, axes = new_figure(1, len(manners), height=1.8 + 0.42 * len(bars), sharex=True, sharey=True)
    for axis, manner in zip(axes.flat, manners, strict=True):
        part = effects[effects["manner"] == manner]
        for place, (known, name) in enumerate(bars):
            rates = part[part["trained"] == known].set_index("edit")[name]
            if rates.empty:
                continue
            left = 0.0
            for edit, color in _EDITS.items():
                axis.barh(place, rates[edit], left=left, height=0.62, color=color)
                left += rates[edit]
            axis.annotate(f"{left:.2f}", (left, place), xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize="small")  # fmt: skip
        axis.set_title(_TITLES[manner], loc="left")
        axis.set_xlabel("edits per reference phone")
        axis.margins(x=0.12)
        axis.grid(False, axis="y")
    labels = [condition_name(name if known else f"untrained {name}") for known, name in bars]
    axes.flat[0].set_yticks(range(len(bars)), labels)
    axes.flat[0].set_ylim(len(bars) - 0.5, -0.5)
    handles = [Patch(color=color, label=edit) for edit, color in _EDITS.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize="small")
    heading(figure, corpus, "mean over initial values of untrained models, one seed of trained ones")
    return figure
