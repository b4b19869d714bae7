"""Maps of similarity between layers: within a model, between conditions, and between seeds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run, Subject
from multires.analysis.stages.gather import gather_rows, layer_columns, subject_columns
from multires.analysis.stages.grid import PERIOD, framed_layers, grid_vectors, sampled_windows
from multires.analysis.stages.rows import run_parameters
from multires.features.frames import FrameStore
from multires.measures.cca import cca_scores
from multires.measures.folds import feasible_folds
from multires.measures.similarity_map import cka_map
from multires.models.layers import Layer
from multires.results import Result

WITHIN, CONDITIONS, SEEDS = "within a model", "between conditions", "between seeds"
"""Comparisons: a model's layers with one another, and those of two models that differ in one switch or in the seed."""

_CCA_ROWS = 4_000
"""Windows, at most, that CCA uses."""


@dataclass(frozen=True)
class _Side:
    """One model of a pair."""

    store: FrameStore
    layers: tuple[Layer, ...]
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class _Pair:
    """Two models, or one with itself: a piece of work."""

    first: _Side
    second: _Side
    comparison: str

    def __str__(self) -> str:
        return f"{self.first.columns['model']} and {self.second.columns['model']}"


def layer_similarity(run: Run) -> Result:
    """Debiased linear CKA of every pair of layers, and mean CCA of layers of equal depth, on a common grid of 40 ms.

    Each model is compared with itself, and models that differ in one switch of the experiment or in their seed with one
    another: what two seeds share is the ceiling of what two conditions could. Rows name the second model and layer in
    the columns whose names begin with ``against``.
    """

    def rows_of(pair: _Pair) -> list[dict[str, Any]]:
        return _pair_rows(run, pair)

    def compute() -> pd.DataFrame:
        return gather_rows(run, "similarity", _pairs(run), rows_of, unit="pair")

    names = ("evaluation", "folds", "trials", "frame_utterances", "grid_frames", "resamples")
    return run.table("similarity", run_parameters(run, *names), compute)


def _pairs(run: Run) -> list[_Pair]:
    sides = {
        subject: _Side(
            run.frames(subject.name, subject.seed),
            tuple(framed_layers(run, subject)),
            subject_columns(run, subject),
        )
        for subject in run.subjects
    }
    found = [_Pair(side, side, WITHIN) for side in sides.values()]
    for first, second in itertools.combinations(run.subjects, 2):
        comparison = _comparison(first, second, sides[first].columns, sides[second].columns)
        if comparison:
            found.append(_Pair(sides[first], sides[second], comparison))
    return found


def _comparison(first: Subject, second: Subject, one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The single respect in which two models differ, or None."""
    if one["trained"] != other["trained"]:
        return None
    stems = [re.sub(r"-\d+$", "", subject.name) for subject in (first, second)]
    if one["condition"] == other["condition"]:
        return SEEDS if stems[0] == stems[1] else None
    if first.seed != second.seed:
        return None
    architectures, losses = zip(*(str(each["condition"]).partition("+")[::2] for each in (one, other)), strict=True)
    known = {"mono", "multi", "multi3"}
    if not set(architectures) <= known:
        return None
    return CONDITIONS if (architectures[0] != architectures[1]) != (losses[0] != losses[1]) else None


def _pair_rows(run: Run, pair: _Pair) -> list[dict[str, Any]]:
    table = sampled_windows(run, pair.first.store.items(), PERIOD, run.profile.evaluation)
    if len(table) < 4:
        return []
    speakers = table["speaker"].to_numpy(str)
    vectors = [
        [grid_vectors(side.store, layer, table, PERIOD) for layer in side.layers]
        for side in ((pair.first,) if pair.comparison == WITHIN else (pair.first, pair.second))
    ]
    found = cka_map(
        vectors[0], vectors[1] if len(vectors) > 1 else None, clusters=speakers, seed=run.seed,
        replicates=max(run.profile.resamples, 2), name=str(pair),
    )  # fmt: skip
    rows = []
    for (i, layer), (j, other) in itertools.product(enumerate(pair.first.layers), enumerate(pair.second.layers)):
        where = {**_columns(pair, layer, other), "n": found.n}
        rows.append({
            **where, "measure": "cka", "value": found.value[i, j], "low": found.low[i, j], "high": found.high[i, j]
        })  # fmt: skip
        rows.append({**where, "measure": "cka (shuffled)", "value": found.baseline[i, j]})
    return rows + (_cca_rows(run, pair, vectors, table) if len(vectors) > 1 else [])


def _cca_rows(run: Run, pair: _Pair, vectors: list[list[np.ndarray]], table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean CCA of layers of equal depth."""
    chosen = np.sort(np.random.default_rng(run.seed).permutation(len(table))[:_CCA_ROWS])
    folds = feasible_folds(run.profile.folds, 1, len(chosen) // 2)
    depths = {layer.index: place for place, layer in enumerate(pair.second.layers)}
    rows: list[dict[str, Any]] = []
    for i, layer in enumerate(pair.first.layers):
        j = depths.get(layer.index)
        if j is None or folds is None:
            continue
        result = cca_scores(
            vectors[0][i][chosen], {"other": vectors[1][j][chosen]}, variant="mean", folds=folds[0], trials=folds[1],
            max_pairs=2, resample_by=table["speaker"].to_numpy(str)[chosen], seed=run.seed,
            replicates=max(run.profile.resamples, 2), name=f"{pair}, layer {layer.name}",
        )["other"]  # fmt: skip
        low, high = result.interval or (np.nan, np.nan)
        where = {**_columns(pair, layer, pair.second.layers[j]), "n": result.n}
        rows.append({**where, "measure": "cca", "value": result.score, "low": low, "high": high})
        rows.append({**where, "measure": "cca (shuffled)", "value": result.baseline})
    return rows


def _columns(pair: _Pair, layer: Layer, other: Layer) -> dict[str, Any]:
    second = pair.second.columns
    return {
        **pair.first.columns, **layer_columns(layer), "view": "layer", "comparison": pair.comparison,
        "against": second["model"], "against_condition": second["condition"], "against_seed": second["seed"],
        "against_layer": other.name, "against_layer_index": other.index,
    }  # fmt: skip
