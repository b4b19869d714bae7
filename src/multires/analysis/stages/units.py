"""Layers and acoustic features as units: what their clusters say about phones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import ACOUSTIC, Run, Subject
from multires.analysis.stages.gather import gather_rows, layer_columns
from multires.analysis.stages.grid import framed_columns, framed_layers, grid_vectors, sampled_windows
from multires.analysis.stages.rows import run_parameters
from multires.features.frames import FrameStore
from multires.measures.anisotropy import standardize
from multires.measures.kmeans import fit_kmeans
from multires.measures.units import unit_scores
from multires.models.layers import Layer
from multires.results import Result

RATES = (50, 25)
"""Frames per second at which units are compared with phones."""


@dataclass(frozen=True)
class _Place:
    """One layer: a piece of work."""

    store: FrameStore
    layer: Layer
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.columns['model']} {self.layer.name}"


def frame_units(run: Run) -> Result:
    """PNMI, phone purity, cluster purity and adjusted MI of the clusters of every layer with phones, frame by frame.

    Clusters are fitted to windows of the training splits and judged on those of the evaluation splits, at `RATES` and
    for every number in the profile's `unit_clusters`. Windows of silence are left out. Log-mel and MFCC are clustered
    too, standardized: units of MFCC are what the first iteration of HuBERT is trained to predict, and those of a
    teacher's layer what a later one is.
    """

    def rows_of(place: _Place) -> list[dict[str, Any]]:
        return [row for rate in RATES for row in _unit_rows(run, place, rate)]

    def compute() -> pd.DataFrame:
        places = [
            _Place(
                run.frames(subject.name, subject.seed), layer, {**framed_columns(run, subject), **layer_columns(layer)}
            )
            for subject in [*run.subjects, *(Subject(name, 0) for name in ACOUSTIC)]
            for layer in framed_layers(run, subject)
        ]
        return gather_rows(run, "units", places, rows_of)

    names = ("train", "evaluation", "frame_utterances", "grid_frames", "unit_clusters", "resamples")
    return run.table("units", run_parameters(run, *names), compute)


def _unit_rows(run: Run, place: _Place, rate: int) -> list[dict[str, Any]]:
    items = place.store.items()
    fit, judge = (
        sampled_windows(run, items, 1 / rate, splits) for splits in (run.profile.train, run.profile.evaluation)
    )
    if fit.empty or judge["label"].nunique() < 2:
        return []
    fitted, judged = (grid_vectors(place.store, place.layer, table, 1 / rate) for table in (fit, judge))
    if place.columns["model"] in ACOUSTIC:
        mean, deviation = fitted.mean(axis=0), fitted.std(axis=0)
        fitted, judged = (standardize(values, mean, deviation) for values in (fitted, judged))
    rows = []
    for count in run.profile.unit_clusters:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* clusters were reduced to")
            kmeans = fit_kmeans(fitted, count, seed=run.seed, name=str(place))
        units = kmeans.predict(judged, name=str(place))
        if len(np.unique(units)) < 2:
            continue
        found = unit_scores(
            units, judge["label"].to_numpy(str), judge["speaker"].to_numpy(str),
            seed=run.seed, replicates=run.profile.resamples, name=str(place),
        )  # fmt: skip
        rows += found.rows(
            **place.columns, view="phone", rate=rate, n_train=len(fit), clusters=kmeans.n_clusters,
            clusters_requested=count,
        )  # fmt: skip
    return rows
