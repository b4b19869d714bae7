"""Run a model over a corpus and keep the mean of every segment at every layer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from multires.corpus.utterance import SAMPLE_RATE, Corpus, Utterance
from multires.errors import MultiresError
from multires.features.batching import batches, pad, runs
from multires.features.pooling import StreamingPool, pool, serves
from multires.features.segments import UNITS
from multires.features.store import FeatureStore, is_whole, shard_path, write_shard
from multires.features.windows import is_long, run_windows
from multires.models.layers import Layer, LayeredModel
from multires.runtime import storage
from multires.runtime.engine import LOCAL, Engine
from multires.runtime.progress import step_bar
from multires.runtime.speed import best_jobs, in_jobs
from multires.visible import visible

SHARD_SECONDS = 900.0
"""Audio in a shard: what an interruption can cost, and what one unit of work holds in memory."""


def extract(
    model: LayeredModel,
    corpus: Corpus,
    segments: pd.DataFrame,
    path: Path,
    *,
    layers: Sequence[str] | None = None,
    device: str = "cpu",
    batch_seconds: float = 80.0,
    engine: Engine = LOCAL,
    source: Callable[[], LayeredModel] | None = None,
    jobs: int | None = None,
    progress: bool = True,
    place: str = "",
) -> FeatureStore:
    """Run a model over a corpus and keep the pooled vectors of every segment at every layer.

    Parameters
    ----------
    model, corpus, segments
        Utterances that have no row in `segments` are not run.
    path
        The zarr folder or its URL; shards that are there already are kept, so that an interrupted run continues. Of
        several runs in one folder one extracts, and the others wait for it.
    layers
        Names of the layers to keep; all if None.
    device, batch_seconds
        Device, and seconds of audio in a batch, padding included. A longer utterance is run alone, and one above
        `multires.features.windows.LONG_SECONDS` in windows.
    engine, source
        Executes the shards; returns the model in its workers. Without `source`, the model itself is sent to them.
    jobs
        Batches at a time in this process, which share its threads; if None, by a measurement on this machine. On a
        GPU and in the workers of a cluster always one.
    progress, place
        Whether to show a progress bar, and which of several models this is, to be shown with it: ``3 of 8``.

    Raises
    ------
    MultiresError
        For an unknown layer, a folder that cannot be written, or output that is not finite (named by utterance and
        layer).
    """
    kept = choose_layers(model, layers)
    at_once = 1
    if not engine.remote and device == "cpu":
        at_once = best_jobs(torch.get_num_threads()) if jobs is None else jobs
    positions = segments.groupby("utterance", sort=False).indices
    wanted_utterances = (utterance for utterance in corpus if utterance.id in positions)
    shards = list(runs(wanted_utterances, duration, SHARD_SECONDS))
    names = [layer.name for layer in kept]

    def shard(number: int) -> Shard:
        rows = segments.iloc[np.concatenate([positions[utterance.id] for utterance in shards[number]])]
        return Shard(number, shards[number], rows[["unit", "utterance", "start", "end"]])

    def restore(number: int) -> None:
        Extraction(lambda: model, names, path, device, batch_seconds, at_once)(shard(number), replace=True)

    def missing() -> list[int]:
        return [number for number in range(len(shards)) if not is_whole(shard_path(path, number))]

    seconds = [round(sum(utterance.duration for utterance in each)) for each in shards]
    if missing():
        title = f"extract {visible(model.key)}" + f" ({place})" * bool(place)
        with (
            storage.making(path),
            step_bar(title, sum(seconds), "s audio", shown=progress) as bar,
        ):
            wanted = missing()
            bar.update(sum(seconds) - sum(seconds[number] for number in wanted))
            if engine.remote:
                work = Extraction(source or (lambda: model), names, path, device, batch_seconds)
            else:
                work = Extraction(lambda: model, names, path, device, batch_seconds, at_once, tick=bar.update)
            for number in engine.each(work, map(shard, wanted), f"shards of {model.key}"):
                if engine.remote:
                    bar.update(seconds[number])
    return FeatureStore(path, segments, kept, [len(shard) for shard in shards], restore)


def duration(utterance: Utterance) -> float:
    """Seconds of an utterance."""
    return utterance.duration


def choose_layers(model: LayeredModel, names: Sequence[str] | None) -> list[Layer]:
    """The layers of a model by name, in order of computation; all if `names` is None."""
    known = {layer.name: layer for layer in model.layers}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise MultiresError(f"{model.key} has no layer {', '.join(unknown)}: choose from {', '.join(known)}")
    return [layer for layer in model.layers if names is None or layer.name in names]


@dataclass(frozen=True)
class Shard:
    """A unit of work: utterances, and the rows of the segment table that belong to them."""

    number: int
    utterances: Sequence[Utterance]
    rows: pd.DataFrame

    def __str__(self) -> str:
        return f"shard-{self.number:04d}"


@dataclass(frozen=True)
class Extraction:
    """Run a model over a shard and write its vectors.

    Attributes
    ----------
    source
        Returns the model, the same one each time, so that it stays loaded from shard to shard.
    layers, path, device, batch_seconds, jobs
        As in `extract`.
    tick
        Called with the seconds of audio of each batch when it is done.
    """

    source: Callable[[], LayeredModel]
    layers: Sequence[str]
    path: Path
    device: str
    batch_seconds: float
    jobs: int = 1
    tick: Callable[[int], object] = field(default=lambda seconds: None, repr=False)

    def __call__(self, shard: Shard, *, replace: bool = False) -> int:
        """Extract a shard that is missing or to be replaced, and return its number."""
        target = shard_path(self.path, shard.number)
        if replace or not is_whole(target):
            # One shard at a time on a GPU, however many threads a worker has: two would not be faster, only larger.
            with _on_gpu if self.device.startswith("cuda") else nullcontext():
                model = self.source().to(self.device).eval()
                kept = choose_layers(model, self.layers)
                vectors = run_shard(model, kept, shard, self.device, self.batch_seconds, self.tick, self.jobs)
            write_shard(target, kept, vectors)
        return shard.number


_on_gpu = threading.Lock()


def run_shard(
    model: LayeredModel,
    layers: Sequence[Layer],
    shard: Shard,
    device: str,
    batch_seconds: float,
    tick: Callable[[int], object],
    jobs: int = 1,
) -> Vectors:
    """Vectors by unit and layer, rows in the order of the utterances; long utterances are run in windows."""
    times = _times(shard.rows)
    pooled: dict[str, Vectors] = {}
    whole = {u.id for u in shard.utterances if not is_long(u, model)}
    for utterance in (u for u in shard.utterances if u.id not in whole):
        pooled[utterance.id] = _pool_in_windows(utterance, model, layers, times[utterance.id], device, tick)

    def run(batch: Sequence[Utterance]) -> None:
        waveforms, lengths = pad([utterance.audio for utterance in batch])
        with torch.inference_mode():
            outputs = model.run([u.id for u in batch], waveforms.to(device), lengths.to(device))
        for row, utterance in enumerate(batch):
            frames = outputs.utterance(row)
            pooled[utterance.id] = _pool_utterance(utterance, frames, layers, times[utterance.id])
        tick(round(lengths.sum().item() / SAMPLE_RATE))

    at_once = [utterance for utterance in shard.utterances if utterance.id in whole]
    in_jobs(run, list(batches(at_once, duration, batch_seconds)), jobs)
    merged: Vectors = {}
    for unit in UNITS:
        for layer in layers:
            parts = [
                pooled[u.id][unit][layer.name] for u in shard.utterances if layer.name in pooled[u.id].get(unit, {})
            ]
            if parts:
                merged.setdefault(unit, {})[layer.name] = np.concatenate(parts)
    return merged


Vectors = dict[str, dict[str, np.ndarray]]
"""By unit and layer, shape (segments, dim)."""

Times = dict[str, tuple[np.ndarray, np.ndarray]]
"""Starts and ends of an utterance's segments by unit."""


