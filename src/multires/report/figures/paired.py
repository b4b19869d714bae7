"""Scores by depth with the paired differences from the control beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from multires.report.escape import for_figure
from multires.report.figures.empty import nothing
from multires.report.figures.layers import (
    add_legend,
    apart,
    condition_markers,
    draw_panel,
    layer_curves,
)
from multires.report.figures.style import BASELINE, INK, condition_color, heading, new_figure
from multires.report.names import condition_name, depth_label


def curves_with_differences(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    panels: str,
    ylabel: str,
    title: str,
    panel_titles: Mapping[Any, str],
    baselines: pd.DataFrame | None = None,
    references: Mapping[str, Mapping[Any, float]] | None = None,
) -> Figure:
    """Scores of every layer, a row for each panel, and beside them each model's best layer less that of its control.

    Parameters
    ----------
    table, panels, ylabel, title, panel_titles, baselines, references
        As in `multires.report.figures.layers.layer_curves`.
    differences
        What `multires.analysis.comparisons` gives, for the same panels. Without rows, the curves alone are drawn.
    """
    if differences.empty:
        return layer_curves(
            table, panels=panels, ylabel=ylabel, title=title, panel_titles=panel_titles, baselines=baselines,
            references=references,
        )  # fmt: skip
    table = apart(table[table["layer_index"].notna()])
    keys = [key for key in panel_titles if (table[panels] == key).any()]
    if not keys:
        return nothing(title)
    figure, axes = new_figure(len(keys), 2, height=2.3 * len(keys) + 1.3, width_ratios=[1.5, 1])
    markers = condition_markers(list(dict.fromkeys(table["condition"])))
    ticks = sorted(table["layer_index"].unique())
    for row, key in enumerate(keys):
        part = table[table[panels] == key]
        chance = None if baselines is None else baselines[baselines[panels] == key]
        lines = {name: values[key] for name, values in (references or {}).items() if key in values}
        axis = axes[row, 0]
        draw_panel(axis, part, markers, chance, lines)
        axis.set_title(panel_titles[key], loc="left")
        axis.set_ylabel(ylabel)
        axis.set_xticks(ticks)
        axis.margins(x=0.06)
        own = differences[differences[panels] == key]
        draw_differences(axes[row, 1], own, markers)
        if row == len(keys) - 1:
            axis.set_xlabel(depth_label(table))
            axes[row, 1].set_xlabel(_against(differences))
    add_legend(figure, markers, sorted(table["frame_period"].unique()), baselines is not None)
    heading(figure, title)
    return figure


def draw_differences(axis: Axes, rows: pd.DataFrame, markers: Mapping[str, tuple[str, bool]]) -> None:
    """Differences with their intervals around zero, the largest at the top, each below its model's name."""
    if rows.empty:
        axis.set_axis_off()
        axis.text(0, 0.5, "not compared", transform=axis.transAxes, color=BASELINE, fontsize="small")
        return
    rows = rows.sort_values("value", ascending=False)
    several = rows["condition"].duplicated(keep=False).any()
    axis.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows.to_dict("records")):
        condition = str(row["condition"])
        marker, filled = markers.get(condition, ("o", False))
        color = condition_color(condition)
        spread = np.nan_to_num(np.clip([[row["value"] - row["low"]], [row["high"] - row["value"]]], 0, None))
        axis.errorbar(row["value"], place, xerr=spread, fmt=marker, color=color, capsize=2.5, markersize=6, elinewidth=1.4,
                      markerfacecolor=color if filled else "white")  # fmt: skip
        name = for_figure(str(row["model"])) if several else condition_name(condition)
        axis.annotate(name, (0, place), xycoords=("axes fraction", "data"), xytext=(2, 7), textcoords="offset points",
                      fontsize="small", va="bottom", ha="left")  # fmt: skip
    axis.set_ylim(len(rows) - 0.5, -0.85)
    axis.set_yticks([])
    axis.grid(False, axis="y")
    axis.margins(x=0.1)
    axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))


def _against(differences: pd.DataFrame) -> str:
    """The axis of the differences: what each model is compared with."""
    conditions = set(differences["against_condition"])
    if conditions <= {"mono", "mono+aux"}:
        return "best layer less that of the\n20 ms control with the same loss"
    if len(conditions) == 1:
        return f"best layer less that of\n{condition_name(conditions.pop())}"
    return "best layer less that of the\nmodel compared with"
