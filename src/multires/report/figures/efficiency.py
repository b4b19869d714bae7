"""Figures of the chapter on efficiency: what is counted, what is measured, and what explains the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from multires.report.figures.layers import condition_markers
from multires.report.figures.style import BASELINE, RESOLUTION_COLOURS, condition_colour, label_at_end, new_figure

PART_COLOURS = {
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
"""By part; none of them is a resolution's colour."""

_STYLES = {
    "hubert": (BASELINE, "-", "o"),
    "mono": (RESOLUTION_COLOURS[0.02], "-", "s"),
    "multi": (RESOLUTION_COLOURS[0.04], "-", "D"),
}
_NAMES = {"hubert": "HuBERT", "mono": "20 ms control", "multi": "MR-HuBERT", "multi3": "three resolutions"}
FACTORS = (2, 4, 8)
"""Downsampling factors of the what-ifs."""

_RIGHT = {"mono": True, "multi": False}
"""Architectures whose names are placed to the right of their points; other names are placed above the intervals.

HuBERT costs a little less than the control, and MR-HuBERT less still.
"""

_WITHHELD = "not shown: {reason}"


def display_name(model: str) -> str:
    """Display name of a configuration."""
    return _NAMES.get(model, model)


def macs_by_part(table: pd.DataFrame, *, models: Sequence[str] | None = None) -> Figure:
    """Counted multiply-accumulates of every configuration, stacked by part."""
    rows = table[(table["measure"] == "macs") & (table["duration"] == 10.0)]
    names = list(models or _named(table))
    rows = rows[rows["model"].isin(names)]
    wide = rows.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).fillna(0) / 1e9
    wide = wide.loc[names]
    figure, axes = new_figure(1, 1, height=0.36 * len(names) + 1.9)
    axis = axes.flat[0]
    _stack(axis, wide, [f"{total:.1f}" for total in wide.sum(axis=1)])
    seconds = rows["duration"].iloc[0]
    axis.set_xlabel(f"billion multiply-accumulates for {seconds:g} s of speech")
    axis.set_title(f"Counted, {_size(table)} size", loc="left")
    _part_legend(figure, wide.columns)
    return figure


def latency(table: pd.DataFrame) -> Figure:
    """Time against duration with its intervals and the fitted curves; below, the ratio to the control."""
    figure, axes = new_figure(2, 1, height=6.8, sharex=True, height_ratios=(3, 2))
    _latency_panel(axes.flat[0], table)
    _ratio_panel(axes.flat[1], table)
    return figure


def savings(table: pd.DataFrame) -> Figure:
    """Counted saving against the number of layers at the low resolution, one line a downsampling factor."""
    rows = table[
        (table["measure"] == "macs_ratio")
        & (table["view"] == "mono")
        & (table["duration"] == 10.0)
        & table["model"].astype(str).str.contains(" low", regex=False)
    ].sort_values("low_layers")
    figure, axes = new_figure(1, 1, height=4.4)
    axis = axes.flat[0]
    for factor in FACTORS:
        part = rows[rows["factor"] == factor]
        colour = _factor_colour(factor)
        saved = 100 * (1 - part["value"].to_numpy(float))
        layers = part["low_layers"].to_numpy(float)
        axis.plot(layers, saved, marker="o", markersize=4, color=colour)
        label_at_end(axis, layers[-1], saved[-1], f"÷{factor}: {20 * factor} ms", colour)
    measured = table[
        (table["measure"] == "ratio") & (table["view"] == "mono") & (table["batch"] == 1) & table["value"].notna()
    ]
    timed = measured[measured["model"].astype(str).str.startswith("downsample")]
    for row in _records(timed):
        spread = [[100 * (row["high"] - row["value"])], [100 * (row["value"] - row["low"])]]
        axis.errorbar(
            row["low_layers"], 100 * (1 - row["value"]), yerr=spread, fmt="D", mfc="white", capsize=3,
            color=_factor_colour(int(row["factor"])),
        )  # fmt: skip
    published = _records(
        table[
            (table["model"] == "multi")
            & (table["measure"] == "macs_ratio")
            & (table["view"] == "mono")
            & (table["duration"] == 10.0)
        ]
    )[0]
    axis.annotate(
        "MR-HuBERT", (published["low_layers"], 100 * (1 - published["value"])), xytext=(0, -34),
        textcoords="offset points", ha="center", arrowprops={"arrowstyle": "-", "color": "#222222"}, fontsize=11,
    )  # fmt: skip
    axis.axhline(0, color=BASELINE, linewidth=1)
    total = int(rows["layers_total"].iloc[0])
    axis.set_xlabel(f"layers at the low resolution, of {total}")
    axis.set_ylabel("multiply-accumulates saved, %")
    axis.set_title(f"Counted against the control, 10 s, {_size(table)} size", loc="left")
    axis.margins(x=0.16)
    return figure


