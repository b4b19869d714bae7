"""The effects of the controlled experiment on its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from multires.report.figures.empty import nothing
from multires.report.figures.style import BASELINE, INK, heading, new_figure
from multires.report.names import seed_count, speech_name

FACTORS = ("auxiliary loss", "downsampling", "interaction")
"""The effects of the 2 x 2 design, in the order in which they are drawn."""

_EFFECT_STYLES = {
    "auxiliary loss": ("o", INK, True),
    "downsampling": ("D", "#6A51A3", False),
    "interaction": ("x", BASELINE, True),
}
"""Marker, color and filling by effect: apart by shape alone, and no resolution's color."""

_SPARE_STYLES = (("^", INK, False), ("v", "#6A51A3", True), ("P", BASELINE, True))

_VIEWS = {"mel": "log-mel", "conv": "waveform encoder", "part_of_speech": "part of speech", "layer": "reference layer"}

_ASCENDING = ("error rate",)
"""Scores of which less is better."""


def factorial(
    effects: pd.DataFrame, *, corpus: str = "", models: str = "", contrasts: Sequence[str] = FACTORS
) -> Figure:
    """Main effects and interaction on every score, with their intervals; corpora side by side on one scale.

    Parameters
    ----------
    effects
        Columns score, effect, value, low, high and n, as `multires.experiment.analysis.effect_rows` gives them. A column corpus, where
        there is one, separates the panels.
    corpus
        Names the speech where the table has no column corpus; otherwise stands in the title.
    models
        Named in the title.
    contrasts
        Which effects to draw, in this order.
    """
    rows = effects[effects["effect"].isin(list(contrasts))]
    if "corpus" not in rows:
        rows = rows.assign(corpus=corpus)
    corpora = list(dict.fromkeys(rows["corpus"]))
    scores = list(dict.fromkeys(rows["score"]))
    if not scores:
        return nothing(
            speech_name(corpus), "there is no effect to show: an effect needs a seed with all its conditions"
        )
    height = 1.7 + (0.16 * len(contrasts) + 0.12) * len(scores)
    figure, axes = new_figure(1, len(corpora), height=height, sharex=True, sharey=True)
    styles = _styles(contrasts)
    places = {score: float(place) for place, score in enumerate(scores)}
    step = 0.72 / len(contrasts)
    for number, name in enumerate(corpora):
        axis, part = axes.flat[number], rows[rows["corpus"] == name]
        for score, interest in _interests(part).items():
            axis.fill_betweenx([places[score] - 0.45, places[score] + 0.45], -interest, interest, color=BASELINE, alpha=0.2,
                               linewidth=0, zorder=0)  # fmt: skip
        axis.axvline(0, color=INK, linewidth=1)
        for row in part.itertuples():
            marker, color, filled = styles[row.effect]
            y = places[row.score] + step * (list(contrasts).index(row.effect) - (len(contrasts) - 1) / 2)
            spread = np.clip([[row.value - row.low], [row.high - row.value]], 0, None)
            axis.errorbar(row.value, y, xerr=np.nan_to_num(spread), fmt=marker, color=color, capsize=2.5,
                          markersize=6, elinewidth=1.4, markerfacecolor=color if filled else "white")  # fmt: skip
        seeds = sorted({int(n) for n in part["n"]})
        axis.set_title(f"{speech_name(name)}, {seed_count(seeds)}", loc="left")
        axis.set_xlabel("change of the score")
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.grid(False, axis="y")
        for place in range(1, len(scores)):
            axis.axhline(place - 0.5, color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.flat[0].set_yticks(list(places.values()), [_score_name(score) for score in places], fontsize="small")
    axes.flat[0].set_ylim(len(scores) - 0.4, -0.6)
    handles = [
        Line2D([], [], marker=marker, color=color, markerfacecolor=color if filled else "white", linewidth=1.4,
               label=effect)
        for effect, (marker, color, filled) in styles.items()
    ]  # fmt: skip
    handles.append(
        Line2D([], [], color=BASELINE, alpha=0.25, linewidth=8, label="below the smallest effect of interest")
    )
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    heading(figure, speech_name(corpus) if corpora != [corpus] else "", models)
    return figure


def _interests(part: pd.DataFrame) -> dict[str, float]:
    """The smallest effect of interest of each score that has one."""
    if "interest" not in part:
        return {}
    known = part[np.isfinite(part["interest"].astype(float))]
    return {str(score): float(value) for score, value in known.groupby("score")["interest"].first().items()}


def _styles(contrasts: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    spare = iter(_SPARE_STYLES * (1 + len(contrasts) // len(_SPARE_STYLES)))
    return {effect: _EFFECT_STYLES.get(effect) or next(spare) for effect in contrasts}


def _score_name(score: str) -> str:
    """In two lines, the second for how it is read off the layers; says where less is better."""
    name, _, how = score.partition(", ")
    view, _, rest = name.partition(" ")
    name = f"{_VIEWS.get(view, view)} {rest}".strip()
    lines = [name, how] if how else [name]
    if any(each in name for each in _ASCENDING):
        lines[-1] += " (less is better)"
    return "\n".join(lines)
