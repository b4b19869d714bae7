"""One look for every figure: color by resolution, a white card that reads on light and dark pages, readable text."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from multires.report.escape import visible

RESOLUTION_COLORS: dict[float, str] = {0.02: "#00477E", 0.04: "#BF4F00", 0.08: "#2AA58A"}
"""By frame period in seconds: the hues of Okabe and Ito, which color-blind readers can tell apart, the coarser the lighter,
so that they are apart in grayscale too."""

BASELINE = "#767676"
"""Of baselines and references; the lightest gray that still reads as text on white."""

INK = "#222222"
"""Of what has no resolution: text, sums, effects."""

WIDTH = 7.0
"""Inches; at 100 dots an inch this is the width of the page's text."""


def use_style() -> None:
    """Set the theme for all figures that follow; the background stays white whatever the page's theme."""
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "figure.dpi": 150,
            "savefig.dpi": 200,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "savefig.bbox": "tight",
            "savefig.pad_inches": 0.15,
            "axes.facecolor": "white",
            "axes.edgecolor": "#444444",
            "axes.labelcolor": "#222222",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.labelsize": 12,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "legend.fontsize": 11,
            "legend.frameon": False,
            "font.size": 11,
            "text.color": "#222222",
            "text.parse_math": False,  # names and labels may hold dollar signs
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.8,
            "lines.linewidth": 1.8,
            "figure.constrained_layout.use": True,
        },
    )


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    height: float = 4.2,
    width: float = WIDTH,
    sharex: bool = False,
    sharey: bool = False,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A figure at the page's width and its axes, always shape (rows, columns); `height` and `width` in inches."""
    use_style()
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), sharex=sharex, sharey=sharey, squeeze=False,
        width_ratios=width_ratios, height_ratios=height_ratios, layout="constrained",
    )  # fmt: skip
    plt.close(figure)  # else pyplot keeps every figure and shows it a second time below a notebook's cell
    return figure, axes


def heading(figure: Figure, *parts: str) -> None:
    """The figure's title from what it is about, in as many lines as the page's width asks for."""
    if text := "; ".join(visible(part) for part in parts if part):
        figure.suptitle(fill(text, 76), x=0.01, ha="left", fontsize="medium")


def resolution_color(frame_period: float) -> str:
    """The color of a frame period in seconds; the baselines' gray for one that has none of its own."""
    for period, color in RESOLUTION_COLORS.items():
        if abs(period - frame_period) < 1e-6:
            return color
    return BASELINE


def text_color(frame_period: float) -> str:
    """The color of a frame period, dark enough to be read as text on white (a contrast of 4.5)."""
    red, green, blue = to_rgb(resolution_color(frame_period))
    while _contrast(red, green, blue) < 4.5:
        red, green, blue = 0.97 * red, 0.97 * green, 0.97 * blue
    return to_hex((red, green, blue))


def _contrast(*rgb: float) -> float:
    """With white, as the Web Content Accessibility Guidelines 2.1 define it."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def marker_size(frame_period: float) -> float:
    """Points; the coarser the larger, for those who do not see the color."""
    return 5.0 + 2.0 * float(np.log2(max(frame_period, 0.01) / 0.02))


def condition_color(condition: str) -> str:
    """The color of a whole condition, that of its coarsest frames; HuBERT, which the others are compared with, is gray."""
    periods = {"mono": 0.02, "multi": 0.04, "multi3": 0.08}
    return RESOLUTION_COLORS.get(periods.get(condition.removesuffix("+aux"), 0.0), BASELINE)


def label_at_end(axis: Axes, x: float, y: float, text: str, color: str, *, offset: float = 0.0) -> None:
    """Write a series' name beside its last point, `offset` points higher, instead of in a legend."""
    axis.annotate(
        text, (x, y), xytext=(6, offset), textcoords="offset points", color=color, va="center", ha="left",
        fontsize=11, annotation_clip=False,
    )  # fmt: skip