def time_by_part(table: pd.DataFrame) -> Figure:
    """Measured share of time of each part, next to its counted share of operations."""
    timed = table[(table["measure"] == "part_seconds") & table["value"].notna()].copy()
    if timed.empty:
        return _empty(table, "part_seconds")
    seconds = float(timed["duration"].iloc[0])
    names = list(dict.fromkeys(timed["model"]))
    measured = timed.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).loc[names]
    counted = table[(table["measure"] == "macs") & table["model"].isin(names) & (table["duration"] == seconds)].copy()
    counted["part"] = counted["part"].replace({"attention, linear": "attention", "attention, quadratic": "attention"})
    counts = counted.pivot_table(index="model", columns="part", values="value", aggfunc="sum", sort=False).loc[names]
    shares = []
    for kind, frame in (("time", measured), ("counted", counts)):
        share = 100 * frame.div(frame.sum(axis=1), axis=0)
        shares.append(share.set_axis([f"{display_name(name)}, {kind}" for name in names], axis=0))
    both = pd.concat(shares).fillna(0)
    both = both.loc[[f"{display_name(name)}, {kind}" for name in names for kind in ("time", "counted")]]
    both = both[[part for part in PART_COLOURS if part in both]]
    figure, axes = new_figure(1, 1, height=0.42 * len(both) + 2.1)
    axis = axes.flat[0]
    _stack(axis, both, None)
    axis.set_xlabel(f"share of {seconds:g} s of speech, %")
    figure.suptitle(_machine(table), fontsize=11)
    axis.set_xlim(0, 100)
    intervals = timed.groupby(["model", "part"], sort=False)[["value", "low", "high"]].sum().reset_index()
    totals = intervals.groupby("model")["value"].sum()
    for position, label in enumerate(both.index):
        name = names[position // 2]
        if not label.endswith("time"):
            continue
        row = intervals[(intervals["model"] == name) & (intervals["part"] == "waveform encoder")].iloc[0]
        value, low, high = (100 * float(row[column]) / totals[name] for column in ("value", "low", "high"))
        axis.errorbar(value, position, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color="black", capsize=3)
    _part_legend(figure, both.columns)
    return figure


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
        figure, axes = new_figure(1, 1, height=1.6)
        axes.flat[0].set_axis_off()
        axes.flat[0].text(0.5, 0.5, "no table of the controlled experiment is at hand", ha="center", va="center")
        return figure
    corpora = list(dict.fromkeys(trade["corpus"]))
    figure, axes = new_figure(1, len(corpora), height=4.6, sharey=False)
    markers = condition_markers(list(dict.fromkeys(trade["condition"])))
    for axis, corpus in zip(axes.flat, corpora, strict=True):
        part = trade[trade["corpus"] == corpus].sort_values("condition")
        seeds = f"{part['n'].min()} seed{'s' if part['n'].min() != 1 else ''}"
        # Conditions of one architecture cost the same: they are drawn side by side.
        nudge = 0.008 * (part["cost"].max() - part["cost"].min() + 0.05)
        for row in _records(part):
            shape, filled = markers[row["condition"]]
            colour = condition_colour(row["condition"])
            side = 0.0 if row["condition"] == "hubert" else nudge * (1 if row["condition"].endswith("+aux") else -1)
            reach = np.nan_to_num([[row["value"] - row["low"]], [row["high"] - row["value"]]])
            wide = np.clip([[row["cost"] - row["cost_low"]], [row["cost_high"] - row["cost"]]], 0, None)
            axis.errorbar(
                row["cost"] + side, row["value"], yerr=reach, xerr=wide, fmt=shape, color=colour, capsize=3, markersize=8,
                markerfacecolor=colour if filled else "white",
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
                row["condition"], at, xytext=place, textcoords="offset points", ha=align, color=colour, fontsize=10.5
            )
        axis.axvline(1, color=BASELINE, linewidth=0.8, linestyle=":")
        axis.set_title(f"{corpus}, {seeds}" if corpus else seeds)
        axis.margins(x=0.45, y=0.15)
        axis.set_xlabel("cost over the control's")
    axes.flat[0].set_ylabel(str(trade["score"].iloc[0]))
    first = trade.iloc[0]
    how = _machine(table) if first["basis"] == "measured" else f"counted, {_size(table)} size"
    figure.suptitle(f"Cost on {first['duration']:g} s: {how}", fontsize=11, x=0.01, ha="left")
    return figure


# -- pieces -------------------------------------------------------------------------------------------------------


def _latency_panel(axis: Axes, table: pd.DataFrame) -> None:
    rows = _single(table, "latency")
    fits = table[(table["measure"] == "latency_fit") & table["value"].notna()]
    ends = []
    for name, (colour, line, marker) in _STYLES.items():
        part = rows[(rows["model"] == name) & rows["value"].notna()].sort_values("duration")
        fit = fits[fits["model"] == name].sort_values("duration")
        if len(fit):
            axis.plot(fit["duration"], fit["value"], line, color=colour, linewidth=1.2)
            _band(axis, fit, colour)
        if len(part):
            axis.errorbar(
                part["duration"], part["value"], yerr=_spread(part), fmt=marker, color=colour, capsize=3, markersize=5
            )
            ends.append((float(part["value"].iloc[-1]), float(part["duration"].iloc[-1]), name, colour))
    if not ends:
        _say(axis, table, "latency")
    for rank, (value, seconds, name, colour) in enumerate(sorted(ends)):
        label_at_end(axis, seconds, value, display_name(name), colour, offset=14.0 * (rank - (len(ends) - 1) / 2))
    axis.set_ylabel("seconds of computation")
    axis.set_title(_machine(table), loc="left", fontsize=11, x=-0.1)
    axis.set_ylim(bottom=0)


def _ratio_panel(axis: Axes, table: pd.DataFrame) -> None:
    rows = _single(table, "ratio")
    rows = rows[rows["view"] == "mono"]
    null = _single(table, "null_ratio").dropna(subset=["value"]).sort_values("duration")
    if len(null):
        _band(axis, null, BASELINE)
    axis.axhline(1, color=RESOLUTION_COLOURS[0.02], linewidth=1.2)
    timed = sorted(set(rows["duration"].astype(float)))
    drawn = False
    for name in ("hubert", "multi"):
        colour, _, marker = _STYLES[name]
        part = rows[(rows["model"] == name) & rows["value"].notna()].sort_values("duration")
        counted = table[
            (table["measure"] == "macs_ratio") & (table["view"] == "mono") & (table["model"] == name)
        ].sort_values("duration")
        counted = counted[counted["duration"].between(timed[0], timed[-1])]
        axis.plot(counted["duration"], counted["value"], "--", color=colour, linewidth=1.2)
        last = counted.iloc[-1]
        label_at_end(axis, float(last["duration"]), float(last["value"]), f"{display_name(name)}, counted", colour)
        if len(part):
            drawn = True
            axis.errorbar(
                part["duration"], part["value"], yerr=_spread(part), fmt=marker, color=colour, capsize=3, markersize=5
            )
    if not drawn:
        _say(axis, table, "ratio")
    axis.set_ylabel("ratio to the control")
    axis.set_xlabel("seconds of speech")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(timed))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(timed, [f"{seconds:g}" for seconds in timed])


