"""A strip at the bottom of a panel, on a compressed scale, for baselines that lie far below everything else."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from multires.report.figures.style import BASELINE

_FAR = 0.6
"""Values go to the strip where they lie further below the others than this share of the others' range."""

_SHARE = 0.3
"""Height of the strip, in that of the rest of the panel."""

_NAME = 0.45
"""Share of the strip's height above its highest baseline."""

_LEAST = 0.75
"""A strip that is compressed less than this is not worth the broken scale."""

_APART = 0.11
"""Distance of two ticks, in the height of the panel, below which their labels touch."""

_SHADE = "#F2F2F2"
"""Color of the strip, and behind its name, so that no line strikes the name through."""

_NARROW = 2.4
"""Inches; the full name of the strip would reach the tick labels of a narrower panel."""


def strip_for_baselines(axis: Axes, values: np.ndarray, baselines: np.ndarray) -> None:
    """Set the limits and ticks of a panel so that far baselines do not flatten the curves.

    Where some baselines lie far below the values, the scale below the values is compressed, and the strip is shaded and
    says so. Nothing changes otherwise.

    Parameters
    ----------
    axis
        The panel, with everything drawn.
    values
        The scores that are compared, with the ends of their intervals.
    baselines
        Scores of untrained models, shuffled labels and acoustic features.
    """
    values, baselines = values[np.isfinite(values)], baselines[np.isfinite(baselines)]
    if not values.size:
        return
    room = max(float(np.ptp(values)), 1e-6)
    far = baselines < values.min() - _FAR * room
    if not far.any():
        return
    rest = np.concatenate([values, baselines[~far]])
    margin = 0.08 * float(np.ptp(rest) or room)
    cut, high = float(rest.min()) - margin, float(rest.max()) + margin
    depth = cut - float(baselines.min())
    top, bottom = float(baselines[far].max()), cut - 1.15 * depth
    height = _SHARE * (high - cut)
    if height > _LEAST * (cut - bottom):
        return
    # The gap below the cut holds the strip's name; where baselines fill it, they are moved down.
    knots = np.array([bottom, min(top, cut - 0.2 * depth), cut, high])
    heights = np.array([cut - height, cut - _NAME * height, cut, high])
    axis.set_yscale(
        "function",
        functions=(partial(_scaled, source=knots, target=heights), partial(_scaled, source=heights, target=knots)),
    )
    axis.set_ylim(bottom, high)
    upper = [tick for tick in MaxNLocator(4).tick_values(cut, high) if cut < tick <= high]
    lower = [tick for tick in MaxNLocator(1).tick_values(bottom, cut) if bottom <= tick < cut - 0.25 * depth]
    axis.set_yticks(_apart([*reversed(upper), *lower], knots, heights))
    axis.axhspan(bottom, cut, color=_SHADE, zorder=0)
    axis.axhline(cut, color=BASELINE, linewidth=0.8, linestyle=(0, (1, 1)), zorder=0)
    inches = axis.bbox.width / axis.figure.dpi
    name = "baselines, compressed scale" if inches >= _NARROW else "compressed scale"
    axis.annotate(
        name, (1, cut), xycoords=("axes fraction", "data"), xytext=(-3, -2), textcoords="offset points", ha="right", va="top",
        fontsize="x-small", color="#505050", bbox={"facecolor": _SHADE, "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _apart(ticks: list[float], knots: np.ndarray, heights: np.ndarray) -> list[float]:
    """The ticks without those whose labels would touch that of an earlier one, in ascending order."""
    kept: list[float] = []
    places: list[float] = []
    for tick in ticks:
        place = float(_scaled(np.array(tick), source=knots, target=heights)) / float(heights[-1] - heights[0])
        if all(abs(place - other) >= _APART for other in places):
            kept.append(tick)
            places.append(place)
    return sorted(kept)


def _scaled(values: np.ndarray, *, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Linear between the knots; beyond them as in the first and last piece."""
    values = np.asarray(values, dtype=float)
    slopes = np.diff(target) / np.diff(source)
    inside = np.interp(values, source, target)
    return inside + np.minimum(values - source[0], 0) * slopes[0] + np.maximum(values - source[-1], 0) * slopes[-1]
