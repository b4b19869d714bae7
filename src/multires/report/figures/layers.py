"""Scores by depth: one panel a view, one line a model, color for resolution, uncertainty and baselines drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from multires.report.escape import for_figure
from multires.report.figures.empty import nothing
from multires.report.figures.strip import strip_for_baselines
from multires.report.figures.style import (
    BASELINE,
    RESOLUTION_COLORS,
    heading,
    marker_size,
    new_figure,
    resolution_color,
)
from multires.report.names import condition_name, depth_label

MARKERS = {
    "hubert": ("o", False),
    "mono": ("s", False),
    "mono+aux": ("s", True),
    "multi": ("D", False),
    "multi+aux": ("D", True),
    "multi3": ("^", False),
    "multi3+aux": ("^", True),
}
"""Marker of each condition, and whether it is filled: shape is the architecture, filled is the auxiliary loss."""

_SPARE = ("v", "P", "X", "<", ">", "*")


def condition_markers(conditions: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """A marker for each condition, the same for known ones everywhere."""
    spare = iter(_SPARE * (1 + len(conditions) // len(_SPARE)))
    known = {**MARKERS, **{f"{_UNTRAINED}{name}": (marker, False) for name, (marker, _) in MARKERS.items()}}
    return {condition: known.get(condition) or (next(spare), False) for condition in conditions}


_UNTRAINED = "untrained "


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """The table with untrained models as conditions of their own, where it holds trained ones too."""
    if "trained" not in table or table["trained"].dropna().nunique() < 2:
        return table
    untrained = table["trained"].eq(False) & ~table["condition"].astype(str).str.startswith(_UNTRAINED)
    return table.assign(condition=table["condition"].mask(untrained, _UNTRAINED + table["condition"].astype(str)))


def layer_curves(
    table: pd.DataFrame,
    *,
    panels: str,
    ylabel: str,
    title: str,
    panel_titles: Mapping[Any, str] | None = None,
    baselines: pd.DataFrame | None = None,
    references: Mapping[str, Mapping[Any, float]] | None = None,
    columns: int = 2,
    share_y: bool = False,
) -> Figure:
    """Scores of every layer, by depth.

    Parameters
    ----------
    table
        Rows with condition, layer_index, frame_period, value, low, high and the column named by `panels`; rows of
        several seeds are averaged, and the interval spans the lowest `low` to the highest `high`.
    panels
        The column that separates panels.
    ylabel, title
        Of the figure; the title names corpus and models.
    panel_titles
        Display names of the panels, in order.
    baselines
        Rows like the table's whose range is drawn as a gray band: shuffled labels.
    references
        Horizontal lines: name, then panel to value, such as MFCC's score.
    columns
        Panels beside each other.
    share_y
        One scale for all panels.
    """
    table = apart(table[table["layer_index"].notna()])
    keys = list(panel_titles or dict.fromkeys(table[panels]))
    keys = [key for key in keys if (table[panels] == key).any()]
    if not keys:
        return nothing(title)
    rows = -(-len(keys) // columns)
    columns = min(columns, len(keys))
    figure, axes = new_figure(rows, columns, height=2.35 * rows + 1.2, sharey=share_y, sharex=True)
    markers = condition_markers(list(dict.fromkeys(table["condition"])))
    for number, key in enumerate(keys):
        axis = axes.flat[number]
        panel = table[table[panels] == key]
        chance = None if baselines is None else baselines[baselines[panels] == key]
        at = {name: values[key] for name, values in (references or {}).items() if key in values}
        draw_panel(axis, panel, markers, chance, at, strip=not share_y)
        axis.set_title((panel_titles or {}).get(key, str(key)), loc="left")
        axis.set_xticks(sorted(table["layer_index"].unique()))
        axis.margins(x=0.06)
    for axis in axes.flat[len(keys) :]:
        axis.set_visible(False)
    for number in range(len(keys)):
        if number + columns >= len(keys):
            label = depth_label(table)
            axes.flat[number].set_xlabel(label.replace(" (", "\n(") if columns > 2 else label)
            axes.flat[number].tick_params(labelbottom=True)
        if number % columns == 0:
            axes.flat[number].set_ylabel(ylabel)
    add_legend(figure, markers, sorted(table["frame_period"].unique()), baselines is not None)
    heading(figure, title)
    return figure


_ASIDE = 0.12
"""Layers from one condition's points to the next one's, so that equal scores do not hide each other."""


def draw_panel(
    axis: Axes,
    panel: pd.DataFrame,
    markers: Mapping[str, tuple[str, bool]],
    chance: pd.DataFrame | None,
    references: Mapping[str, float],
    *,
    strip: bool = True,
) -> None:
    """One curve for each condition of a panel, the band of shuffled labels, and lines for acoustic features.

    Untrained models, the band and lines that lie far below the trained models share a strip on a compressed scale, if
    `strip`.
    """
    for place, (condition, marker) in enumerate(markers.items()):
        aside = _ASIDE * (place - (len(markers) - 1) / 2)
        own = panel[panel["condition"] == condition]
        _curve(axis, own, *marker, aside=aside, faint=condition.startswith(_UNTRAINED))
    if chance is not None:
        _band(axis, chance)
    for value in sorted(set(references.values())):
        names = ", ".join(name for name, own in references.items() if own == value)
        _reference(axis, names, value, above=value == max(references.values()))
    untrained = panel["condition"].astype(str).str.startswith(_UNTRAINED)
    if strip and not untrained.all():
        low = [] if chance is None else chance["value"]
        strip_for_baselines(
            axis, panel.loc[~untrained, ["value", "low", "high"]].to_numpy(float).ravel(),
            np.array([*panel.loc[untrained, "value"], *low, *references.values()], dtype=float),
        )  # fmt: skip


def _curve(
    axis: Axes, rows: pd.DataFrame, marker: str, filled: bool, *, aside: float = 0.0, faint: bool = False
) -> None:
    """One condition; a faint one, dotted and small, is a baseline that others are compared with."""
    if rows.empty:
        return
    points = rows.groupby(["layer_index", "frame_period"], as_index=False).agg(
        value=("value", "mean"), low=("low", "min"), high=("high", "max")
    )
    points = points.sort_values("layer_index")
    points["layer_index"] = points["layer_index"].astype(float) + aside
    line = ":" if faint else "-"
    axis.plot(points["layer_index"], points["value"], line, color=BASELINE, linewidth=1, zorder=2)
    for period, part in points.groupby("frame_period"):
        color = resolution_color(float(period))
        spread = np.clip(np.stack([part["value"] - part["low"], part["high"] - part["value"]]), 0, None)
        axis.errorbar(
            part["layer_index"], part["value"], yerr=np.nan_to_num(spread), fmt=marker, color=color,
            markerfacecolor=color if filled else "white", markersize=marker_size(float(period)) * (0.6 if faint else 1), elinewidth=0.7 if faint else 1.4, capsize=2.5, zorder=3,
        )  # fmt: skip


def _band(axis: Axes, rows: pd.DataFrame) -> None:
    """The range of some rows, such as those of shuffled labels, as a gray band."""
    if len(rows):
        axis.axhspan(rows["value"].min(), rows["value"].max(), color=BASELINE, alpha=0.35, linewidth=0.8, zorder=1)


def _reference(axis: Axes, name: str, value: float, *, above: bool) -> None:
    """A dashed line with a name at its end."""
    axis.axhline(value, color=BASELINE, linestyle=(0, (4, 2)), linewidth=1.2, zorder=1)
    axis.annotate(
        name, (1, value), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
        ha="left", va="bottom" if above else "top", color="#505050", fontsize="small", annotation_clip=False,
    )  # fmt: skip


def add_legend(
    figure: Figure, markers: Mapping[str, tuple[str, bool]], periods: Sequence[float], shuffled: bool
) -> None:
    """Conditions by marker, frame periods by color, and the band of shuffled labels, below a figure."""
    handles = [
        Line2D([], [], marker=marker, color=BASELINE, markerfacecolor="#505050" if filled else "white",
               markeredgecolor="#505050", linewidth=1, label=for_figure(condition_name(condition)),
               linestyle=":" if condition.startswith(_UNTRAINED) else "-")
        for condition, (marker, filled) in markers.items()
    ]  # fmt: skip
    handles += [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color=resolution_color(period),
            markersize=marker_size(period),
            label=f"{period * 1000:.0f} ms",
        )
        for period in periods
        if round(period, 3) in RESOLUTION_COLORS
    ]
    if shuffled:
        handles.append(Line2D([], [], color=BASELINE, alpha=0.35, linewidth=8, label="shuffled"))
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize="small")
