"""CCA of every layer of a model over a corpus, from statistics that one pass over the audio gathers."""

from __future__ import annotations

import json
import operator
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Corpus, Utterance
from multires.corpus.word_vectors import WordVectors, read_word_vectors
from multires.errors import MultiresError, choose
from multires.features.batching import batches, pad, runs
from multires.features.extract import choose_layers
from multires.features.pooling import pool
from multires.features.sources import fingerprint
from multires.features.windows import is_long, run_whole
from multires.measures.bootstrap import resampling_clusters
from multires.measures.cca import CCA, SHUFFLED
from multires.measures.cca_result import CCAResult
from multires.measures.folds import Trials, assign_folds, choose_trials
from multires.measures.statistics import CCAStatistics
from multires.models.acoustic import HOP, RATE, LogMel
from multires.models.layers import Layer, LayeredModel
from multires.models.mr_hubert import MultiResHubert
from multires.results import tidy
from multires.runtime.engine import open_engine

FRAME_VIEWS = ("mel", "conv", "layer")
"""Views of frames: log-mel, the model's own waveform encoder, a layer of another model."""

LABEL_VIEWS = ("phone", "word", "part_of_speech", "word_vectors")
"""Views of segments of speech."""

GROUPINGS = ("segment", "utterance", "speaker")
"""What is kept whole within one fold."""

_CHUNK_SECONDS = 900.0
"""Audio between two saved states, and what is sorted by length at a time."""


@dataclass(frozen=True)
class Choice:
    """What is looked at and how rows are split; statistics can be merged where it is the same.

    Attributes
    ----------
    views
        Among `FRAME_VIEWS` and `LABEL_VIEWS`.
    layers
        Names; all where None.
    window
        Seconds that every frame view averages over, such as 0.08; None for each layer's own frame period (or that of
        the other layer where it is coarser).
    other_layer
        The layer of the other model that is the view ``layer``; its last where empty.
    word_types, word_instances
        The views of words look at so many of the most frequent words, and at none that occurs less often.
    folds, trials
        As in `multires.measures.CCA`.
    group_by
        One of `GROUPINGS`.
    blocks
        Most clusters that the bootstrap keeps apart; more speakers or utterances are joined at random.
    seed
        Of folds, trials, blocks, shuffles and the order of utterances.
    """

    views: tuple[str, ...] = ("mel", "conv", "phone", "word", "part_of_speech")
    layers: tuple[str, ...] | None = None
    window: float | None = None
    other_layer: str = ""
    word_types: int = 500
    word_instances: int = 1
    folds: int = 10
    trials: Trials = 3
    group_by: str = "utterance"
    blocks: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for view in self.views:
            choose("view", view, (*FRAME_VIEWS, *LABEL_VIEWS))
        choose("group_by", self.group_by, GROUPINGS)
        least = {"blocks": self.blocks, "word_types": self.word_types, "word_instances": self.word_instances}
        for name, value in least.items():
            if value < 1:
                raise MultiresError(f"{name} is {value}: it must be at least 1")
        if self.window is not None and not self.window > 0:
            raise MultiresError(f"window is {self.window}: give seconds above 0, or None for each layer's own period")


