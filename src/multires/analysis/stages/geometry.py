"""Anisotropy of layers, and what other measures say once outlier dimensions are standardized or removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run, Subject
from multires.analysis.stages.gather import gather_rows, layer_columns
from multires.analysis.stages.grid import PERIOD, framed_columns, framed_layers, grid_vectors, sampled_windows
from multires.analysis.stages.matched import EQUAL, MatchedFrames, chosen_items, match_frames
from multires.analysis.stages.rows import run_parameters
from multires.errors import MultiresError
from multires.features.frames import FrameStore
from multires.measures.abx import abx
from multires.measures.anisotropy import anisotropy, remove_dimensions, standardize
from multires.measures.cca import cca_scores
from multires.measures.folds import feasible_folds
from multires.measures.similarity_map import cka_map
from multires.models.layers import Layer
from multires.results import Result

TREATMENTS = ("as they are", "standardized", "without outliers")
"""Treatments of the dimensions of a layer."""

_MOST = 2
"""Limit of the items of a cell and of X in ABX."""


@dataclass(frozen=True)
class _Place:
    """One layer: a piece of work; log-mel is what CKA compares it with, and None where nothing is treated."""

    store: FrameStore
    layer: Layer
    columns: Mapping[str, Any]
    mel: tuple[FrameStore, Layer] | None

    def __str__(self) -> str:
        return f"{self.columns['model']} {self.layer.name}"


def layer_geometry(run: Run) -> Result:
    """Mean cosine, shares of the largest dimensions and outlier dimensions of every layer.

    Of `Run.example`, also the CKA with log-mel, the CCA with words and the word ABX of each layer for every one of
    `TREATMENTS`, in the column ``treatment``: a measure that depends on few dimensions changes. Vectors are windows of a
    grid of 40 ms in the evaluation splits.
    """

    def rows_of(place: _Place) -> list[dict[str, Any]]:
        table = sampled_windows(run, place.store.items(), PERIOD, run.profile.evaluation)
        if len(table) < 4:
            return []
        x, speakers = grid_vectors(place.store, place.layer, table, PERIOD), table["speaker"].to_numpy(str)
        draws = max(run.profile.resamples, 2)
        found = anisotropy(x, speakers, seed=run.seed, replicates=draws, name=str(place))
        rows = found.rows(**place.columns, view="frames", treatment=TREATMENTS[0])
        if place.mel is None:
            return rows
        mel = grid_vectors(*place.mel, table, PERIOD)
        for treatment in TREATMENTS:
            treated = _treated(x, treatment, found.outliers, x)
            similarity = cka_map([treated], [mel], clusters=speakers, seed=run.seed, replicates=draws, name=str(place))
            where = {**place.columns, "treatment": treatment}
            rows.append({
                **where, "measure": "cka", "view": "mel", "value": similarity.value[0, 0], "n": similarity.n,
                "low": similarity.low[0, 0], "high": similarity.high[0, 0],
            })  # fmt: skip
            rows += _word_rows(run, place, where, found.outliers, x)
        return rows

    def compute() -> pd.DataFrame:
        mel = run.frames("mel"), run.model("mel").layers[0]
        places = [
            _Place(
                run.frames(subject.name, subject.seed), layer,
                {**framed_columns(run, subject), **layer_columns(layer)}, mel if subject == run.example else None,
            )
            for subject in [*run.subjects, Subject("mel", 0)]
            for layer in framed_layers(run, subject)
        ]  # fmt: skip
        return gather_rows(run, "geometry", places, rows_of)

    names = ("evaluation", "variant", "folds", "regularizers", "word_types", "word_instances", "frame_utterances",
             "grid_frames", "matched_instances", "resamples")  # fmt: skip
    return run.table("geometry", run_parameters(run, *names), compute)


def _treated(x: np.ndarray, treatment: str, outliers: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Vectors after a treatment, by the mean and deviation of reference vectors."""
    if treatment == TREATMENTS[1]:
        return standardize(x, reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64))
    return remove_dimensions(x, outliers) if treatment == TREATMENTS[2] else x


def _word_rows(
    run: Run, place: _Place, where: Mapping[str, Any], outliers: np.ndarray, reference: np.ndarray
) -> list[dict[str, Any]]:
    """CCA with words and word ABX on frames of 40 ms; a measure for which there is too little speech is left out."""
    words = chosen_items(run, place.store.items(), "word")
    words = words[words["split"].isin(run.profile.evaluation)].reset_index(drop=True)
    if words["label"].nunique() < 2:
        return []
    own = match_frames(*place.store.frames(place.layer.name), place.layer, EQUAL, words)
    frames = MatchedFrames(_treated(own.values, str(where["treatment"]), outliers, reference), own.spans)
    labels, speakers = words["label"].to_numpy(str), words["speaker"].to_numpy(str)
    draws = max(run.profile.resamples, 2)
    rows: list[dict[str, Any]] = []
    folds = feasible_folds(run.profile.folds, 1, len(words))
    if folds is not None:
        result = cca_scores(
            frames.means(), {"label": labels}, variant=run.profile.variant, folds=folds[0], trials=folds[1],
            max_pairs=min(run.profile.regularizers, 2), resample_by=speakers, seed=run.seed, replicates=draws,
            name=str(place),
        )["label"]  # fmt: skip
        low, high = result.interval or (np.nan, np.nan)
        known = {**where, "view": "word", "n": result.n}
        rows.append({**known, "measure": "cca", "value": result.score, "low": low, "high": high})
        rows.append({**known, "measure": "cca (shuffled)", "value": result.baseline})
    try:
        error = abx(
            frames.values, frames.spans, labels, speakers, speakers="across", max_size=_MOST, max_x=_MOST, seed=run.seed,
            replicates=draws, name=str(place),
        )  # fmt: skip
    except MultiresError:
        return rows  # no two speakers say the same word
    low, high = (1 - error.bootstrap.high, 1 - error.bootstrap.low)
    known = {**where, "view": "word", "n": error.n}
    rows.append({**known, "measure": "abx accuracy", "value": error.score, "low": low, "high": high})
    if error.baseline is not None:
        rows.append({**known, "measure": "abx accuracy (shuffled)", "value": 1 - error.baseline})
    return rows
