"""Mutual information between every layer's clusters and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run
from multires.analysis.stages.correlation import REPLICATE, replicate_rows
from multires.analysis.stages.gather import Place, acoustic_places, gather_rows, subject_places
from multires.analysis.stages.rows import held_or_read, run_parameters, split_rows, too_many
from multires.features.store import FeatureStore
from multires.measures.bootstrap import resampling_clusters
from multires.measures.mutual_information import mutual_informations
from multires.models.layers import Layer
from multires.results import Result

CLUSTER_COUNTS = (25, 50, 100, 200, 400, 800)
"""Numbers of k-means clusters at which the bias of MI is shown."""


_INFORMATION = {
    "normalized": "normalized", "adjusted": "adjusted", "bits": "bits", "bits corrected": "corrected", "purity": "purity",
}  # fmt: skip


VIEWS = ("phone", "word")
"""Labels that clusters are compared with."""


def mutual_information(run: Run, *, views: Sequence[str] = VIEWS, layers_only: bool = False) -> Result:
    """MI of clusters with phones and words, at every layer and for log-mel and MFCC.

    Parameters
    ----------
    views
        Some of `VIEWS`.
    layers_only
        Leave log-mel and MFCC out.
    """
    parameters = _information_parameters(run, views, layers_only)

    def compute() -> pd.DataFrame:
        table = mutual_information_replicates(run, views=views, layers_only=layers_only).table
        return table[table["measure"] != REPLICATE].reset_index(drop=True)

    return run.table("mutual-information", parameters, compute)


def mutual_information_replicates(run: Run, *, views: Sequence[str] = VIEWS, layers_only: bool = False) -> Result:
    """As `mutual_information`, with the normalized figure in every resample: what paired comparisons need."""

    def rows_of(place: Place) -> list[dict[str, Any]]:
        return [
            row
            for view in views
            for row in _information_rows(run, *place, view=view, seeds=run.profile.cluster_seeds, replicates=True)
        ]

    def compute() -> pd.DataFrame:
        def spreads(place: Place) -> bool:
            store, layer, _ = place
            return any(too_many(layer, len(store.labels(view))) for view in views)

        places = subject_places(run, run.subjects) + ([] if layers_only else acoustic_places(run))
        return gather_rows(run, "mutual information", places, rows_of, spreads=spreads)

    return run.table("mutual-information-replicates", _information_parameters(run, views, layers_only), compute)


def _information_parameters(run: Run, views: Sequence[str], layers_only: bool) -> dict[str, Any]:
    names = ("train", "evaluation", "phone_clusters", "word_clusters", "cluster_seeds", "resamples", "word_types",
             "word_instances")  # fmt: skip
    return {**run_parameters(run, *names), "views": list(views), "layers_only": layers_only}


def mi_clusters(run: Run) -> Result:
    """MI with phones at growing numbers of clusters, for the middle layer of one model."""

    def compute() -> pd.DataFrame:
        places = subject_places(run, [run.example])
        middle = places[len(places) // 2]
        table = gather_rows(
            run, "clusters", CLUSTER_COUNTS,
            lambda clusters: _information_rows(run, *middle, view="phone", seeds=1, clusters=clusters), unit="count",
        )  # fmt: skip
        # Counts that the data cannot fill all become the same number: once is enough.
        return table.drop_duplicates(["measure", "trial", "clusters"], ignore_index=True)

    return run.table("mi-clusters", run_parameters(run, "train", "evaluation", "resamples"), compute)


def _information_rows(
    run: Run,
    store: FeatureStore,
    layer: Layer,
    columns: dict[str, Any],
    *,
    view: str,
    seeds: int,
    clusters: int | None = None,
    replicates: bool = False,
) -> list[dict[str, Any]]:
    """Means over the seeds of k-means (their trial is empty), each seed, and the same with the labels shuffled.

    The interval of the normalized figure is a bootstrap over speakers; that of the others is their range over seeds.
    With `replicates`, the normalized figure in every resample follows.
    """
    labels = store.labels(view)
    train, evaluation = split_rows(run, labels, view)
    if labels.loc[evaluation, "label"].nunique() < 2 or not train.any():
        return []
    names = labels.loc[evaluation, "label"].to_numpy(str)
    units, _ = resampling_clusters(labels.loc[evaluation, "speaker"], labels.loc[evaluation, "utterance"])
    shuffled = np.random.default_rng(run.seed).permutation(names)
    fitted, judged_on = (held_or_read(run, store, layer, view, rows) for rows in (train, evaluation))
    results = mutual_informations(
        fitted, judged_on, {"": names, " shuffled": shuffled},
        n_clusters=clusters or (run.profile.phone_clusters if view == "phone" else run.profile.word_clusters),
        seeds=range(run.seed, run.seed + seeds), resample_by=units, replicates=run.profile.resamples,
        device=run.device, name=f"{columns['model']}, layer {layer.name}, {view}s",
    )  # fmt: skip
    rows = []
    for suffix, result in results.items():
        common = {**columns, "view": view, "n": result.n, "n_train": result.n_train, "clusters": result.n_clusters,
                  "clusters_requested": result.requested}  # fmt: skip
        for measure, attribute in _INFORMATION.items():
            values = [getattr(each, attribute) for each in result.runs]
            low, high = (result.interval if measure == "normalized" else None) or (min(values), max(values))
            rows.append({**common, "measure": measure + suffix, "value": np.mean(values), "low": low, "high": high})
            rows += [
                {**common, "measure": measure + suffix, "trial": trial, "value": value}
                for trial, value in enumerate(values)
            ]
    if replicates:
        rows += replicate_rows(results[""].bootstrap, {**columns, "view": view})
    return rows
