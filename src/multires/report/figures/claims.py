"""The evidence on each claim at a glance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multires.report.figures.empty import of_rows
from multires.report.figures.style import BASELINE, heading, new_figure
from multires.report.names import speech_name
from multires.report.verdicts import CONTRADICTS, NEITHER, NOTHING, OPEN, SUPPORTS, THIS_RUN, UNTESTED

_MARKERS = {SUPPORTS: ("o", True), CONTRADICTS: ("X", True), OPEN: ("o", False), UNTESTED: ("d", False),
            NOTHING: ("o", False), NEITHER: ("s", True)}  # fmt: skip


@of_rows
def claims(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Every effect with its interval: differences of scores above, ratios of cost below.

    Parameters
    ----------
    table
        What `multires.report.verdicts.judge` gives.
    corpus, models
        Of this run, named in the title where its evidence is.
    """
    known = table[table["value"].notna()]
    scores, costs = known[known["claim"] < 3], known[known["claim"] == 3]
    heights = (max(len(scores), 1), max(len(costs), 1))
    figure, axes = new_figure(2, 1, height=1.9 + 0.42 * sum(heights), height_ratios=heights)
    top, bottom = axes.flat
    _forest(top, scores, 0.0)
    for height, row in enumerate(scores.iloc[::-1].to_dict("records")):
        if np.isfinite(row.get("interest", np.nan)):
            top.fill_betweenx([height - 0.35, height + 0.35], -row["interest"], row["interest"], color=BASELINE, alpha=0.2,
                              linewidth=0, zorder=0)  # fmt: skip
    top.set_xlabel("difference of scores; gray: below the smallest effect of interest")
    here = f"this run ({speech_name(corpus)}; {models})"
    sources = [here if source == THIS_RUN else str(source) for source in dict.fromkeys(scores["source"])]
    heading(
        figure,
        *([f"effects: {', '.join(sources)}"] if sources else []),
        f"costs: {'this run' if here in sources else here}",
    )
    _forest(bottom, costs, 1.0)
    bottom.set_xlabel("cost with downsampling over cost without")
    return figure


def _forest(axis: Axes, rows: pd.DataFrame, neutral: float) -> None:
    axis.axvline(neutral, color="#222222", linewidth=1)
    for height, row in enumerate(rows.iloc[::-1].itertuples()):
        marker, filled = _MARKERS[row.verdict]
        spread = np.clip([[row.value - row.low], [row.high - row.value]], 0, None)
        axis.errorbar(row.value, height, xerr=np.nan_to_num(spread), fmt=marker, color="#222222", capsize=3,
                      markersize=7, markerfacecolor="#222222" if filled else "white")  # fmt: skip
    several = len(set(rows["source"])) > 1
    labels = [
        f"{row.evidence}\n({f'{row.source}: ' if several else ''}{row.verdict})" for row in rows.iloc[::-1].itertuples()
    ]
    axis.set_yticks(range(len(rows)), labels, fontsize="small")
    axis.margins(y=0.12)
