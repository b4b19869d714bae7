"""Canonical correlation of every layer with acoustics, labels and other models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run
from multires.analysis.stages.gather import Place, gather_rows, subject_places
from multires.analysis.stages.rows import frequent_words, run_parameters
from multires.corpus.word_vectors import WordVectors, read_word_vectors
from multires.errors import choose
from multires.features.pooling import serves
from multires.features.segments import FRAME_PERIODS
from multires.features.store import FeatureStore
from multires.measures.bootstrap import Bootstrap, resampling_clusters
from multires.measures.cca import VARIANTS, cca_scores
from multires.measures.cca_result import CCAResult
from multires.measures.folds import feasible_folds
from multires.models.layers import Layer
from multires.results import Result

GROUPINGS = ("segment", "utterance", "speaker")
"""Groups that are kept whole within one fold of CCA."""

logger = logging.getLogger(__name__)


def cca(run: Run, *, group_by: str = "segment", word_vectors: str = "") -> Result:
    """CCA of every layer with every view: the mean over trials with its interval, each trial, and shuffled pairs.

    Parameters
    ----------
    group_by
        What is never on both sides of a split: ``segment``, ``utterance`` or ``speaker``.
    word_vectors
        A file in GloVe's text format, compared with the vectors of words as the view ``word_vectors``; none where empty.
    """
    parameters = _cca_parameters(run, group_by, word_vectors)

    def compute() -> pd.DataFrame:
        table = cca_replicates(run, group_by=group_by, word_vectors=word_vectors).table
        return table[table["measure"] != REPLICATE].reset_index(drop=True)

    return run.table("cca", parameters, compute)


REPLICATE = "replicate"
"""The measure of a score in one resample of the clusters, numbered by its trial."""


def cca_replicates(run: Run, *, group_by: str = "segment", word_vectors: str = "") -> Result:
    """As `cca`, with the score in every resample: what paired comparisons need (`multires.analysis.comparisons`)."""
    vectors = _word_vectors(run, word_vectors)

    def rows_of(place: Place) -> list[dict[str, Any]]:
        store, layer, columns = place
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, run.profile.views, vectors):
            for view, result in _score(run, x, views, labels, columns, group_by=group_by).items():
                found = {**columns, "view": view, "window": window}
                rows += _cca_rows(result, found) + replicate_rows(result.bootstrap, found)
        return rows

    def compute() -> pd.DataFrame:
        places = subject_places(run, run.subjects)
        if "mel" in run.profile.views:
            run.features("mel")
        if "layer" in run.profile.views:
            run.features(run.profile.reference_model)
        return gather_rows(run, "cca", places, rows_of)

    return run.table("cca-replicates", _cca_parameters(run, group_by, word_vectors), compute)


def _cca_parameters(run: Run, group_by: str, word_vectors: str) -> dict[str, Any]:
    names = ("views", "variant", "folds", "trials", "regularizers", "resamples", "reference_model", "word_types",
             "word_instances")  # fmt: skip
    found = {**run_parameters(run, *names), "group_by": choose("group_by", group_by, GROUPINGS)}
    vectors = _word_vectors(run, word_vectors)
    return found if vectors is None else {**found, "word_vectors": [vectors.name, vectors.digest]}


def _word_vectors(run: Run, path: str) -> WordVectors | None:
    words = run.segments.loc[run.segments["unit"] == "word", "label"].unique() if path else ()
    return read_word_vectors(path, words) if path else None


def cca_variants(run: Run) -> Result:
    """Every definition of the score for one model's layers against phones (see `Run.example`)."""

    def rows_of(place: Place) -> list[dict[str, Any]]:
        store, layer, columns = place
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, ("phone",)):
            for variant in VARIANTS:
                for result in _score(run, x, views, labels, columns, variant=variant).values():
                    rows += _cca_rows(result, {**columns, "view": "phone", "window": window, "variant": variant})
        return rows

    def compute() -> pd.DataFrame:
        return gather_rows(run, "variants", subject_places(run, [run.example]), rows_of)

    return run.table("cca-variants", run_parameters(run, "folds", "trials", "resamples"), compute)


def cca_grouping(run: Run) -> Result:
    """The deepest layer of one model, where segments, utterances or speakers are kept on one side of a split."""

    def rows_of(grouping: str) -> list[dict[str, Any]]:
        store, layer, columns = subject_places(run, [run.example])[-1]
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, ("mel", "phone", "word")):
            if window in (None, _COARSEST):
                for view, result in _score(run, x, views, labels, columns, group_by=grouping).items():
                    rows += _cca_rows(result, {**columns, "view": view, "window": window, "grouping": grouping})
        return rows

    def compute() -> pd.DataFrame:
        subject_places(run, [run.example])
        run.features("mel")
        return gather_rows(run, "grouping", GROUPINGS, rows_of, unit="grouping")

    names = ("variant", "folds", "trials", "resamples", "word_types", "word_instances")
    return run.table("cca-grouping", run_parameters(run, *names), compute)


