"""Training of the models of the controlled experiment: its course, and whether it was adequate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from multires.report.figures.empty import of_rows
from multires.report.figures.layers import condition_markers
from multires.report.figures.style import BASELINE, INK, condition_color, heading, new_figure
from multires.report.names import condition_name, seed_count, speech_name

_BASELINES = {"mfcc": ("MFCC", "|"), "mel": ("log-mel", "2"), "untrained": ("untrained", "x")}
"""Columns of `multires.experiment.analysis.learned` with their name and marker."""


@of_rows
def training_curves(log: pd.DataFrame, *, corpus: str, models: str = "") -> Figure:
    """Accuracy and loss on masked frames by step: a column of panels for each prediction head.

    Lines are means over seeds and bands their range. Held-out speech is drawn with markers, training speech thinner and
    without.

    Parameters
    ----------
    log
        Columns condition, seed, step, part (train or held out), resolution, frame_period, loss and accuracy: the rows of
        `multires.training.pretrain.training_log` with condition and seed.
    corpus, models
        Named in the title.
    """
    heads = sorted(log["resolution"].unique())
    figure, axes = new_figure(2, len(heads), height=6.2, sharex=True)
    markers = condition_markers(list(dict.fromkeys(log["condition"])))
    for column, head in enumerate(heads):
        part = log[log["resolution"] == head]
        for row, measure in enumerate(("accuracy", "loss")):
            axis = axes[row, column]
            for condition in markers:
                _training_lines(axis, part[part["condition"] == condition], measure, condition, *markers[condition])
            if column == 0:
                axis.set_ylabel(f"masked {measure}")
        name = "at the high resolution" if head == 0 else "of the auxiliary loss"
        periods = "/".join(f"{1000 * period:.0f}" for period in sorted(part["frame_period"].unique()))
        axes[0, column].set_title(f"units {name}, {periods} ms", loc="left")
        axes[1, column].set_xlabel("step")
    handles = [
        Line2D([], [], marker=marker, color=condition_color(condition), linestyle="-" if filled else "--",
               markerfacecolor=condition_color(condition) if filled else "white", label=condition_name(condition))
        for condition, (marker, filled) in markers.items()
    ]  # fmt: skip
    parts = set(log["part"])
    if "held out" in parts:
        handles.append(Line2D([], [], marker="o", color=INK, linewidth=1.8, label="held out"))
    if "train" in parts:
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label="train"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    seeds = seed_count([log.groupby("condition")["seed"].nunique().max()])
    heading(figure, speech_name(corpus), models, seeds)
    return figure


def _training_lines(axis: Axes, rows: pd.DataFrame, measure: str, condition: str, marker: str, filled: bool) -> None:
    color = condition_color(condition)
    for part, curve in rows.groupby("part"):
        by_step = curve.groupby("step")[measure].agg(["mean", "min", "max"]).sort_index()
        steps = by_step.index.to_numpy(float)
        held = part == "held out"
        axis.plot(
            steps, by_step["mean"], linestyle="-" if filled else "--", color=color, linewidth=1.8 if held else 0.8,
            marker=marker if held else None, markersize=5, markevery=max(1, len(steps) // 8),
            markerfacecolor=color if filled else "white",
        )  # fmt: skip
        if held and len(steps) and (by_step["max"] > by_step["min"]).any():
            axis.fill_between(steps, by_step["min"], by_step["max"], color=color, alpha=0.15, linewidth=0)


@of_rows
def carries(table: pd.DataFrame, *, corpus: str = "", models: str = "") -> Figure:
    """The best layer of each trained condition beside MFCC, log-mel and the untrained model of its shape.

    Parameters
    ----------
    table
        What `multires.experiment.analysis.learned` gives: phone accuracy on held-out speakers.
    corpus, models
        Named in the title.
    """
    figure, axes = new_figure(1, 1, height=1.9 + 0.5 * len(table))
    axis = axes.flat[0]
    markers = condition_markers(list(table["condition"]))
    shown = [name for name in _BASELINES if name in table]
    for place, row in enumerate(table.to_dict("records")):
        marker, filled = markers[row["condition"]]
        color = condition_color(row["condition"])
        axis.plot([row["baseline"], row["best"]], [place, place], color=color, linewidth=1.2, zorder=1)
        if shown:
            for name in shown:
                axis.plot(row[name], place, _BASELINES[name][1], color=BASELINE, markersize=11, markeredgewidth=1.8)
        else:
            axis.plot(row["baseline"], place, "|", color=BASELINE, markersize=12, markeredgewidth=1.8)
        axis.plot(row["best"], place, marker, color=color, markersize=8, markerfacecolor=color if filled else "white")
        verdict = "adequate" if row["carries"] else _shortfall(row)
        axis.annotate(
            f"{row['above']:+.2f} over {condition_name(row['baseline_name'])}: {verdict}",
            (max(row["best"], row["baseline"]), place), xytext=(10, 0), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    axis.set_yticks(range(len(table)), [condition_name(name) for name in table["condition"]])
    axis.set_ylim(len(table) - 0.5, -0.5)
    points = table[["best", "baseline", *shown]].to_numpy(float)
    low, high = float(np.nanmin(points)), float(np.nanmax(points))
    axis.set_xlim(low - 0.1 * (high - low) - 0.01, high + 1.1 * (high - low) + 0.02)  # room for the sentences
    axis.set_xticks([tick for tick in axis.get_xticks() if low - 0.05 <= tick <= high + 0.05])
    axis.set_xlabel("phone accuracy of the best layer, held-out speakers")
    axis.grid(False, axis="y")
    names = {name: _BASELINES[name] for name in shown} or {"baseline": ("best baseline", "|")}
    handles = [Line2D([], [], marker=marker, color=BASELINE, linestyle="", markersize=9, markeredgewidth=1.8, label=label)
               for label, marker in names.values()]  # fmt: skip
    handles.append(Line2D([], [], marker="o", color=INK, linestyle="", label="best layer (filled: auxiliary loss)"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    heading(figure, speech_name(corpus), models)
    return figure


def _shortfall(row: dict[str, object]) -> str:
    why = []
    if not row["beats"]:
        why.append("too little")
    if not row["flattened"]:
        why.append(f"loss still falling ({row['last_fifth']:.0%})")
    return ", ".join(why)
