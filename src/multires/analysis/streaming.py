"""CCA of every layer of a model over a corpus, from statistics gathered in one pass over the audio."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from multires.analysis.streaming_plan import Plan, WorkItem
from multires.analysis.streaming_settings import Settings
from multires.analysis.streaming_statistics import ModelStatistics
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Utterance
from multires.errors import MultiresError
from multires.features.batching import batches, pad, runs
from multires.features.sources import fingerprint
from multires.features.windows import is_long, run_windows
from multires.measures.cca_result import CCAResult
from multires.models.acoustic import HOP, LogMel
from multires.models.layers import Layer, LayeredModel
from multires.models.mr_hubert import MultiResHubert
from multires.results import tidy
from multires.runtime.engine import open_engine
from multires.visible import visible

_CHUNK_SECONDS = 900.0
"""Audio between two saved states, and what is sorted by length at a time."""


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
        Fields of `Settings`.

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
    plan = Plan.of(model, corpus, Settings(**choice), other, word_vectors)
    statistics = ModelStatistics.empty(plan)
    folder = None if save_to is None else Path(save_to)
    if folder is not None and (folder / "state.json").exists():
        statistics = ModelStatistics.load(folder)
        if statistics.key != plan.key:
            raise MultiresError(
                f"{folder} holds the statistics of another model, corpus or choice: name another folder"
            )
    order = np.random.default_rng([plan.settings.seed, 3]).permutation(len(corpus))[number::parts]
    left = [int(i) for i in order if corpus.utterances[i].id not in statistics.done]
    chunks = list(runs(left, lambda i: corpus.utterances[i].duration, _CHUNK_SECONDS))
    given = {"model": lambda: model, **({"other": lambda: other} if other is not None else {}), **(sources or {})}
    with tqdm(
        total=round(sum(corpus.utterances[i].duration for i in order)), unit="s audio", desc=f"CCA of {visible(model.key)}",
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
class _Count:
    """Runs the models over a share, and counts its frames and segments."""

    sources: Mapping[str, Source]
    device: str
    batch_seconds: float
    tick: Callable[[int], object]

    def __call__(self, share: WorkItem) -> ModelStatistics:
        """The statistics of a share alone."""
        statistics = ModelStatistics.empty(share.plan)
        self.into(statistics, share)
        return statistics

    def into(self, statistics: ModelStatistics, share: WorkItem) -> None:
        """Add a share to statistics of the same plan."""
        models = {name: source() for name, source in self.sources.items()} | {"mel": LogMel()}
        running = {name: found.to(self.device).eval() for name, found in models.items()}
        for chunk in share.chunks:
            long = [i for i in chunk if is_long(share.utterances[i], *running.values())]
            for index in long:
                self._in_pieces(statistics, share, running, index)
            short = [i for i in chunk if i not in long]
            for batch in batches(short, lambda i: share.utterances[i].duration, self.batch_seconds):
                utterances = [share.utterances[i] for i in batch]
                statistics.update(share.plan, _outputs(running, utterances, self.device), batch)
                self.tick(round(sum(utterance.duration for utterance in utterances)))

    def _in_pieces(
        self, statistics: ModelStatistics, share: WorkItem, running: Mapping[str, LayeredModel], index: int
    ) -> None:
        """Add an utterance that is too long to be held."""
        utterance = share.utterances[index]

        def pieces() -> Iterator[dict[str, dict[str, np.ndarray]]]:
            for found in run_windows(running, utterance, self.device, grid=share.plan.frame_windows):
                self.tick(round(len(found["mel"]["mel"].frames) * HOP / SAMPLE_RATE))
                yield {
                    name: {layer: stretch.frames.float().cpu().numpy() for layer, stretch in layers.items()}
                    for name, layers in found.items()
                }

        statistics.update_in_pieces(share.plan, pieces(), index)


def _outputs(
    models: Mapping[str, LayeredModel], utterances: Sequence[Utterance], device: str
) -> list[dict[str, dict[str, np.ndarray]]]:
    """For every utterance the frames of every model's layers."""
    audio = [utterance.audio for utterance in utterances]
    waveforms, lengths = pad(audio)
    found: list[dict[str, dict[str, np.ndarray]]] = [{} for _ in utterances]
    for name, model in models.items():
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
