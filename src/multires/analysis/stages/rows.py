"""Rows of a feature store that a measure looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run
from multires.features.store import FeatureStore
from multires.measures.rows import Pieces
from multires.models.layers import Layer


def run_parameters(run: Run, *names: str) -> dict[str, Any]:
    """Parameters that a table depends on: models, layers, and some fields of the profile."""
    return {
        "models": [(subject.name, subject.seed) for subject in run.subjects],
        "layers": run.layers,
        **{name: getattr(run.profile, name) for name in names},
    }


def frequent_words(run: Run, labels: pd.DataFrame) -> np.ndarray:
    """Mask of the words that occur often enough in every split they are compared in, at most so many different ones."""
    counts = labels["label"].value_counts()
    kept = counts[counts >= run.profile.word_instances].index[: run.profile.word_types]
    return labels["label"].isin(kept).to_numpy()


def sample_rows(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """A random sample of rows, in order, where there are more than `most`."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


_HELD = 2**30
"""Bytes of one layer's vectors of phones or words that k-means holds in memory; more are read shard by shard."""


def too_many(layer: Layer, rows: int) -> bool:
    """Return True if a layer has too many vectors to be held in memory."""
    return 4 * layer.dim * rows > _HELD


def held_or_read(run: Run, store: FeatureStore, layer: Layer, unit: str, rows: np.ndarray) -> np.ndarray | Pieces:
    """A layer's vectors in a mask of rows, or what reads them where all of the layer's would be too many."""
    if not too_many(layer, len(rows)):
        return read_vectors(store, layer, unit, rows)
    readers = store.readers(layer.name, unit, rows)
    return Pieces(readers, [int(reader.mask.sum()) for reader in readers], layer.dim, run.engine)


def read_vectors(store: FeatureStore, layer: Layer, unit: str, rows: np.ndarray) -> np.ndarray:
    """A layer's vectors in a mask of rows; others are in memory by the shard only."""
    return np.concatenate([read() for read in store.readers(layer.name, unit, rows)])


def split_rows(run: Run, labels: pd.DataFrame, view: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the evaluation splits that a view uses."""
    usable = (labels["label"] != "").to_numpy()
    if view == "word":
        usable = usable & frequent_words(run, labels)
    train = usable & labels["split"].isin(run.profile.train).to_numpy()
    evaluation = usable & labels["split"].isin(run.profile.evaluation).to_numpy()
    return train, evaluation


def speaker_rows(run: Run, labels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Of every speaker with five utterances or more, every third utterance is tested and the others train."""
    order = labels.groupby("speaker").cumcount().to_numpy()
    enough = labels.groupby("speaker")["utterance"].transform("size").to_numpy() >= 5
    return enough & (order % 3 != 2), enough & (order % 3 == 2)