def model_cca(
    model: LayeredModel,
    corpus: Corpus,
    *,
    other: LayeredModel | None = None,
    word_vectors: str | Path | None = None,
    untrained: bool = True,
    variant: str = "pwcca",
    device: str = "cpu",
    batch_seconds: float = 80.0,
    save_to: str | Path | None = None,
    engine: Any = None,
    sources: Mapping[str, Source] | None = None,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
    **choice: Any,
) -> pd.DataFrame:
    """CCA of every layer of a model with every view, over all frames and segments of a corpus, in one pass.

    No frame is stored: what is kept are the statistics of `ModelStatistics`, whose size depends on the dimensions only.

    Parameters
    ----------
    model, corpus
        Utterances without alignment give frames only.
    other
        Another model, at any resolution, for the view ``layer``.
    word_vectors
        A file in GloVe's text format for the view ``word_vectors``.
    untrained
        Whether to score an untrained model of the same shape too, where the model is a trained MR-HuBERT or HuBERT.
    variant
        As in `multires.measures.CCA`.
    device, batch_seconds
        Where to run, and how much (padded) audio at a time.
    save_to
        A folder in which states are kept, from which an interrupted run continues.
    engine, sources
        As in `accumulate`.
    settings
        Further parameters of `multires.measures.CCA`, such as epsilons and replicates.
    choice
        Fields of `Choice`.

    Returns
    -------
    DataFrame
        Tidy: for each layer and view the mean over trials (its trial is empty) with its interval, each trial, and the
        baseline of shuffled rows (measure ``shuffled``); trained is False for the untrained model's rows.

    Raises
    ------
    MultiresError
        For an unknown view, layer or grouping, a view without its model or file, or output that is not finite (named
        by utterance, layer and time).
    """
    sources = dict(sources or {})
    subjects = [(model, sources)]
    if untrained and model.trained and isinstance(model, MultiResHubert):
        make = partial(MultiResHubert, model.config, seed=0, key=f"untrained {model.key}", description="untrained")
        subjects.append((make(), {**sources, "model": make}))
    rows: list[dict[str, Any]] = []
    for subject, found in subjects:
        statistics = accumulate(
            subject, corpus, other=other, word_vectors=word_vectors, device=device, batch_seconds=batch_seconds,
            save_to=None if save_to is None else Path(save_to) / fingerprint(subject), engine=engine, sources=found,
            progress=progress, **choice,
        )  # fmt: skip
        layers = {layer.name: layer for layer in subject.layers}
        for (name, view, window), result in statistics.score(variant, **(settings or {})).items():
            rows += _rows(subject, layers[name], view, window, result)
    return tidy(rows)


def accumulate(
    model: LayeredModel,
    corpus: Corpus,
    *,
    other: LayeredModel | None = None,
    word_vectors: str | Path | None = None,
    device: str = "cpu",
    batch_seconds: float = 80.0,
    part: tuple[int, int] = (0, 1),
    save_to: str | Path | None = None,
    engine: Any = None,
    sources: Mapping[str, Source] | None = None,
    progress: bool = True,
    **choice: Any,
) -> ModelStatistics:
    """Run a model once over a corpus and gather the statistics of all its layers.

    Parameters
    ----------
    model, corpus, other, word_vectors, device, batch_seconds, choice
        As in `model_cca`.
    part
        (i, n) reads every n-th utterance from the i-th on: what n machines gather is merged with ``+``.
    save_to
        A folder for the state, which is replaced after every quarter of an hour of audio (of each worker, on a
        cluster); a run that finds one there goes on from it.
    engine
        What gathers, as in `multires.analysis.run.open_run`. Each thread of a cluster's workers holds one `ModelStatistics`
        (see its `nbytes`), and two while they are joined.
    sources
        How workers get the models ``model`` and ``other``, such as `multires.features.sources.NamedModel`; a model without a
        source is sent to them.

    Returns
    -------
    ModelStatistics

    Raises
    ------
    MultiresError
        As `model_cca` does, and where the folder holds the state of another run.
    """
    number, parts = part
    if not 0 <= number < parts:
        raise MultiresError(f"part is {part}: give (i, n) with i in 0 ... n - 1")
    gatherer = open_engine(engine)
    plan = Plan.of(model, corpus, Choice(**choice), other, word_vectors)
    statistics = ModelStatistics.empty(plan)
    folder = None if save_to is None else Path(save_to)
    if folder is not None and (folder / "state.json").exists():
        statistics = ModelStatistics.load(folder)
        if statistics.key != plan.key:
            raise MultiresError(
                f"{folder} holds the statistics of another model, corpus or choice: name another folder"
            )
    order = np.random.default_rng([plan.choice.seed, 3]).permutation(len(corpus))[number::parts]
    left = [int(i) for i in order if corpus.utterances[i].id not in statistics.done]
    chunks = list(runs(left, lambda i: corpus.utterances[i].duration, _CHUNK_SECONDS))
    given = {"model": lambda: model, **({"other": lambda: other} if other is not None else {}), **(sources or {})}
    with tqdm(
        total=round(sum(corpus.utterances[i].duration for i in order)), unit="s audio", desc=f"CCA of {model.key}",
        disable=not progress,
    ) as bar:  # fmt: skip
        bar.update(bar.total - round(sum(corpus.utterances[i].duration for i in left)))
        tick = (lambda seconds: None) if gatherer.remote else bar.update
        count = _Count(given, device, batch_seconds, tick)
        while chunks:
            if gatherer.remote:
                some = chunks[: gatherer.width("speech") * _CHUNKS_EACH]
                shares = [some[i : i + _CHUNKS_EACH] for i in range(0, len(some), _CHUNKS_EACH)]
                statistics.merge(gatherer.merge(count, [plan.share(share, corpus) for share in shares], operator.add))
                bar.update(round(sum(corpus.utterances[i].duration for chunk in some for i in chunk)))
            else:
                some = chunks[:1]
                count.into(statistics, plan.share(some, corpus))
            chunks = chunks[len(some) :]
            if folder is not None:
                statistics.save(folder)
    return statistics


