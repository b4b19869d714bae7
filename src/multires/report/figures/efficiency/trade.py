"""Scores of the controlled experiment against the cost of their architecture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from multires.report.figures.efficiency.labels import machine_name, records, size_name
from multires.report.figures.empty import nothing
from multires.report.figures.layers import condition_markers
from multires.report.figures.style import BASELINE, condition_color, new_figure

_RIGHT = {"mono": True, "multi": False}
"""Architectures whose names are placed to the right of their points; other names are placed above the intervals.

HuBERT costs a little less than the control, and MR-HuBERT less still.
"""


def traded(trade: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Score against cost, one point a condition with both its intervals, one panel a corpus.

    Parameters
    ----------
    trade
        What `multires.report.costs.trade` gives; where it is empty the figure says that there is no experiment.
    table
        Of efficiency, for the machine.
    """
    if trade.empty:
        return nothing("", "no table of the controlled experiment is at hand")
    corpora = list(dict.fromkeys(trade["corpus"]))
    figure, axes = new_figure(1, len(corpora), height=4.6, sharey=False)
    markers = condition_markers(list(dict.fromkeys(trade["condition"])))
    for axis, corpus in zip(axes.flat, corpora, strict=True):
        part = trade[trade["corpus"] == corpus].sort_values("condition")
        seeds = f"{part['n'].min()} seed{'s' if part['n'].min() != 1 else ''}"
        # Conditions of one architecture cost the same: they are drawn side by side.
        nudge = 0.008 * (part["cost"].max() - part["cost"].min() + 0.05)
        for row in records(part):
            shape, filled = markers[row["condition"]]
            color = condition_color(row["condition"])
            side = 0.0 if row["condition"] == "hubert" else nudge * (1 if row["condition"].endswith("+aux") else -1)
            reach = np.nan_to_num([[row["value"] - row["low"]], [row["high"] - row["value"]]])
            wide = np.clip([[row["cost"] - row["cost_low"]], [row["cost_high"] - row["cost"]]], 0, None)
            axis.errorbar(
                row["cost"] + side, row["value"], yerr=reach, xerr=wide, fmt=shape, color=color, capsize=3, markersize=8,
                markerfacecolor=color if filled else "white",
            )  # fmt: skip
            at, place, align = (row["cost"] + side, row["value"] + reach[1, 0]), (0, 5), "center"
            shape_name = row["condition"].removesuffix("+aux")
            if shape_name in _RIGHT:
                right = _RIGHT[shape_name]
                pair = part[part["condition"].str.removesuffix("+aux") == shape_name]
                above = row["condition"] == pair.loc[pair["value"].idxmax(), "condition"]
                at, align = (row["cost"] + side, row["value"]), "left" if right else "right"
                place = (8 if right else -8, 8 if above else -12)
            axis.annotate(
                row["condition"], at, xytext=place, textcoords="offset points", ha=align, color=color, fontsize=10.5
            )
        axis.axvline(1, color=BASELINE, linewidth=0.8, linestyle=":")
        axis.set_title(f"{corpus}, {seeds}" if corpus else seeds)
        axis.margins(x=0.45, y=0.15)
        axis.set_xlabel("cost over the control's")
    axes.flat[0].set_ylabel(str(trade["score"].iloc[0]))
    first = trade.iloc[0]
    how = machine_name(table) if first["basis"] == "measured" else f"counted, {size_name(table)} size"
    figure.suptitle(f"Cost on {first['duration']:g} s: {how}", fontsize=11, x=0.01, ha="left")
    return figure