def _band(axis: Axes, part: pd.DataFrame, colour: str) -> None:
    duration, low, high = (part[column].to_numpy(float) for column in ("duration", "low", "high"))
    axis.fill_between(duration, low, high, color=colour, alpha=0.18, linewidth=0)


def _factor_colour(factor: int) -> str:
    """The colour of the resolution that a factor leads to; black where it has none of its own."""
    return RESOLUTION_COLOURS.get(round(0.02 * factor, 3), "#222222")


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _single(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Rows of one measure for single utterances, of the models that every setting measures."""
    rows = table[(table["measure"] == measure) & table["model"].isin(list(_STYLES))]
    return rows[rows["batch"] == rows["batch"].min()]


def _spread(part: pd.DataFrame) -> np.ndarray:
    return np.stack([part["value"] - part["low"], part["high"] - part["value"]]).astype(float)


def _say(axis: Axes, table: pd.DataFrame, measure: str) -> None:
    """Write in the empty panel why it is empty."""
    notes = [note for note in table.loc[table["measure"] == measure, "note"] if note]
    text = _WITHHELD.format(reason=notes[0].partition(";")[0] if notes else "not measured")
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", wrap=True, color="#444444")


def _empty(table: pd.DataFrame, measure: str) -> Figure:
    figure, axes = new_figure(1, 1, height=2.0)
    _say(axes.flat[0], table, measure)
    axes.flat[0].set_axis_off()
    return figure


def _stack(axis: Axes, wide: pd.DataFrame, totals: list[str] | None) -> None:
    left = np.zeros(len(wide))
    positions = np.arange(len(wide))
    for part in [part for part in PART_COLOURS if part in wide]:
        values = wide[part].to_numpy(float)
        axis.barh(positions, values, left=left, color=PART_COLOURS[part], height=0.74, edgecolor="white", linewidth=0.5)
        left += values
    for position, total in zip(positions, totals or [], strict=False):
        axis.annotate(total, (left[position], position), xytext=(4, 0), textcoords="offset points", va="center")
    axis.set_yticks(positions, [display_name(str(name)) for name in wide.index])
    axis.invert_yaxis()
    axis.grid(False, axis="y")


def _part_legend(figure: Figure, parts: pd.Index) -> None:
    """Parts recur in every bar, so one key below serves them all."""
    handles = [Patch(color=PART_COLOURS[part], label=part) for part in PART_COLOURS if part in parts]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=10.5)


def _named(table: pd.DataFrame) -> list[str]:
    """Every configuration but the sweep over layers."""
    names = dict.fromkeys(table.loc[table["measure"] == "macs", "model"])
    return [str(name) for name in names if not str(name).endswith(" low")]


def _size(table: pd.DataFrame) -> str:
    return str(table["size"].iloc[0])


def _machine(table: pd.DataFrame) -> str:
    """Model size, machine, threads and precision of the measurements."""
    first = table.iloc[0]
    threads = f", {first['threads']} thread{'s' if first['threads'] != 1 else ''}" if first["device"] == "cpu" else ""
    return f"{first['size']} size, untrained; {first['machine']}{threads}, {first['precision']}"