_CHUNKS_EACH = 4
"""Chunks that a worker counts before its statistics are merged with those of others: merging costs like a minute of one."""

Source = Callable[[], LayeredModel]
"""Gives a model, the same one each time."""


@dataclass(frozen=True)
class Share:
    """Chunks of utterances by their indices in the corpus, and the part of the plan that is about them."""

    plan: Plan
    chunks: Sequence[Sequence[int]]
    utterances: Mapping[int, Utterance]

    def __str__(self) -> str:
        return f"{len(self.utterances)} utterances from {next(iter(self.utterances.values())).id} on"


@dataclass(frozen=True)
class _Count:
    """Runs the models over a share, and counts its frames and segments."""

    sources: Mapping[str, Source]
    device: str
    batch_seconds: float
    tick: Callable[[int], object]

    def __call__(self, share: Share) -> ModelStatistics:
        """The statistics of a share alone."""
        statistics = ModelStatistics.empty(share.plan)
        self.into(statistics, share)
        return statistics

    def into(self, statistics: ModelStatistics, share: Share) -> None:
        """Add a share to statistics of the same plan."""
        models = {name: source() for name, source in self.sources.items()} | {"mel": LogMel()}
        running = {name: found.to(self.device).eval() for name, found in models.items()}
        for chunk in share.chunks:
            long = [[i] for i in chunk if is_long(share.utterances[i])]
            short = [i for i in chunk if not is_long(share.utterances[i])]
            for batch in [*long, *batches(short, lambda i: share.utterances[i].duration, self.batch_seconds)]:
                utterances = [share.utterances[i] for i in batch]
                statistics.update(share.plan, _outputs(running, utterances, self.device), batch)
                self.tick(round(sum(utterance.duration for utterance in utterances)))