def _times(rows: pd.DataFrame) -> dict[str, Times]:
    start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
    times: dict[str, Times] = {}
    for (utterance, unit), at in rows.groupby(["utterance", "unit"], sort=False).indices.items():
        times.setdefault(utterance, {})[unit] = start[at], end[at]
    return times


def _pool_utterance(
    utterance: Utterance, frames: Mapping[str, torch.Tensor], layers: Sequence[Layer], times: Times
) -> Vectors:
    vectors: Vectors = {}
    for layer in layers:
        values = _checked(utterance, layer, frames[layer.name])
        # All units at once: summing the frames takes longer than all that follows.
        if units := [unit for unit in times if serves(layer, unit)]:
            _divide(pool(values, *_joined(times, units), layer.frame_period), layer, times, units, vectors)
    return vectors


def _pool_in_windows(
    utterance: Utterance,
    model: LayeredModel,
    layers: Sequence[Layer],
    times: Times,
    device: str,
    tick: Callable[[int], object],
) -> Vectors:
    served = {layer: units for layer in layers if (units := [unit for unit in times if serves(layer, unit)])}
    pools = {layer: StreamingPool(*_joined(times, units), layer.frame_period) for layer, units in served.items()}
    means = {
        layer: np.zeros((sum(len(times[unit][0]) for unit in units), layer.dim), np.float32)
        for layer, units in served.items()
    }
    finest = min(layers, key=lambda layer: layer.frame_period)
    for window in run_windows({"": model}, utterance, device):
        for layer, each in pools.items():
            rows, found = each.add(_checked(utterance, layer, window[""][layer.name].frames))
            means[layer][rows] = found
        tick(round(len(window[""][finest.name].frames) * finest.frame_period))
    vectors: Vectors = {}
    for layer, each in pools.items():
        rows, found = each.finish()
        means[layer][rows] = found
        _divide(means[layer], layer, times, served[layer], vectors)
    return vectors


def _checked(utterance: Utterance, layer: Layer, frames: torch.Tensor) -> Float[np.ndarray, "frames dim"]:
    values: np.ndarray = frames.float().cpu().numpy()
    if not len(values):
        raise MultiresError(f"{utterance.id}: too short ({utterance.duration:.3f} s) for a frame at {layer.name}")
    if not np.isfinite(values).all():
        raise MultiresError(f"{utterance.id}: layer {layer.name} gave NaN or infinity; check the audio and weights")
    return values


def _joined(times: Times, units: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    start, end = (np.concatenate([times[unit][side] for unit in units]) for side in (0, 1))
    return start, end


def _divide(
    pooled: Float[np.ndarray, "segments dim"], layer: Layer, times: Times, units: Sequence[str], vectors: Vectors
) -> None:
    """Add the rows of each unit, in the order of `_joined`, to `vectors`."""
    bounds = np.cumsum([len(times[unit][0]) for unit in units])
    for unit, part in zip(units, np.split(pooled, bounds[:-1]), strict=True):
        vectors.setdefault(unit, {})[layer.name] = part
