"""Counted saving by the number of layers at the low resolution."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from multires.report.figures.efficiency.labels import NOT_COUNTED, records, size_name
from multires.report.figures.empty import nothing, of_rows
from multires.report.figures.style import BASELINE, RESOLUTION_COLORS, label_at_end, new_figure

FACTORS = (2, 4, 8)
"""Downsampling factors of the what-ifs."""


@of_rows
def savings(table: pd.DataFrame) -> Figure:
    """Counted saving against the number of layers at the low resolution, one line a downsampling factor."""
    rows = table[
        (table["measure"] == "macs_ratio")
        & (table["view"] == "mono")
        & (table["duration"] == 10.0)
        & table["model"].astype(str).str.contains(" low", regex=False)
    ].sort_values("low_layers")
    if rows.empty:
        return nothing("", NOT_COUNTED)
    figure, axes = new_figure(1, 1, height=4.4)
    axis = axes.flat[0]
    for factor in FACTORS:
        part = rows[rows["factor"] == factor]
        color = _factor_color(factor)
        saved = 100 * (1 - part["value"].to_numpy(float))
        layers = part["low_layers"].to_numpy(float)
        axis.plot(layers, saved, marker="o", markersize=4, color=color)
        if len(part):
            label_at_end(axis, layers[-1], saved[-1], f"÷{factor}: {20 * factor} ms", color)
    measured = table[
        (table["measure"] == "ratio") & (table["view"] == "mono") & (table["batch"] == 1) & table["value"].notna()
    ]
    timed = measured[measured["model"].astype(str).str.startswith("downsample")]
    for row in records(timed):
        spread = [[100 * (row["high"] - row["value"])], [100 * (row["value"] - row["low"])]]
        axis.errorbar(
            row["low_layers"], 100 * (1 - row["value"]), yerr=spread, fmt="D", mfc="white", capsize=3,
            color=_factor_color(int(row["factor"])),
        )  # fmt: skip
    for published in records(
        table[
            (table["model"] == "multi")
            & (table["measure"] == "macs_ratio")
            & (table["view"] == "mono")
            & (table["duration"] == 10.0)
        ]
    )[:1]:
        axis.annotate(
            "MR-HuBERT", (published["low_layers"], 100 * (1 - published["value"])), xytext=(0, -34),
            textcoords="offset points", ha="center", arrowprops={"arrowstyle": "-", "color": "#222222"}, fontsize=11,
        )  # fmt: skip
    axis.axhline(0, color=BASELINE, linewidth=1)
    total = int(rows["layers_total"].iloc[0])
    axis.set_xlabel(f"layers at the low resolution, of {total}")
    axis.set_ylabel("multiply-accumulates saved, %")
    axis.set_title(f"Counted against the control, 10 s, {size_name(table)} size", loc="left")
    axis.margins(x=0.16)
    return figure


def _factor_color(factor: int) -> str:
    """The color of the resolution that a factor leads to; black where it has none of its own."""
    return RESOLUTION_COLORS.get(round(0.02 * factor, 3), "#222222")