# -- what goes where ----------------------------------------------------------------------------------------------


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
class Plan:
    """Which rows are compared, and in which cell of the statistics each of them is counted.

    A cell is a fold, or, in a fold that is tested, a fold and a block of speakers or utterances, so that the bootstrap
    can be made from the statistics alone. All folds that are never held out share one cell.

    Attributes
    ----------
    choice, layers
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
        Of model, corpus and choice.
    names
        Utterances.
    """

    choice: Choice
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
        choice: Choice,
        other: LayeredModel | None = None,
        word_vectors: str | Path | None = None,
    ) -> Plan:
        """The plan of a model, a corpus and a choice."""
        layers = tuple(choose_layers(model, choice.layers))
        other_layer = _other_layer(choice, other)
        vectors = _word_vectors(choice, corpus, word_vectors)
        labels = {
            view: found
            for view in LABEL_VIEWS
            if view in choice.views and (found := _labels(view, corpus, choice, vectors)) is not None
        }
        folds, units = _split(corpus, choice)
        trials = choose_trials(choice.trials, choice.folds, choice.seed)
        fold_of_cell, unit_of_cell, cells = _cells(choice.folds, trials, int(units.max()) + 1)
        conv = next((layer for layer in model.layers if layer.name == "conv"), None)
        others = {"conv": conv, "layer": other_layer}
        windows = {layer.name: _windows(layer, choice, others) for layer in layers}
        dims = {"mel": LogMel.dim, **{view: found.dim for view, found in others.items() if found is not None}}
        key = json.dumps(
            [fingerprint(model), corpus.fingerprint, repr(choice), vectors.digest if vectors else "",
             fingerprint(other) if other is not None else ""]
        )  # fmt: skip
        return cls(
            choice, layers, labels, folds, units, fold_of_cell, unit_of_cell, cells, trials, windows, dims, conv,
            other_layer, key, tuple(utterance.id for utterance in corpus),
        )  # fmt: skip

    def share(self, chunks: Sequence[Sequence[int]], corpus: Corpus) -> Share:
        """What is needed to count some utterances, and no more."""
        chosen = sorted(index for chunk in chunks for index in chunk)
        plan = replace(
            self,
            labels={view: found.only(np.array(chosen)) for view, found in self.labels.items()},
            fold_of_utterance={index: self.fold_of_utterance[index] for index in chosen},
            unit_of_utterance={index: self.unit_of_utterance[index] for index in chosen},
            names={index: self.names[index] for index in chosen},
        )
        return Share(plan, chunks, {index: corpus.utterances[index] for index in chosen})

    def cell(self, utterance: int, fold: np.ndarray | int) -> np.ndarray:
        """The cells of rows of an utterance that are in these folds."""
        return self.cells[fold, self.unit_of_utterance[utterance]]

    def frame_folds(self, utterance: int, rows: int) -> np.ndarray:
        """The folds of an utterance's frames."""
        if self.choice.group_by != "segment":
            return np.full(rows, self.fold_of_utterance[utterance])
        rng = np.random.default_rng([self.choice.seed, 1, utterance])
        return rng.permutation(np.arange(rows) % self.choice.folds)


def _other_layer(choice: Choice, other: LayeredModel | None) -> Layer | None:
    if "layer" not in choice.views:
        return None
    if other is None:
        raise MultiresError("view 'layer' compares with another model: give other, or leave the view out")
    return choose_layers(other, [choice.other_layer])[0] if choice.other_layer else other.layers[-1]


def _word_vectors(choice: Choice, corpus: Corpus, path: str | Path | None) -> WordVectors | None:
    if "word_vectors" not in choice.views:
        return None
    if path is None:
        raise MultiresError("view 'word_vectors' reads a file: give word_vectors, or leave the view out")
    return read_word_vectors(path, {segment.label for utterance in corpus for segment in utterance.words or ()})


def _labels(view: str, corpus: Corpus, choice: Choice, vectors: WordVectors | None) -> Labels | None:
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
        frequent = known[np.argsort(-counts, kind="stable")][: choice.word_types]
        kept &= np.isin(names, frequent) & np.isin(names, known[counts >= choice.word_instances])
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
    order = np.random.default_rng([choice.seed, 2]).permutation(len(y))
    strata = np.unique(names[kept], return_inverse=True)[1]
    fold = (
        assign_folds(len(y), choice.folds, seed=choice.seed, strata=strata)
        if choice.group_by == "segment"
        else np.zeros(len(y), dtype=np.int64)
    )
    return Labels(utterance[kept], start[kept], end[kept], y, y[order], dim, fold)


def _split(corpus: Corpus, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """The fold and the block of every utterance."""
    ids = np.array([utterance.id for utterance in corpus])
    speakers = np.array([utterance.speaker for utterance in corpus])
    if choice.group_by == "segment":
        folds = np.zeros(len(ids), dtype=np.int64)
    else:
        groups = speakers if choice.group_by == "speaker" else ids
        folds = assign_folds(len(ids), choice.folds, seed=choice.seed, groups=groups)
    names, codes = np.unique(resampling_clusters(speakers, ids)[0], return_inverse=True)
    if choice.group_by == "speaker":
        # A tested fold has few speakers: they need not be joined with those of other folds.
        rank = np.zeros(len(names), dtype=np.int64)
        for fold in range(choice.folds):
            present = np.unique(codes[folds == fold])
            rank[present] = np.arange(len(present)) % choice.blocks + fold * choice.blocks
        return folds, np.unique(rank[codes], return_inverse=True)[1]
    order = np.random.default_rng([choice.seed, 4]).permutation(len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names)) % choice.blocks
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


