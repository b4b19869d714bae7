"""Scores of every layer of the models that were analyzed, for the model explorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis import stages
from multires.analysis.attempt import attempt
from multires.analysis.run import Run
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables, experiment_tables
from multires.models.acoustic import ACOUSTIC
from multires.report.figures.layers import apart
from multires.report.figures.measures import VIEW_TITLES
from multires.report.names import speech_name

COLUMNS = ("group", "panel", "condition", "seeds", "layer", "layer_index", "frame_period", "value", "low", "high", "n",
           "chance_low", "chance_high")  # fmt: skip
"""Of `curves`."""


@dataclass(frozen=True)
class _Kind:
    """Source of the rows of one kind of curve."""

    group: str
    stage: str
    measure: str | None  # None: the variant of the run, whatever it is called
    shuffled: str | None
    titles: Mapping[str, str]


_VIEWS = {"phone": "phones", "word": "words"}

_KINDS = (
    _Kind("CCA", "cca", None, "shuffled", {**VIEW_TITLES, **_VIEWS}),
    _Kind("Mutual information, adjusted", "mutual information", "adjusted", "adjusted shuffled", _VIEWS),
    _Kind("Probe accuracy", "probes", "accuracy", "shuffled accuracy", {**_VIEWS, "speaker": "speakers"}),
    _Kind("Frames", "extraction", "participation ratio", None, {"frame80": "participation ratio"}),
    _Kind("Frames", "extraction", "neighbor similarity", None, {"frame20": "similarity to the 80 ms around"}),
)


def collect(run: Run) -> pd.DataFrame:
    """All curves of a run, from the tables in its workspace (made there where they are missing), and the experiment's.

    See `curves` and `experiment_curves`.
    """
    tables = {
        "extraction": stages.extraction(run).table,
        "cca": attempt(stages.cca, run).table,
        "mutual information": attempt(stages.mutual_information, run).table,
        "probes": attempt(stages.probes, run).table,
    }
    return pd.concat([curves(tables), *map(experiment_curves, experiment_tables())], ignore_index=True)


def experiment_curves(experiment: ExperimentTables) -> pd.DataFrame:
    """The score of every layer of the controlled experiment's models on test speakers, on the grid of 40 ms.

    Columns are those of `curves`: means over seeds, from the lowest seed to the highest; `n` counts speakers. Layers of
    20 ms are averaged to 40 ms. Outcomes of the middle block alone are given for all layers.
    """
    rows: list[dict[str, Any]] = []
    for outcome in PLAN.outcomes:
        scores = experiment.layers(outcome.key)
        scores = scores[scores["form"].isin(["averaged", "native"])]
        acoustic = scores["condition"].isin(list(ACOUSTIC))
        scores = scores[scores["layer_index"].notna() | acoustic]
        if scores["layer_index"].isna().all():
            continue  # an outcome of weighted sums alone
        scores = scores.assign(layer_index=scores["layer_index"].mask(acoustic))
        shuffled = scores[scores["labels"] != "true"]["value"].astype(float)
        true = scores[scores["labels"] == "true"]
        grouped = true.groupby(["condition", "layer", "layer_index", "frame_period"], sort=False, dropna=False).agg(
            value=("value", "mean"), low=("low", "min"), high=("high", "max"), seeds=("seed", "nunique")
        )
        test = experiment.scores[experiment.scores["outcome"].eq(outcome.key) & experiment.scores["role"].eq("test")]
        common = {
            "group": f"Experiment on {speech_name(experiment.corpus)}, all seeds", "panel": outcome.name.removesuffix(", middle block"),
            "n": test["speaker"].nunique(), "chance_low": shuffled.min(), "chance_high": shuffled.max(),
        }  # fmt: skip
        rows += [{**common, **row} for row in grouped.reset_index().to_dict("records")]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def curves(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The score of every layer of every condition in every panel.

    Parameters
    ----------
    tables
        The tables of the stages extraction, cca, mutual information and probes, by these names.

    Returns
    -------
    pandas.DataFrame
        A row a layer with the columns `COLUMNS`: the value is the mean over seeds, low and high the lowest and highest
        end of their intervals, as in the chapters' figures; chance is the range of shuffled labels in the panel. Rows
        of log-mel and MFCC have no layer_index.
    """
    rows = [row for kind in _KINDS for view in kind.titles for row in _panel(tables[kind.stage], kind, view)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _panel(table: pd.DataFrame, kind: _Kind, view: str) -> list[dict[str, Any]]:
    table = apart(table)
    part = table[(table["view"] == view) & table["trial"].isna() & (table["layer"] != "weighted sum")]
    if view == "mel" and "window" in part:  # each layer in windows of its own frame period
        part = part[np.isclose(part["window"].astype(float), part["frame_period"].astype(float) * 1000)]
    shuffled = part[part["measure"] == kind.shuffled]["value"].astype(float)
    part = part[part["measure"].eq(kind.measure) if kind.measure else part["measure"].ne("shuffled")]
    keys = ["condition", "layer", "layer_index", "frame_period"]
    acoustic = part["model"].isin(list(ACOUSTIC))
    part = part.assign(
        condition=part["condition"].where(~acoustic, part["model"]), layer_index=part["layer_index"].mask(acoustic)
    )
    grouped = part.groupby(keys, sort=False, dropna=False).agg(
        value=("value", "mean"), low=("low", "min"), high=("high", "max"), n=("n", "max"), seeds=("seed", "nunique")
    )
    chance = {"chance_low": shuffled.min(), "chance_high": shuffled.max()}
    title = kind.titles[view]
    return [{"group": kind.group, "panel": title, **row, **chance} for row in grouped.reset_index().to_dict("records")]
