"""Operations and time of each part of a model, stacked in one bar for each configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from multires.report.figures.efficiency.labels import NOT_COUNTED, display_name, machine_name, size_name, write_reason
from multires.report.figures.empty import nothing, of_rows
from multires.report.figures.style import new_figure

PART_COLORS = {
    "waveform encoder": "#4D4D4D",
    "projection": "#8C8C8C",
    "positional convolution": "#B3B3B3",
    "attention": "#6A51A3",
    "attention, linear": "#6A51A3",
    "attention, quadratic": "#9E9AC8",
    "feed-forward": "#C49A00",
    "samplers": "#CC79A7",
    "norms, activations and the rest": "#DCDCDC",
}
"""By part; none of them is a resolution's color."""


@of_rows
def macs_by_part(table: pd.DataFrame, *, models: Sequence[str] | None = None) -> Figure:
    """Counted multiply-accumulates of every configuration, stacked by part."""
    rows = table[(table["measure"] == "macs") & (table["duration"] == 10.0)]
    names = list(models or _named(table))
    rows = rows[rows["model"].isin(names)]
    if rows.empty:
        return nothing("", NOT_COUNTED)
    wide = rows.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).fillna(0) / 1e9
    wide = wide.loc[names]
    figure, axes = new_figure(1, 1, height=0.36 * len(names) + 1.9)
    axis = axes.flat[0]
    _stack(axis, wide, [f"{total:.1f}" for total in wide.sum(axis=1)])
    seconds = rows["duration"].iloc[0]
    axis.set_xlabel(f"billion multiply-accumulates for {seconds:g} s of speech")
    axis.set_title(f"Counted, {size_name(table)} size", loc="left")
    _part_legend(figure, wide.columns)
    return figure


@of_rows
def time_by_part(table: pd.DataFrame) -> Figure:
    """Measured share of time of each part, next to its counted share of operations."""
    timed = table[(table["measure"] == "part_seconds") & table["value"].notna()].copy()
    if timed.empty:
        return _empty(table, "part_seconds")
    seconds = float(timed["duration"].iloc[0])
    counted = table[(table["measure"] == "macs") & (table["duration"] == seconds)]
    names = [name for name in dict.fromkeys(timed["model"]) if name in set(counted["model"])]
    if not names:
        return nothing("", NOT_COUNTED)
    measured = timed.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).loc[names]
    counted = counted[counted["model"].isin(names)].copy()
    counted["part"] = counted["part"].replace({"attention, linear": "attention", "attention, quadratic": "attention"})
    counts = counted.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).loc[names]
    shares = []
    for kind, frame in (("time", measured), ("counted", counts)):
        share = 100 * frame.div(frame.sum(axis=1), axis=0)
        shares.append(share.set_axis([f"{display_name(name)}, {kind}" for name in names], axis=0))
    both = pd.concat(shares).fillna(0)
    both = both.loc[[f"{display_name(name)}, {kind}" for name in names for kind in ("time", "counted")]]
    both = both[[part for part in PART_COLORS if part in both]]
    figure, axes = new_figure(1, 1, height=0.42 * len(both) + 2.1)
    axis = axes.flat[0]
    _stack(axis, both, None)
    axis.set_xlabel(f"share of {seconds:g} s of speech, %")
    figure.suptitle(machine_name(table), fontsize=11)
    axis.set_xlim(0, 100)
    intervals = timed.groupby(["model", "part"], sort=False)[["value", "low", "high"]].sum().reset_index()
    totals = intervals.groupby("model")["value"].sum()
    for position, label in enumerate(both.index):
        name = names[position // 2]
        if not label.endswith("time"):
            continue
        encoder = intervals[(intervals["model"] == name) & (intervals["part"] == "waveform encoder")]
        for row in encoder.to_dict("records"):
            value, low, high = (100 * float(row[column]) / totals[name] for column in ("value", "low", "high"))
            axis.errorbar(
                value, position, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color="black", capsize=3
            )
    _part_legend(figure, both.columns)
    return figure


def _empty(table: pd.DataFrame, measure: str) -> Figure:
    figure, axes = new_figure(1, 1, height=2.0)
    write_reason(axes.flat[0], table, measure)
    axes.flat[0].set_axis_off()
    return figure


def _stack(axis: Axes, wide: pd.DataFrame, totals: list[str] | None) -> None:
    left = np.zeros(len(wide))
    positions = np.arange(len(wide))
    for part in [part for part in PART_COLORS if part in wide]:
        values = wide[part].to_numpy(float)
        axis.barh(positions, values, left=left, color=PART_COLORS[part], height=0.74, edgecolor="white", linewidth=0.5)
        left += values
    for position, total in zip(positions, totals or [], strict=False):
        axis.annotate(total, (left[position], position), xytext=(4, 0), textcoords="offset points", va="center")
    axis.set_yticks(positions, [display_name(str(name)) for name in wide.index])
    axis.invert_yaxis()
    axis.grid(False, axis="y")


def _part_legend(figure: Figure, parts: pd.Index) -> None:
    """Parts recur in every bar, so one key below serves them all."""
    handles = [Patch(color=PART_COLORS[part], label=part) for part in PART_COLORS if part in parts]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=10.5)


def _named(table: pd.DataFrame) -> list[str]:
    """Every configuration but the sweep over layers."""
    names = dict.fromkeys(table.loc[table["measure"] == "macs", "model"])
    return [str(name) for name in names if not str(name).endswith(" low")]