def _compared(
    run: Run, store: FeatureStore, layer: Layer, views: tuple[str, ...], vectors: WordVectors | None = None
) -> Iterator[tuple[dict[str, np.ndarray], int | None, np.ndarray, pd.DataFrame]]:
    """Views that look at the same segments, the window (ms) of these, the layer's vectors, and the segments' labels."""
    for period in FRAME_PERIODS:
        window = round(period * 1000)
        unit = f"frame{window}"
        if serves(layer, unit):
            found = _frame_views(run, store, layer, views, unit, coarsest=window == _COARSEST)
            if found:
                yield found, window, store.vectors(layer.name, unit), store.labels(unit)
    for view, (unit, column) in _LABEL_VIEWS.items():
        if view in views:
            labels = store.labels(unit)
            mask = (labels[column] != "").to_numpy()
            if view == "word":
                mask = mask & frequent_words(run, labels)
            if len(np.unique(labels.loc[mask, column].to_numpy(str))) > 1:
                found = {view: labels.loc[mask, column].to_numpy(str)}
                yield found, None, store.vectors(layer.name, unit)[mask], labels[mask]
    if vectors is not None:
        labels = store.labels("word")
        found_rows, known = vectors.of(labels["label"])
        frequent = frequent_words(run, labels)
        mask = known & frequent
        if len(np.unique(labels.loc[mask, "label"].to_numpy(str))) > 1:
            y = found_rows[frequent[known]]
            yield {"word_vectors": y}, None, store.vectors(layer.name, "word")[mask], labels[mask]


_LABEL_VIEWS = {"phone": ("phone", "label"), "word": ("word", "label"), "part_of_speech": ("word", "part_of_speech")}

_COARSEST = round(FRAME_PERIODS[-1] * 1000)


def _frame_views(
    run: Run, store: FeatureStore, layer: Layer, views: tuple[str, ...], unit: str, *, coarsest: bool
) -> dict[str, np.ndarray]:
    """Log-mel in every window; the waveform encoder and the reference model's last layer in the coarsest only."""
    found = {}
    if "mel" in views:
        found["mel"] = run.features("mel").vectors("mel", unit)
    if "conv" in views and coarsest and layer.name != "conv" and "conv" in store.layer_names():
        found["conv"] = store.vectors("conv", unit)
    if "layer" in views and coarsest:
        other = run.features(run.profile.reference_model)
        if other.path != store.path:
            found["layer"] = other.vectors(other.layer_names()[-1], unit)
    return found


def _score(
    run: Run,
    x: np.ndarray,
    views: dict[str, np.ndarray],
    labels: pd.DataFrame,
    columns: dict[str, Any],
    *,
    variant: str | None = None,
    group_by: str = "segment",
) -> dict[str, CCAResult]:
    made = _folds(run, labels, group_by)
    if made is None:
        return {}
    units, _ = resampling_clusters(labels["speaker"], labels["utterance"])
    return cca_scores(
        x, views,
        variant=variant or run.profile.variant, folds=made[0], trials=made[1], seed=run.seed,
        max_pairs=run.profile.regularizers, groups=None if group_by == "segment" else labels[group_by].to_numpy(),
        resample_by=units, replicates=run.profile.resamples, name=f"{columns['model']}, layer {columns['layer']}",
    )  # fmt: skip


def _folds(run: Run, labels: pd.DataFrame, group_by: str) -> tuple[int, int] | None:
    """Folds and trials for some segments; fewer than the profile's, or none, where there are too few groups."""
    units = len(labels) // 2 if group_by == "segment" else labels[group_by].nunique()  # two rows a fold, at least
    asked = run.profile.folds, run.profile.trials
    made = feasible_folds(*asked, units)
    if made != asked:
        outcome = "is left out" if made is None else f"uses {made[0]} folds and {made[1]} trials"
        logger.info("CCA that keeps each %s whole %s: there are only %d", group_by, outcome, units)
    return made


def _cca_rows(result: CCAResult, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The mean over trials (its trial is empty), each trial, and the shuffled baseline."""
    low, high = result.interval or (np.nan, np.nan)
    common = {**columns, "n": result.n}
    return [
        {**common, "measure": result.variant, "value": result.score, "low": low, "high": high},
        *(
            {**common, "measure": result.variant, "trial": trial, "value": score}
            for trial, score in enumerate(result.trial_scores)
        ),
        {**common, "measure": "shuffled", "value": result.baseline},
    ]


def replicate_rows(bootstrap: Bootstrap | None, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The score in every resample; none where there were too few clusters to resample."""
    if bootstrap is None:
        return []
    n = len(bootstrap.clusters)
    return [
        {**columns, "measure": REPLICATE, "trial": number, "value": value, "n": n}
        for number, value in enumerate(bootstrap.replicates)
    ]
