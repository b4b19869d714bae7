"""Segments, folds and windows of a streamed CCA, decided before any audio is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from multires.analysis.streaming_settings import FRAME_VIEWS, LABEL_VIEWS, Settings
from multires.corpus.utterance import SILENCE, Corpus, Utterance
from multires.corpus.word_vectors import WordVectors, read_word_vectors
from multires.errors import MultiresError
from multires.features.extract import choose_layers
from multires.features.sources import fingerprint
from multires.measures.bootstrap import resampling_clusters
from multires.measures.folds import assign_folds, choose_trials
from multires.models.acoustic import LogMel
from multires.models.layers import Layer, LayeredModel


@dataclass(frozen=True)
class Labels:
    """The segments of one view of a corpus.

    Attributes
    ----------
    utterance
        Index of each segment's utterance, ascending.
    start, end
        Seconds.
    y
        Label indices (segments,), or vectors (segments, dim).
    shuffled
        The same rows in random order.
    dim
        Columns of the view.
    fold
        Of each segment, where segments are split one by one.
    """

    utterance: np.ndarray
    start: np.ndarray
    end: np.ndarray
    y: np.ndarray
    shuffled: np.ndarray
    dim: int
    fold: np.ndarray

    def of(self, utterance: int) -> slice:
        """The rows of one utterance."""
        low, high = np.searchsorted(self.utterance, [utterance, utterance + 1])
        return slice(int(low), int(high))

    def only(self, utterances: np.ndarray) -> Labels:
        """Those of some utterances."""
        kept = np.isin(self.utterance, utterances)
        rows = {name: getattr(self, name)[kept] for name in ("utterance", "start", "end", "y", "shuffled", "fold")}
        return replace(self, **rows)


@dataclass(frozen=True)
class WorkItem:
    """Chunks of utterances by their indices in the corpus, and the part of the plan that is about them."""

    plan: Plan
    chunks: Sequence[Sequence[int]]
    utterances: Mapping[int, Utterance]

    def __str__(self) -> str:
        return f"{len(self.utterances)} utterances from {next(iter(self.utterances.values())).id} on"


@dataclass(frozen=True)
class Plan:
    """Rows that are compared, and the cell of the statistics in which each is counted.

    A cell is a fold, or, in a fold that is tested, a fold and a block of speakers or utterances, so that the bootstrap
    can be made from the statistics alone. All folds that are never held out share one cell.

    Attributes
    ----------
    settings, layers
        What is looked at.
    labels
        The segments of each label view.
    fold_of_utterance, unit_of_utterance
        By index in the corpus; the fold is not used where segments are split one by one.
    fold_of_cell, unit_of_cell
        What `CCA.fit_statistics` needs.
    cells
        The cell of each (fold, unit).
    trials
        (dev, test) pairs.
    windows
        By layer, the frame views of each window (seconds).
    dims
        Columns of each frame view by layer.
    conv
        The model's waveform encoder; None where it has none.
    other_layer
        Of the other model.
    key
        Of model, corpus and settings.
    names
        Utterances.
    """

    settings: Settings
    layers: tuple[Layer, ...]
    labels: Mapping[str, Labels]
    fold_of_utterance: np.ndarray | Mapping[int, int]
    unit_of_utterance: np.ndarray | Mapping[int, int]
    fold_of_cell: np.ndarray
    unit_of_cell: np.ndarray
    cells: np.ndarray
    trials: tuple[tuple[int, int], ...]
    windows: Mapping[str, Mapping[float, tuple[str, ...]]]
    dims: Mapping[str, int]
    conv: Layer | None
    other_layer: Layer | None
    key: str
    names: Sequence[str] | Mapping[int, str]

    @classmethod
    def of(
        cls,
        model: LayeredModel,
        corpus: Corpus,
        settings: Settings,
        other: LayeredModel | None = None,
        word_vectors: str | Path | None = None,
    ) -> Plan:
        """The plan of a model, a corpus and a settings."""
        layers = tuple(choose_layers(model, settings.layers))
        other_layer = _other_layer(settings, other)
        vectors = _word_vectors(settings, corpus, word_vectors)
        labels = {
            view: found
            for view in LABEL_VIEWS
            if view in settings.views and (found := _labels(view, corpus, settings, vectors)) is not None
        }
        folds, units = _split(corpus, settings)
        trials = choose_trials(settings.trials, settings.folds, settings.seed)
        fold_of_cell, unit_of_cell, cells = _cells(settings.folds, trials, int(units.max()) + 1)
        conv = next((layer for layer in model.layers if layer.name == "conv"), None)
        others = {"conv": conv, "layer": other_layer}
        windows = {layer.name: _windows(layer, settings, others) for layer in layers}
        dims = {"mel": LogMel.dim, **{view: found.dim for view, found in others.items() if found is not None}}
        key = json.dumps(
            [fingerprint(model), corpus.fingerprint, repr(settings), vectors.digest if vectors else "",
             fingerprint(other) if other is not None else ""]
        )  # fmt: skip
        return cls(
            settings, layers, labels, folds, units, fold_of_cell, unit_of_cell, cells, trials, windows, dims, conv,
            other_layer, key, tuple(utterance.id for utterance in corpus),
        )  # fmt: skip

    def share(self, chunks: Sequence[Sequence[int]], corpus: Corpus) -> WorkItem:
        """The part of the plan needed to count some utterances."""
        chosen = sorted(index for chunk in chunks for index in chunk)
        plan = replace(
            self,
            labels={view: found.only(np.array(chosen)) for view, found in self.labels.items()},
            fold_of_utterance={index: self.fold_of_utterance[index] for index in chosen},
            unit_of_utterance={index: self.unit_of_utterance[index] for index in chosen},
            names={index: self.names[index] for index in chosen},
        )
        return WorkItem(plan, chunks, {index: corpus.utterances[index] for index in chosen})

    @property
    def frame_windows(self) -> list[float]:
        """Seconds of every window that frames are averaged over."""
        return sorted({window for windows in self.windows.values() for window in windows})

    def cell(self, utterance: int, fold: np.ndarray | int) -> np.ndarray:
        """The cells of rows of an utterance that are in these folds."""
        return self.cells[fold, self.unit_of_utterance[utterance]]

    def frame_folds(self, utterance: int, rows: int, piece: int = 0) -> np.ndarray:
        """The folds of the frames of an utterance or, of a long one, of a piece."""
        if self.settings.group_by != "segment":
            return np.full(rows, self.fold_of_utterance[utterance])
        rng = np.random.default_rng([self.settings.seed, 1, utterance, *([piece] if piece else [])])
        return rng.permutation(np.arange(rows) % self.settings.folds)


def _other_layer(settings: Settings, other: LayeredModel | None) -> Layer | None:
    if "layer" not in settings.views:
        return None
    if other is None:
        raise MultiresError("view 'layer' compares with another model: give other, or leave the view out")
    return choose_layers(other, [settings.other_layer])[0] if settings.other_layer else other.layers[-1]


def _word_vectors(settings: Settings, corpus: Corpus, path: str | Path | None) -> WordVectors | None:
    if "word_vectors" not in settings.views:
        return None
    if path is None:
        raise MultiresError("view 'word_vectors' reads a file: give word_vectors, or leave the view out")
    return read_word_vectors(path, {segment.label for utterance in corpus for segment in utterance.words or ()})


def _labels(view: str, corpus: Corpus, settings: Settings, vectors: WordVectors | None) -> Labels | None:
    """The segments of a view; None where the corpus has no two different ones."""
    found = [
        (index, segment.start, segment.end, segment.label)
        for index, utterance in enumerate(corpus)
        for segment in (utterance.phones if view == "phone" else utterance.words) or ()
        if segment.label not in ("", SILENCE)
    ]
    if not found:
        return None
    utterance, start, end = (np.array(column) for column in list(zip(*found, strict=True))[:3])
    names = np.array([label for *_, label in found])
    kept = np.ones(len(names), dtype=bool)
    if view in ("word", "word_vectors"):
        known, counts = np.unique(names, return_counts=True)
        frequent = known[np.argsort(-counts, kind="stable")][: settings.word_types]
        kept &= np.isin(names, frequent) & np.isin(names, known[counts >= settings.word_instances])
    if view == "part_of_speech":
        names = np.array([corpus.parts_of_speech.get(name, "") for name in names])
        kept &= names != ""
    if view == "word_vectors":
        assert vectors is not None, "Plan.of has read the file"
        known_words = vectors.of(names)[1]
        kept &= known_words
        y, dim = vectors.of(names[kept])[0], vectors.dim
    else:
        labels, y = np.unique(names[kept], return_inverse=True)
        dim = len(labels)
    if kept.sum() < 2 or len(np.unique(names[kept])) < 2:
        return None
    order = np.random.default_rng([settings.seed, 2]).permutation(len(y))
    strata = np.unique(names[kept], return_inverse=True)[1]
    fold = (
        assign_folds(len(y), settings.folds, seed=settings.seed, strata=strata)
        if settings.group_by == "segment"
        else np.zeros(len(y), dtype=np.int64)
    )
    return Labels(utterance[kept], start[kept], end[kept], y, y[order], dim, fold)


def _split(corpus: Corpus, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """The fold and the block of every utterance."""
    ids = np.array([utterance.id for utterance in corpus])
    speakers = np.array([utterance.speaker for utterance in corpus])
    if settings.group_by == "segment":
        folds = np.zeros(len(ids), dtype=np.int64)
    else:
        groups = speakers if settings.group_by == "speaker" else ids
        folds = assign_folds(len(ids), settings.folds, seed=settings.seed, groups=groups)
    names, codes = np.unique(resampling_clusters(speakers, ids)[0], return_inverse=True)
    if settings.group_by == "speaker":
        # A tested fold has few speakers: they need not be joined with those of other folds.
        rank = np.zeros(len(names), dtype=np.int64)
        for fold in range(settings.folds):
            present = np.unique(codes[folds == fold])
            rank[present] = np.arange(len(present)) % settings.blocks + fold * settings.blocks
        return folds, np.unique(rank[codes], return_inverse=True)[1]
    order = np.random.default_rng([settings.seed, 4]).permutation(len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names)) % settings.blocks
    return folds, rank[codes]


def _cells(folds: int, trials: Sequence[tuple[int, int]], units: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fold and unit of every cell, and the cell of every (fold, unit)."""
    tested, held = {test for _, test in trials}, {fold for pair in trials for fold in pair}
    cells = np.zeros((folds, units), dtype=np.int64)
    fold_of_cell: list[int] = []
    unit_of_cell: list[int] = []
    common = -1
    for fold in range(folds):
        if fold in tested:
            cells[fold] = len(fold_of_cell) + np.arange(units)
            fold_of_cell += [fold] * units
            unit_of_cell += range(units)
        elif fold in held or common < 0:
            cells[fold] = len(fold_of_cell)
            common = common if fold in held else len(fold_of_cell)
            fold_of_cell.append(fold)
            unit_of_cell.append(-1)
        else:
            cells[fold] = common
    return np.array(fold_of_cell), np.array(unit_of_cell), cells


def _windows(layer: Layer, settings: Settings, others: Mapping[str, Layer | None]) -> dict[float, tuple[str, ...]]:
    """The frame views of a layer by the window that both sides are averaged over; none in windows too short for it."""
    found: dict[float, list[str]] = {}
    for view in FRAME_VIEWS:
        side = others.get(view)
        if view not in settings.views or (view != "mel" and side is None) or (view == "conv" and layer == side):
            continue
        finest = max(layer.frame_period, side.frame_period if side else 0.0)
        window = finest if settings.window is None else settings.window
        if window >= finest - 1e-9:
            found.setdefault(round(window, 6), []).append(view)
    return {window: tuple(views) for window, views in found.items()}
