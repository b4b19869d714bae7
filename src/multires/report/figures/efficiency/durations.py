"""Measured time by duration of the speech, and its ratio to the control."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from multires.report.figures.efficiency.labels import display_name, machine_name, write_reason
from multires.report.figures.empty import of_rows
from multires.report.figures.style import BASELINE, RESOLUTION_COLORS, label_at_end, new_figure

_STYLES = {
    "hubert": (BASELINE, "-", "o"),
    "mono": (RESOLUTION_COLORS[0.02], "-", "s"),
    "multi": (RESOLUTION_COLORS[0.04], "-", "D"),
}


@of_rows
def latency(table: pd.DataFrame) -> Figure:
    """Time against duration with its intervals and the fitted curves; below, the ratio to the control."""
    figure, axes = new_figure(2, 1, height=6.8, sharex=True, height_ratios=(3, 2))
    _latency_panel(axes.flat[0], table)
    _ratio_panel(axes.flat[1], table)
    return figure


def _latency_panel(axis: Axes, table: pd.DataFrame) -> None:
    rows = _single(table, "latency")
    fits = table[(table["measure"] == "latency_fit") & table["value"].notna()]
    ends = []
    for name, (color, line, marker) in _STYLES.items():
        part = rows[(rows["model"] == name) & rows["value"].notna()].sort_values("duration")
        fit = fits[fits["model"] == name].sort_values("duration")
        if len(fit):
            axis.plot(fit["duration"], fit["value"], line, color=color, linewidth=1.2)
            _band(axis, fit, color)
        if len(part):
            axis.errorbar(
                part["duration"], part["value"], yerr=_spread(part), fmt=marker, color=color, capsize=3, markersize=5
            )
            ends.append((float(part["value"].iloc[-1]), float(part["duration"].iloc[-1]), name, color))
    if not ends:
        write_reason(axis, table, "latency")
    for rank, (value, seconds, name, color) in enumerate(sorted(ends)):
        label_at_end(axis, seconds, value, display_name(name), color, offset=14.0 * (rank - (len(ends) - 1) / 2))
    axis.set_ylabel("seconds of computation")
    axis.set_title(machine_name(table), loc="left", fontsize=11, x=-0.1)
    axis.set_ylim(bottom=0)


def _ratio_panel(axis: Axes, table: pd.DataFrame) -> None:
    rows = _single(table, "ratio")
    rows = rows[rows["view"] == "mono"]
    null = _single(table, "null_ratio").dropna(subset=["value"]).sort_values("duration")
    if len(null):
        _band(axis, null, BASELINE)
    axis.axhline(1, color=RESOLUTION_COLORS[0.02], linewidth=1.2)
    timed = sorted(set(rows["duration"].astype(float)))
    if not timed:
        write_reason(axis, table, "ratio")
        return
    drawn = False
    for name in ("hubert", "multi"):
        color, _, marker = _STYLES[name]
        part = rows[(rows["model"] == name) & rows["value"].notna()].sort_values("duration")
        counted = table[
            (table["measure"] == "macs_ratio") & (table["view"] == "mono") & (table["model"] == name)
        ].sort_values("duration")
        counted = counted[counted["duration"].between(timed[0], timed[-1])]
        axis.plot(counted["duration"], counted["value"], "--", color=color, linewidth=1.2)
        for last in counted.tail(1).to_dict("records"):
            label_at_end(axis, float(last["duration"]), float(last["value"]), f"{display_name(name)}, counted", color)
        if len(part):
            drawn = True
            axis.errorbar(
                part["duration"], part["value"], yerr=_spread(part), fmt=marker, color=color, capsize=3, markersize=5
            )
    if not drawn:
        write_reason(axis, table, "ratio")
    axis.set_ylabel("ratio to the control")
    axis.set_xlabel("seconds of speech")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(timed))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(timed, [f"{seconds:g}" for seconds in timed])


def _band(axis: Axes, part: pd.DataFrame, color: str) -> None:
    duration, low, high = (part[column].to_numpy(float) for column in ("duration", "low", "high"))
    axis.fill_between(duration, low, high, color=color, alpha=0.18, linewidth=0)


def _single(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Rows of one measure for single utterances, of the models that every setting measures."""
    rows = table[(table["measure"] == measure) & table["model"].isin(list(_STYLES))]
    return rows[rows["batch"] == rows["batch"].min()]


def _spread(part: pd.DataFrame) -> np.ndarray:
    return np.stack([part["value"] - part["low"], part["high"] - part["value"]]).astype(float)
