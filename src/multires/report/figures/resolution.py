"""Figures of the comparison at equal frame rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from multires.report.figures.empty import nothing, of_rows
from multires.report.figures.layers import layer_curves
from multires.report.figures.style import BASELINE, INK, RESOLUTION_COLORS, heading, new_figure

MEASURE_TITLES = {
    "cca": "CCA", "adjusted mi": "MI, adjusted", "probe accuracy": "probe accuracy", "abx accuracy": "ABX accuracy"
}  # fmt: skip
"""Display names of the measures."""

_SHUFFLED = " (shuffled)"

MATCHINGS = ("native", "decimated to 40 ms", "averaged to 40 ms", "grid of 40 ms", "grid of 80 ms")
"""Matchings in the order of rows, the first one at unequal frame rates."""

_LOOKS = {
    "downsampling, with the loss": ("with the auxiliary loss", RESOLUTION_COLORS[0.04], "D", True),
    "downsampling, without the loss": ("without it", RESOLUTION_COLORS[0.04], "D", False),
    "downsampling, untrained": ("untrained (control)", BASELINE, "s", False),
    "loss, with downsampling": ("loss at 40 ms", INK, "o", True),
    "loss, without downsampling": ("loss at 20 ms", INK, "o", False),
}


@of_rows
def low_resolution(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """The low-resolution block less the same block at full resolution, by four measures, at every matching.

    Parameters
    ----------
    table
        Of `multires.analysis.effects.block_effects`.
    corpus, models
        For the title.
    """
    rows = table[
        table["view"].eq("word")
        & table["block"].eq("middle")
        & table["contrast"].astype(str).str.startswith("downsampling")
    ]
    figure = _forest(rows, "matching", MATCHINGS, corpus, models)
    axis = figure.axes[0]
    if len(rows):
        axis.get_yticklabels()[0].set_color(BASELINE)
    return figure


@of_rows
def block_effects(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Effects of downsampling and of the loss on word information in each block, on a common grid of 40 ms."""
    rows = table[table["view"].eq("word") & table["matching"].eq("grid of 40 ms")]
    blocks = [block for block in ("encoder.0", "middle", "decoder.0") if block in set(rows["block"])]
    return _forest(rows, "block", blocks, corpus, models)


@of_rows
def resolution_by_layer(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Each layer's scores for words by depth, natively and on a common grid, for the four measures.

    The gray band on the common grid is the range of scores with shuffled labels.
    """
    single = table[table["view"].eq("word") & table["matching"].isin(["native", "grid of 40 ms"])]
    acoustic = single["model"].isin(["mel", "mfcc"])
    titles = {
        f"{measure}, {matching}": f"{name}, {matching}"
        for measure, name in MEASURE_TITLES.items()
        for matching in ("native", "grid of 40 ms")
    }
    rows = single[~acoustic & single["measure"].isin(list(MEASURE_TITLES))]
    rows = rows.assign(panel=rows["measure"] + ", " + rows["matching"])
    known = single[acoustic].assign(panel=single["measure"] + ", " + single["matching"])
    references: dict[str, Mapping[str, float]] = {
        name: dict(zip(part["panel"], part["value"], strict=True))
        for name, part in (("log-mel", known[known["model"] == "mel"]), ("MFCC", known[known["model"] == "mfcc"]))
    }
    unrelated = single[~acoustic & single["measure"].str.endswith(_SHUFFLED)]
    unrelated = unrelated.assign(panel=unrelated["measure"].str.removesuffix(_SHUFFLED) + ", " + unrelated["matching"])
    return layer_curves(
        rows, panels="panel", ylabel="score for words", title=f"{corpus}; {models}", panel_titles=titles,
        references=references, baselines=unrelated if len(unrelated) else None,
    )  # fmt: skip


def _forest(rows: pd.DataFrame, by: str, order: Sequence[str], corpus: str, models: str) -> Figure:
    """A panel for each measure, a row for each value of a column, a marker for each contrast."""
    kinds = [kind for kind in _LOOKS if kind in set(rows["contrast"])]
    if not kinds:
        return nothing(
            "; ".join(part for part in (corpus, models) if part),
            "this run has no two models that differ in downsampling alone: see the parameter models",
        )
    figure, axes = new_figure(2, 2, height=1.0 + 1.05 * len(order), sharey=True)
    for axis, (measure, title) in zip(axes.flat, MEASURE_TITLES.items(), strict=True):
        for place, kind in enumerate(kinds):
            part = rows[rows["contrast"].eq(kind) & rows["measure"].eq(measure)].set_index(by)
            aside = 0.6 * (place / max(len(kinds) - 1, 1) - 0.5) if len(kinds) > 1 else 0.0
            _points(axis, part, order, kind, aside)
        axis.axvline(0, color=BASELINE, linewidth=1, zorder=1)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.set_title(title)
        axis.set_ylim(len(order) - 0.5, -0.5)
    axes[0, 0].set_yticks(range(len(order)), list(order))
    for axis in axes[1]:
        axis.set_xlabel("difference")
    handles = [
        Line2D([], [], marker=marker, color=color, markerfacecolor=color if filled else "white", linestyle="", label=name)
        for name, color, marker, filled in (_LOOKS[kind] for kind in kinds)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize="small")
    heading(figure, corpus, models)
    return figure


def _points(axis: Axes, part: pd.DataFrame, order: Sequence[str], kind: str, aside: float) -> None:
    _, color, marker, filled = _LOOKS[kind]
    for height, name in enumerate(order):
        if name not in part.index:
            continue
        row = part.loc[name]
        value, low, high = (float(row[column]) for column in ("value", "low", "high"))
        spread = [[max(value - low, 0)], [max(high - value, 0)]] if np.isfinite(low) else None
        axis.errorbar(
            value, height + aside, xerr=spread, fmt=marker, color=color, capsize=2, elinewidth=1.2, markersize=5,
            markerfacecolor=color if filled else "white", alpha=0.55 if name == "native" else 1.0,
        )  # fmt: skip
