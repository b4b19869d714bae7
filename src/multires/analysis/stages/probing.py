"""Linear probes on every layer, and the agreement of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.part import part_of
from multires.analysis.run import ACOUSTIC, Run
from multires.analysis.stages.correlation import REPLICATE, cca
from multires.analysis.stages.gather import (
    acoustic_places,
    gather_rows,
    kept_or,
    layer_columns,
    subject_columns,
    subject_layers,
    subject_places,
)
from multires.analysis.stages.information import mutual_information
from multires.analysis.stages.rows import read_vectors, run_parameters, sample_rows, speaker_rows, split_rows
from multires.features.store import FeatureStore
from multires.measures.probe import ProbeResult, linear_probe, weighted_sum_probe
from multires.models.layers import Layer
from multires.results import Result, tidy

TASKS = ("phone", "word", "speaker")
"""Labels that probes classify."""

_INPUTS = ("conv", "input")
"""Blocks before the transformer layers, whose width may be another: a weighted sum leaves them out."""


def probes(run: Run, *, tasks: Sequence[str] = TASKS, layers_only: bool = False) -> Result:
    """Linear probes for phone, word and speaker on every layer, on log-mel and MFCC, and on weighted sums of layers.

    Parameters
    ----------
    tasks
        Some of `TASKS`.
    layers_only
        Leave log-mel, MFCC and weighted sums out.
    """

    def compute() -> pd.DataFrame:
        table = probe_replicates(run, tasks=tasks, layers_only=layers_only).table
        return table[table["measure"] != REPLICATE].reset_index(drop=True)

    return run.table("probes", _probe_parameters(run, tasks, layers_only), compute)


def probe_replicates(run: Run, *, tasks: Sequence[str] = TASKS, layers_only: bool = False) -> Result:
    """As `probes`, with the accuracy on single layers in every resample: what paired comparisons need."""

    def rows_of(work: tuple[FeatureStore, list[Layer], dict[str, Any]]) -> list[dict[str, Any]]:
        return _probe_rows(run, *work)

    def compute() -> pd.DataFrame:
        places = subject_places(run, run.subjects) + ([] if layers_only else acoustic_places(run))
        single = [(store, [layer], {**columns, "view": task}) for store, layer, columns in places for task in tasks]
        summed = [
            (
                run.features(subject.name, subject.seed),
                [layer for layer in subject_layers(run, subject) if layer.block not in _INPUTS],
                {**subject_columns(run, subject), "layer": "weighted sum", "view": task},
            )
            for subject in ([] if layers_only else run.subjects)
            for task in tasks
        ]
        return gather_rows(run, "probes", single + summed, rows_of, unit="probe")

    return run.table("probe-replicates", _probe_parameters(run, tasks, layers_only), compute)


def _probe_parameters(run: Run, tasks: Sequence[str], layers_only: bool) -> dict[str, Any]:
    names = ("train", "evaluation", "probe_instances", "word_types", "word_instances", "resamples")
    return {**run_parameters(run, *names), "tasks": list(tasks), "layers_only": layers_only}


def _probe_rows(run: Run, store: FeatureStore, layers: list[Layer], columns: dict[str, Any]) -> list[dict[str, Any]]:
    """A probe on one layer, or on the weighted sum of several with the weights as rows of their own."""
    task = columns["view"]
    labels = store.labels("utterance" if task == "speaker" else task)
    if task == "speaker":
        train, test = speaker_rows(run, labels)
        clusters = labels["utterance"].to_numpy()
    else:
        train, test = split_rows(run, labels, task)
        clusters = labels["speaker"].to_numpy()
    chosen = [np.flatnonzero(mask) for mask in (train, test)]
    if not all(len(rows) for rows in chosen) or labels.loc[train, "label"].nunique() < 2:
        return []
    fit, judge = (sample_rows(rows, run.profile.probe_instances, run.seed) for rows in chosen)
    names = labels["label"].to_numpy(str)
    unit = "utterance" if task == "speaker" else task
    first, second = (np.isin(np.arange(len(labels)), rows) for rows in (fit, judge))
    common = {
        "seed": run.seed, "clusters": clusters[judge],
        "groups": None if task == "speaker" else labels["speaker"].to_numpy()[fit],
    }  # fmt: skip
    if len(layers) == 1:
        x, test_x = (read_vectors(store, layers[0], unit, rows) for rows in (first, second))
        probe = linear_probe(x, names[fit], test_x, names[judge], **common)
        return probe.rows(**columns) + _replicate_rows(run, probe, columns)
    x, test_x = (np.stack([read_vectors(store, layer, unit, rows) for layer in layers]) for rows in (first, second))
    result = weighted_sum_probe(x, names[fit], test_x, names[judge], **common)
    weights = [
        {**columns, **layer_columns(layer), "measure": "layer weight", "value": weight, "n": result.n_train}
        for layer, weight in zip(layers, result.weights or (), strict=True)
    ]
    return result.rows(**columns) + weights


def _replicate_rows(run: Run, probe: ProbeResult, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The accuracy of a model's layer in some resamples; none where there are too few clusters for an interval."""
    drawn = probe.bootstrap
    if drawn is None or columns["model"] in ACOUSTIC or not np.isfinite(drawn.low):
        return []
    common = {**columns, "measure": REPLICATE, "n": len(drawn.clusters)}
    kept = drawn.replicates[: max(run.profile.resamples, 2)]
    return [{**common, "trial": trial, "value": value} for trial, value in enumerate(kept)]


def agreement(run: Run) -> Result:
    """Beside every layer's probe accuracy, its CCA and MI with the same labels.

    CCA is computed for phones and words only, unless the workspace holds the scores of all views.
    """
    labels = [view for view in run.profile.views if view in TASKS] or run.profile.views

    def compute() -> pd.DataFrame:
        keys = ["model", "seed", "layer", "view"]
        probed = probes(run).table
        accuracy = probed[(probed["measure"] == "accuracy") & probed["layer_index"].notna()]
        found = []
        correlation = kept_or(run, cca, lambda: cca(part_of(run, run.profile.models, views=tuple(labels)))).table
        shared = mutual_information(run).table
        for name, table, measure in (("CCA", correlation, run.profile.variant), ("MI", shared, "adjusted")):
            rows = table[(table["measure"] == measure) & table["trial"].isna() & table["view"].isin(["phone", "word"])]
            rows = rows[~rows["model"].isin(ACOUSTIC)]
            rows = rows.merge(accuracy[[*keys, "value"]].rename(columns={"value": "accuracy"}), on=keys)
            found.append(rows.assign(measure=name))
        return tidy([{str(key): value for key, value in row.items()} for row in pd.concat(found).to_dict("records")])

    names = tuple(name for name in vars(run.profile) if name not in ("name", "description", "models"))
    return run.table("agreement", run_parameters(run, *names), compute)
