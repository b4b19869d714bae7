"""Figure of the experiment's result under other targets or another recipe."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from multires.errors import MultiresError
from multires.experiment.plan import PLAN
from multires.report.figures.empty import nothing
from multires.report.figures.style import BASELINE, INK, heading, new_figure
from multires.report.names import pair_name

_MARKERS = (("o", INK, True), ("s", "#6A51A3", False), ("^", BASELINE, True), ("D", INK, False), ("v", "#6A51A3", True))
"""Marker, color and filling by run; no resolution's color."""


def sensitivity(table: pd.DataFrame, *, estimand: str = "control", corpus: str = "") -> Figure:
    """Information of the targets about phones, the lead of HuBERT trained on them, and one effect under each run.

    Parameters
    ----------
    table
        What `multires.experiment.sensitivity.compare_runs` writes.
    estimand
        Key of the effect in the right panel.
    corpus
        Named in the title.

    Raises
    ------
    MultiresError
        If the table has no run.
    """
    runs = list(dict.fromkeys(table["run"]))
    if not runs:
        raise MultiresError("the table of sensitivity runs has no run: write one with compare_runs")
    effects = table[table["measure"].eq("effect") & table["estimand"].eq(estimand)]
    outcomes = [each for each in dict.fromkeys(table["outcome"]) if each and each in set(effects["outcome"])]
    if not outcomes:
        return nothing(corpus, "no outcome of these runs was scored")
    styles = {run: _MARKERS[place % len(_MARKERS)] for place, run in enumerate(runs)}
    figure, axes = new_figure(1, 2, height=2.2 + (0.14 * len(runs) + 0.2) * len(outcomes), width_ratios=(1, 1.35))
    learned, gain = axes.flat
    quality = table[table["measure"].eq("pnmi")].set_index("run")
    first = outcomes[0]
    lead = table[table["measure"].eq("lead") & table["outcome"].eq(first)].set_index("run")
    for run, (marker, color, filled) in styles.items():
        face = color if filled else "white"
        drawn = {
            "fmt": marker,
            "color": color,
            "markerfacecolor": face,
            "capsize": 2.5,
            "markersize": 7,
            "elinewidth": 1.4,
        }
        if run in quality.index and run in lead.index:
            x, y = quality.loc[run], lead.loc[run]
            learned.errorbar(x["value"], y["value"], xerr=_spread(x), yerr=_spread(y), **drawn)
        rows = effects[effects["run"] == run].set_index("outcome")
        shift = 0.6 / max(len(runs), 1) * (runs.index(run) - (len(runs) - 1) / 2)
        for place, outcome in enumerate(outcomes):
            if outcome in rows.index:
                row = rows.loc[outcome]
                gain.errorbar(row["value"], place + shift, xerr=_spread(row), **drawn)
    learned.set_xlabel("PNMI of the targets with phones")
    learned.set_ylabel("HuBERT less MFCC")
    learned.set_title(PLAN.outcome(first).name, loc="left", fontsize="medium")
    learned.margins(0.15)
    learned.set_ylim(bottom=min(0.0, learned.get_ylim()[0]))
    gain.axvline(0, color=INK, linewidth=1)
    gain.set_yticks(range(len(outcomes)), [PLAN.outcome(each).name.replace(" across", "\nacross") for each in outcomes],
                    fontsize="small")  # fmt: skip
    gain.set_ylim(len(outcomes) - 0.5, -0.5)
    gain.grid(False, axis="y")
    gain.set_xlabel("change of the score")
    gain.set_title(pair_name(PLAN.estimand(estimand).name), loc="left", fontsize="medium")
    handles = [
        Line2D(
            [], [], marker=marker, color=color, markerfacecolor=color if filled else "white", linestyle="", label=run
        )
        for run, (marker, color, filled) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize="small")
    heading(figure, corpus, "targets of the trained models")
    return figure


def _spread(row: pd.Series) -> np.ndarray:
    """Distances to the ends of an interval, as error bars need them."""
    ends = np.array([[row["value"] - row["low"]], [row["high"] - row["value"]]], dtype=float)
    return np.clip(np.nan_to_num(ends), 0, None)