def _windows(layer: Layer, choice: Choice, others: Mapping[str, Layer | None]) -> dict[float, tuple[str, ...]]:
    """The frame views of a layer by the window that both sides are averaged over; none in windows too short for it."""
    found: dict[float, list[str]] = {}
    for view in FRAME_VIEWS:
        side = others.get(view)
        if view not in choice.views or (view != "mel" and side is None) or (view == "conv" and layer == side):
            continue
        finest = max(layer.frame_period, side.frame_period if side else 0.0)
        window = finest if choice.window is None else choice.window
        if window >= finest - 1e-9:
            found.setdefault(round(window, 6), []).append(view)
    return {window: tuple(views) for window, views in found.items()}


# -- the statistics -----------------------------------------------------------------------------------------------


@dataclass
class ModelStatistics:
    """The sufficient statistics of every layer with every view.

    Attributes
    ----------
    key
        Of model, corpus and choice: only statistics with the same can be merged.
    parts
        By (layer, group): the group is a label view, or ``frame`` and the window in milliseconds. Each y view has a
        shuffled twin.
    fold_of_cell, unit_of_cell, trials
        As in `Plan`.
    seed
        Of regularisers and bootstrap.
    done
        Utterances that are counted.
    """

    key: str
    parts: dict[tuple[str, str], CCAStatistics]
    fold_of_cell: np.ndarray
    unit_of_cell: np.ndarray
    trials: tuple[tuple[int, int], ...]
    seed: int
    done: set[str] = field(default_factory=set)

    @classmethod
    def empty(cls, plan: Plan) -> ModelStatistics:
        """Statistics of nothing yet."""
        parts: dict[tuple[str, str], CCAStatistics] = {}
        for layer in plan.layers:
            views = {_frame_group(w): {v: plan.dims[v] for v in vs} for w, vs in plan.windows[layer.name].items()}
            views |= {view: {view: labels.dim} for view, labels in plan.labels.items()}
            for group, dims in views.items():
                twins = dims | {view + SHUFFLED: dim for view, dim in dims.items()}
                parts[layer.name, group] = CCAStatistics(layer.dim, twins, len(plan.fold_of_cell))
        if not parts:
            raise MultiresError(
                "there is nothing to compare: no layer is fine enough for the window, no view has labels"
            )
        return cls(plan.key, parts, plan.fold_of_cell, plan.unit_of_cell, plan.trials, plan.choice.seed)

    @property
    def nbytes(self) -> int:
        """Bytes that the scatter matrices take, however much has been counted."""
        return sum(
            part.xx.nbytes + sum(m.nbytes for views in (part.yy, part.xy) for m in views.values())
            for part in self.parts.values()
        )

    def update(
        self, plan: Plan, outputs: Sequence[Mapping[str, Mapping[str, np.ndarray]]], batch: Sequence[int]
    ) -> None:
        """Count the frames and segments of a batch of utterances.

        Parameters
        ----------
        plan
            Whose key is that of these statistics.
        outputs
            For every utterance, the frames of each layer of ``model``, ``mel`` and, where there is one, ``other``.
        batch
            The utterances' indices in the corpus.
        """
        for layer in plan.layers:
            name = layer.name
            frames = [found["model"][name] for found in outputs]
            for index, values in zip(batch, frames, strict=True):
                _check(values, plan.names[index], layer)
            for window, views in plan.windows[name].items():
                self._count_frames(plan, layer, window, views, outputs, batch)
            for view, labels in plan.labels.items():
                rows = [labels.of(index) for index in batch]
                if not any(part.stop > part.start for part in rows):
                    continue
                x = [
                    pool(values, labels.start[part], labels.end[part], layer.frame_period)
                    for values, part in zip(frames, rows, strict=True)
                    if part.stop > part.start
                ]
                cells = [
                    np.broadcast_to(plan.cell(i, labels.fold[part] if plan.choice.group_by == "segment" else
                                              plan.fold_of_utterance[i]), part.stop - part.start)
                    for i, part in zip(batch, rows, strict=True)
                ]  # fmt: skip
                chosen = np.concatenate([np.arange(part.start, part.stop) for part in rows])
                y = {view: labels.y[chosen], view + SHUFFLED: labels.shuffled[chosen]}
                self.parts[name, view].update(np.concatenate(x), y, np.concatenate(cells), name=f"layer {name}")
        self.done.update(plan.names[index] for index in batch)

    def _count_frames(
        self,
        plan: Plan,
        layer: Layer,
        window: float,
        views: Sequence[str],
        outputs: Sequence[Mapping[str, Mapping[str, np.ndarray]]],
        batch: Sequence[int],
    ) -> None:
        xs: list[np.ndarray] = []
        ys: dict[str, list[np.ndarray]] = {view: [] for view in views}
        cells: list[np.ndarray] = []
        for index, found in zip(batch, outputs, strict=True):
            sides = {"x": (found["model"][layer.name], layer.frame_period)}
            for view in views:
                sides[view] = _side(plan, found, view)
            rows = min(int(len(values) * period / window + 1e-6) for values, period in sides.values())
            starts = np.arange(rows) * window
            read = {s: pool(v, starts, starts + window, p) if rows else v[:0] for s, (v, p) in sides.items()}
            xs.append(read["x"])
            for view in views:
                _check(read[view], plan.names[index], layer, of=view)
                ys[view].append(read[view])
            cells.append(plan.cell(index, plan.frame_folds(index, rows)))
        order = _elsewhere([len(x) for x in xs], np.random.default_rng([plan.choice.seed, 5, *batch[:1]]))
        y = {view: np.concatenate(parts) for view, parts in ys.items()}
        y |= {view + SHUFFLED: values[order] for view, values in y.items()}
        part = self.parts[layer.name, _frame_group(window)]
        part.update(np.concatenate(xs), y, np.concatenate(cells), name=f"layer {layer.name}")

    def merge(self, other: ModelStatistics) -> ModelStatistics:
        """Add what other statistics of the same plan have counted of other utterances.

        Raises
        ------
        MultiresError
            Where the plans differ, or an utterance is in both.
        """
        if self.key != other.key:
            raise MultiresError("statistics of another model, corpus or choice cannot be merged: gather them alike")
        if both := self.done & other.done:
            raise MultiresError(
                f"{len(both)} utterances are in both statistics, such as {min(both)}: merge each part once"
            )
        for place, part in self.parts.items():
            part.merge(other.parts[place])
        self.done |= other.done
        return self

    def __add__(self, other: ModelStatistics) -> ModelStatistics:
        parts = {
            place: CCAStatistics(part.dim_x, part.views, part.groups).merge(part) for place, part in self.parts.items()
        }
        new = ModelStatistics(
            self.key, parts, self.fold_of_cell, self.unit_of_cell, self.trials, self.seed, set(self.done)
        )
        return new.merge(other)

    def save(self, folder: str | Path) -> Path:
        """Write everything to a folder, which is replaced in one step.

        Raises
        ------
        MultiresError
            Where it cannot be written.
        """
        folder = Path(folder)
        partial = folder.with_name(f".{folder.name}.partial")
        state = {
            "key": self.key, "parts": [list(place) for place in self.parts], "done": sorted(self.done),
            "fold_of_cell": self.fold_of_cell.tolist(), "unit_of_cell": self.unit_of_cell.tolist(),
            "trials": [list(pair) for pair in self.trials], "seed": self.seed,
        }  # fmt: skip
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for number, part in enumerate(self.parts.values()):
                part.save(partial / f"{number}.npz")
            (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except OSError as error:
            raise MultiresError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> ModelStatistics:
        """Read what `save` wrote.

        Raises
        ------
        MultiresError
            Where it is missing or something else.
        """
        folder = Path(folder)
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            parts = {
                (layer, group): CCAStatistics.load(folder / f"{number}.npz")
                for number, (layer, group) in enumerate(state["parts"])
            }
            return cls(
                state["key"], parts, np.array(state["fold_of_cell"]), np.array(state["unit_of_cell"]),
                tuple((int(dev), int(test)) for dev, test in state["trials"]), int(state["seed"]), set(state["done"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MultiresError(f"cannot read statistics from {folder}: {error}; gather them again") from error

    def score(self, variant: str = "pwcca", **settings: Any) -> dict[tuple[str, str, int | None], CCAResult]:
        """The score of each (layer, view, window in milliseconds or None), with interval and shuffled baseline.

        Parameters
        ----------
        variant, settings
            As in `multires.measures.CCA`; folds, trials and seed are those that the rows were split by. ``cka`` has no
            interval: the cells that the others are tested on do not cover its rows evenly.
        """
        found: dict[tuple[str, str, int | None], CCAResult] = {}
        for (layer, group), part in self.parts.items():
            window = int(group.removeprefix("frame")) if group.startswith("frame") else None
            seen = np.unique(self.fold_of_cell[part.count > 0])
            if not {fold for pair in self.trials for fold in pair} <= set(seen.tolist()):
                raise MultiresError(
                    f"layer {layer}, {group}: a held-out fold has no rows: use fewer folds or more data"
                )
            model = CCA(variant, trials=self.trials, seed=self.seed, **settings)
            units = None if variant == "cka" else self.unit_of_cell
            model.fit_statistics(part, self.fold_of_cell, units, name=f"layer {layer}")
            found |= {(layer, view, window): result for view, result in model.results_.items()}
        return found


def _frame_group(window: float) -> str:
    return f"frame{round(window * 1000)}"


def _side(plan: Plan, found: Mapping[str, Mapping[str, np.ndarray]], view: str) -> tuple[np.ndarray, float]:
    """A frame view's frames of one utterance, and their period."""
    if view == "mel":
        return found["mel"]["mel"], HOP / RATE
    layer = plan.conv if view == "conv" else plan.other_layer
    assert layer is not None, "the plan has seen to it"
    return found["model" if view == "conv" else "other"][layer.name], layer.frame_period


def _check(values: np.ndarray, utterance: str, layer: Layer, of: str = "") -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise MultiresError(
            f"{utterance}: {f'view {of} at ' if of else ''}layer {layer.name} has NaN or infinity at "
            f"{bad[0] * layer.frame_period:.2f} s ({len(bad)} frames of {len(values)}); check the audio and weights"
        )


def _elsewhere(sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """For every row of some utterances a random row of another one; of the same where there is only one."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.empty(len(owner), dtype=np.int64)
    for index in range(len(sizes)):
        own = owner == index
        others = np.flatnonzero(~own)
        order[own] = rng.choice(others if len(others) else np.flatnonzero(own), int(own.sum()))
    return order


# -- running ------------------------------------------------------------------------------------------------------


def _outputs(
    models: Mapping[str, LayeredModel], utterances: Sequence[Utterance], device: str
) -> list[dict[str, dict[str, np.ndarray]]]:
    """For every utterance the frames of every model's layers; a long utterance is alone, and run in windows."""
    audio = [utterance.audio for utterance in utterances]
    waveforms, lengths = pad(audio)
    found: list[dict[str, dict[str, np.ndarray]]] = [{} for _ in utterances]
    for name, model in models.items():
        if is_long(utterances[0]) and not model.by_utterance:
            outputs = run_whole(model, audio[0], device)
        else:
            with torch.inference_mode():
                outputs = model.run([u.id for u in utterances], waveforms.to(device), lengths.to(device))
        for row, each in enumerate(found):
            each[name] = {layer: frames.float().cpu().numpy() for layer, frames in outputs.utterance(row).items()}
            if short := [layer for layer, frames in each[name].items() if not len(frames)]:
                seconds = len(audio[row]) / SAMPLE_RATE
                raise MultiresError(f"{utterances[row].id}: too short ({seconds:.3f} s) for a frame at {short[0]}")
    return found


def _rows(model: LayeredModel, layer: Layer, view: str, window: int | None, result: CCAResult) -> list[dict[str, Any]]:
    low, high = result.interval or (np.nan, np.nan)
    common = {
        "model": model.key, "condition": model.key, "seed": 0, "trained": model.trained, "layer": layer.name,
        "layer_index": layer.index, "block": layer.block, "frame_period": layer.frame_period, "view": view,
        "window": window, "n": result.n,
    }  # fmt: skip
    return [
        {**common, "measure": result.variant, "value": result.score, "low": low, "high": high},
        *(
            {**common, "measure": result.variant, "trial": trial, "value": score}
            for trial, score in enumerate(result.trial_scores)
        ),
        {**common, "measure": "shuffled", "value": result.baseline},
    ]
