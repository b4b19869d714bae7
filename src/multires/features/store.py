"""Layers to vectors: which segments to look at, their pooling, and the on-disk store."""

from __future__ import annotations

import hashlib
import io
import platform
import sys
import threading
import uuid
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
import zarr
from jaxtyping import Float
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Corpus, Segment, Utterance
from multires.errors import MultiresError
from multires.models import load_model
from multires.models.layers import Layer, LayeredModel
from multires.runtime import storage
from multires.runtime.engine import LOCAL, Engine

FRAME_PERIODS = (0.02, 0.04, 0.08)
"""Seconds; the grids on which frames are compared."""

UNITS = ("phone", "word", "utterance", "frame20", "frame40", "frame80")
"""Kinds of segment. ``frameN`` is one window of N milliseconds."""

SHARD_SECONDS = 900.0
"""Audio in a shard: what an interruption can cost, and what one unit of work holds in memory."""

_COARSEST = FRAME_PERIODS[-1]
_EDGE = 1e-6  # of a frame: keeps 0.06 / 0.02 from becoming frame 2


def segment_table(corpus: Corpus, *, frames: int, seed: int) -> pd.DataFrame:
    """Every utterance, word and phone of a corpus, and a sample of its frames.

    Frames are sampled in nested windows: a random 80 ms window of the utterance, a random 40 ms half of it, and a
    random 20 ms half of that. Row i of ``frame20``, ``frame40`` and ``frame80`` therefore looks at the same place,
    and layers of different frame periods can be compared like with like on any of them.

    Parameters
    ----------
    corpus
        Utterances without alignment give frames only.
    frames
        How many frames to sample from each split, in proportion to duration.
    seed
        Of the sample of frames.

    Returns
    -------
    pandas.DataFrame
        A row a segment, utterances in corpus order, with columns unit, utterance, speaker, split, label, start, end
        (seconds), word (the word a phone or frame is in), part_of_speech and semantic_class (of that word). The label
        of an utterance is its speaker, that of a frame the phone at its centre. Unknown entries are empty strings.
    """
    tags = corpus.parts_of_speech
    total = {split: sum(u.duration for u in corpus if u.split == split) for split in corpus.splits}
    rows: list[tuple[str, str, str, str, str, float, float, str, str, str]] = []
    for position, utterance in enumerate(corpus):
        share = frames * utterance.duration / total[utterance.split]
        rng = np.random.default_rng([seed, position])
        windows = _sample_windows(utterance.duration, share, rng)
        for unit, label, start, end, word in _segments(utterance, windows):
            rows.append(
                (unit, utterance.id, utterance.speaker, utterance.split, label, start, end,
                 word, tags.get(word, ""), corpus.semantic_classes.get(word, ""))
            )  # fmt: skip
    columns = [
        "unit",
        "utterance",
        "speaker",
        "split",
        "label",
        "start",
        "end",
        "word",
        "part_of_speech",
        "semantic_class",
    ]
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        raise MultiresError(f"corpus {corpus.name}: no utterance is long enough for a single 80 ms frame")
    return table


def _sample_windows(duration: float, share: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Start times of nested 80, 40 and 20 ms windows, in order of time; `share` may be fractional."""
    available = int(duration / _COARSEST) - 1  # the last frames of an utterance may lack a full receptive field
    wanted = min(max(available, 0), int(share) + int(rng.random() < share % 1))
    chosen = np.sort(rng.choice(available, wanted, replace=False)) if wanted else np.empty(0)
    halves = rng.integers(0, 2, size=(wanted, 2))
    return [
        (start, start + 0.04 * half, start + 0.04 * half + 0.02 * quarter)
        for start, (half, quarter) in zip(chosen * _COARSEST, halves, strict=True)
    ]


def _segments(
    utterance: Utterance, windows: Sequence[tuple[float, float, float]]
) -> Iterator[tuple[str, str, float, float, str]]:
    """Unit, label, start, end and word of each segment of one utterance."""
    words, phones = utterance.words or (), utterance.phones or ()
    yield "utterance", utterance.speaker, 0.0, utterance.duration, ""
    for phone in phones:
        if phone.label != SILENCE:
            yield "phone", phone.label, phone.start, phone.end, _label_at(words, (phone.start + phone.end) / 2)
    for word in words:
        yield "word", word.label, word.start, word.end, word.label
    for column, period in enumerate(reversed(FRAME_PERIODS)):
        for starts in windows:
            start, centre = starts[column], starts[column] + period / 2
            unit = f"frame{round(period * 1000)}"
            yield unit, _label_at(phones, centre), start, start + period, _label_at(words, centre)


def _label_at(segments: Sequence[Segment], time: float) -> str:
    position = bisect_right(segments, time, key=lambda segment: segment.start) - 1
    return segments[position].label if position >= 0 and time < segments[position].end else ""


def frame_range(
    start: Float[np.ndarray, " segments"], end: Float[np.ndarray, " segments"], frame_period: float, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """First frame and one past the last frame of each segment: floor(start / period) to ceil(end / period).

    At least one frame each, none past the last of the `frames` there are. This is how layer-wise analysis
    (Pasad et al., 2021) reads segments.
    """
    first = np.floor(np.asarray(start) / frame_period + _EDGE).astype(int)
    past = np.ceil(np.asarray(end) / frame_period - _EDGE).astype(int)
    first = np.clip(first, 0, frames - 1)
    return first, np.clip(past, first + 1, frames)


def pool(
    frames: Float[np.ndarray, "frames dim"], start: np.ndarray, end: np.ndarray, frame_period: float
) -> Float[np.ndarray, "segments dim"]:
    """The mean of each segment's frames (see `frame_range`), in float32.

    Parameters
    ----------
    frames
        One utterance's frames at one layer.
    start, end
        Seconds; one pair a segment.
    frame_period
        Seconds per frame.
    """
    first, past = frame_range(start, end, frame_period, len(frames))
    sums = np.zeros((frames.shape[1], len(frames) + 1))
    np.cumsum(frames.T, axis=1, dtype=np.float64, out=sums[:, 1:])  # along rows: half the time of down the columns
    sums = np.ascontiguousarray(sums.T)
    return ((sums[past] - sums[first]) / (past - first)[:, None]).astype(np.float32)


def serves(layer: Layer, unit: str) -> bool:
    """Whether a layer's frames are fine enough for a unit: a 40 ms layer has no 20 ms frames."""
    return not unit.startswith("frame") or layer.frame_period <= int(unit.removeprefix("frame")) / 1000 + 1e-9


class FeatureStore:
    """One model's segment vectors: zarr groups ``shard-0003/phone``, an array a layer, rows as in the table.

    A shard appears when it is whole, so that an interrupted extraction loses at most the shards it was in, and shards
    may be written by different processes. Each array holds its checksum, which is compared whenever it is read.

    Parameters
    ----------
    path
        The zarr folder of one model, or its URL.
    segments
        The table that `segment_table` gave.
    layers
        The layers that are kept.
    sizes
        How many utterances are in each shard, in the order of the table.
    restore
        Extracts the shard of a number again, where it is damaged or missing.
    """

    def __init__(
        self,
        path: Path,
        segments: pd.DataFrame,
        layers: Sequence[Layer],
        sizes: Sequence[int],
        restore: Callable[[int], None] | None = None,
    ) -> None:
        self.path = path
        self.shards = len(sizes)
        self._sizes = tuple(sizes)
        self._ends: dict[str, np.ndarray] = {}
        self._segments: pd.DataFrame | None = segments
        self._shared: Path | None = None
        self._layers = {layer.name: layer for layer in layers}
        self._labels: dict[str, pd.DataFrame] = {}
        self._restore = restore

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to read the vectors; it cannot extract a damaged shard again."""
        segments = self._segments if self._shared is None else None
        return {**self.__dict__, "_labels": {}, "_restore": None, "_segments": segments}

    def without_labels(self) -> FeatureStore:
        """The same store for reading parts only."""
        bare = copy(self)
        bare.__dict__.update(_segments=None, _shared=None, _labels={}, _restore=None, _sizes=(), _ends={})
        return bare

    @property
    def segments(self) -> pd.DataFrame:
        """The table of all segments."""
        if self._segments is None:
            assert self._shared is not None, "a store without a table has been told where it lies"
            self._segments = _shared_segments(self._shared)
        return self._segments

    def share_labels(self, path: Path) -> None:
        """Write the table of segments where other processes find it, so that it need not be sent to each of them."""
        if not path.exists():
            packed = io.BytesIO()
            self.segments.to_parquet(packed, index=False)
            storage.replace_file(path, lambda file: file.write_bytes(packed.getvalue()))
        self._shared = path

    def units(self) -> list[str]:
        """The kinds of segment there are."""
        return [unit for unit in UNITS if (self.segments["unit"] == unit).any()]

    def layer_names(self) -> list[str]:
        """The layers there are, in order of computation."""
        return list(self._layers)

    def labels(self, unit: str) -> pd.DataFrame:
        """The rows of one unit, in the order of `vectors`."""
        if unit not in self._labels:
            self._labels[unit] = self.segments[self.segments["unit"] == unit].reset_index(drop=True)
        return self._labels[unit]

    def vectors(self, layer: str, unit: str) -> Float[np.ndarray, "segments dim"]:
        """One layer's vectors, float32, in the order of `labels`.

        Raises
        ------
        MultiresError
            Where a shard is damaged and cannot be extracted again.
        """
        parts = [self.part(number, layer, unit) for number in range(self.shards)]
        vectors = np.concatenate([part for part in parts if len(part)])
        if len(vectors) != len(self.labels(unit)):
            raise MultiresError(
                f"{self.path} holds {len(vectors)} vectors of {unit}s at {layer}, and there are "
                f"{len(self.labels(unit))} {unit}s: delete it to have it extracted again"
            )
        return vectors

    def readers(self, layer: str, unit: str, rows: np.ndarray) -> list[ShardRows]:
        """What reads some of a layer's vectors shard by shard; `rows` is a mask in the order of `labels`."""
        if unit not in self._ends:
            self._ends[unit] = np.cumsum(self._rows_in_shards(unit))
        masks = enumerate(np.split(np.asarray(rows, dtype=bool), self._ends[unit][:-1]))
        return [ShardRows(self, number, layer, unit, mask) for number, mask in masks if mask.any()]

    def _rows_in_shards(self, unit: str) -> np.ndarray:
        utterance, _ = pd.factorize(self.segments["utterance"])
        shard = np.searchsorted(np.cumsum(self._sizes), utterance, side="right")
        return np.bincount(shard[(self.segments["unit"] == unit).to_numpy()], minlength=self.shards)

    def part(self, number: int, layer: str, unit: str) -> Float[np.ndarray, "segments dim"]:
        """The vectors of one shard; it is extracted again where it is damaged."""
        place = shard_path(self.path, number) / unit / layer
        try:
            return read_array(place)
        except Damaged as damage:
            told = f"{place} is damaged ({damage})"
        if self._restore is None:
            raise MultiresError(f"{told}: delete {place.parents[1]} to have it extracted again")
        with storage.making(self.path):
            try:
                return read_array(place)  # another run, or another thread, was faster
            except Damaged:
                print(f"{told}: extracting {place.parents[1].name} again", file=sys.stderr, flush=True)
            self._restore(number)
        return read_array(place)

    def dataset(self, unit: str, layers: Iterable[str]) -> xr.Dataset:
        """Several layers of one unit as a labelled dataset: dimensions segment and, for each width, dim."""
        labels = self.labels(unit)
        variables = {}
        for layer in layers:
            values = self.vectors(layer, unit)
            variables[layer] = (("segment", f"dim{values.shape[1]}"), values)
        coords = {name: ("segment", labels[name].to_numpy()) for name in labels.columns if name != "unit"}
        return xr.Dataset(variables, coords, attrs={"model": self.path.stem, "unit": unit})


@dataclass(frozen=True)
class ShardRows:
    """Reads the rows in `mask` of one shard's vectors each time it is called."""

    store: FeatureStore
    number: int
    layer: str
    unit: str
    mask: np.ndarray

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: where the vectors are, and not the table of all segments with every shard."""
        return {**self.__dict__, "store": self.store.without_labels()}

    def __call__(self) -> Float[np.ndarray, "segments dim"]:
        """Shape (rows, dim), float32.

        Raises
        ------
        MultiresError
            Where the shard is damaged and cannot be extracted again, or has other rows.
        """
        vectors = self.store.part(self.number, self.layer, self.unit)
        if len(vectors) != len(self.mask):
            raise MultiresError(
                f"{shard_path(self.store.path, self.number)} holds {len(vectors)} vectors of {self.unit}s at "
                f"{self.layer}, and there are {len(self.mask)}: delete it to have it extracted again"
            )
        return vectors[self.mask]

    def __str__(self) -> str:
        return f"{self.unit}s at {self.layer} in shard-{self.number:04d}"


@lru_cache(maxsize=1)
def _shared_segments(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise MultiresError(f"cannot read {path}: {storage.reason(error)}; delete it and run again") from error


def fingerprint(model: LayeredModel) -> str:
    """Changes whenever a weight or the key does."""
    digest = hashlib.sha256(model.key.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class NamedModel:
    """A model that each process loads for itself and keeps until it needs another.

    Attributes
    ----------
    name, seed
        As in `multires.models.load_model`.
    fingerprint
        Of its weights, so that all processes use the same.
    """

    name: str
    seed: int
    fingerprint: str

    def __call__(self) -> LayeredModel:
        """The model.

        Raises
        ------
        MultiresError
            Where this process has another model under that name, or none.
        """
        with _one_loads:
            return _loaded(self)


_one_loads = threading.Lock()


@lru_cache(maxsize=2)  # a model, and the one that it is compared with
def _loaded(wanted: NamedModel) -> LayeredModel:
    model = load_model(wanted.name, seed=wanted.seed)
    if fingerprint(model) != wanted.fingerprint:
        raise MultiresError(f"{wanted.name} has other weights on {platform.node()}: bring its copy up to date")
    return model


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
    progress: bool = True,
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
        Names of the layers to keep; all where None.
    device, batch_seconds
        Where to run, and how much (padded) audio at a time.
    engine, source
        What works on the shards, and how its workers get the model; where None, the model itself is sent to them.

    Raises
    ------
    MultiresError
        For an unknown layer, a folder that cannot be written, or output that is not finite (named by utterance and
        layer).
    """
    kept = choose_layers(model, layers)
    positions = segments.groupby("utterance", sort=False).indices
    shards = list(_shards([utterance for utterance in corpus if utterance.id in positions]))
    names = [layer.name for layer in kept]

    def shard(number: int) -> Shard:
        rows = segments.iloc[np.concatenate([positions[utterance.id] for utterance in shards[number]])]
        return Shard(number, shards[number], rows[["unit", "utterance", "start", "end"]])

    def restore(number: int) -> None:
        Extraction(lambda: model, names, path, device, batch_seconds)(shard(number), replace=True)

    def missing() -> list[int]:
        return [number for number in range(len(shards)) if not _is_whole(shard_path(path, number))]

    seconds = [round(sum(utterance.duration for utterance in each)) for each in shards]
    if missing():
        with (
            storage.making(path),
            tqdm(total=sum(seconds), desc=f"extract {model.key}", unit="s audio", disable=not progress) as bar,
        ):
            wanted = missing()
            bar.update(sum(seconds) - sum(seconds[number] for number in wanted))
            if engine.remote:
                work = Extraction(source or (lambda: model), names, path, device, batch_seconds)
            else:
                work = Extraction(lambda: model, names, path, device, batch_seconds, tick=bar.update)
            for number in engine.each(work, map(shard, wanted), f"shards of {model.key}"):
                if engine.remote:
                    bar.update(seconds[number])
    return FeatureStore(path, segments, kept, [len(shard) for shard in shards], restore)


def choose_layers(model: LayeredModel, names: Sequence[str] | None) -> list[Layer]:
    """The layers of a model by name, in order of computation; all where `names` is None."""
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


def shard_path(path: Path, number: int) -> Path:
    """Where a shard lies in a model's folder."""
    return path / f"shard-{number:04d}"


@dataclass(frozen=True)
class Extraction:
    """Runs a model over a shard and writes its vectors; gives the shard's number.

    Attributes
    ----------
    source
        Gives the model, the same one each time, so that it stays loaded from shard to shard.
    layers, path, device, batch_seconds
        As in `extract`.
    tick
        Is told the seconds of audio after each batch.
    """

    source: Callable[[], LayeredModel]
    layers: Sequence[str]
    path: Path
    device: str
    batch_seconds: float
    tick: Callable[[int], object] = field(default=lambda seconds: None, repr=False)

    def __call__(self, shard: Shard, *, replace: bool = False) -> int:
        """Extract a shard, where it is not there yet or is to be replaced."""
        target = shard_path(self.path, shard.number)
        if replace or not _is_whole(target):
            # One shard at a time on a GPU, however many threads a worker has: two would not be faster, only larger.
            with _on_gpu if self.device.startswith("cuda") else nullcontext():
                model = self.source().to(self.device).eval()
                kept = choose_layers(model, self.layers)
                vectors = _run_shard(model, kept, shard, self.device, self.batch_seconds, self.tick)
            _write_shard(target, kept, vectors)
        return shard.number


_on_gpu = threading.Lock()


def _shards(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    shard: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        shard.append(utterance)
        seconds += utterance.duration
        if seconds >= SHARD_SECONDS:
            yield shard
            shard, seconds = [], 0.0
    if shard:
        yield shard


def _batches(utterances: Sequence[Utterance], batch_seconds: float) -> Iterator[list[Utterance]]:
    """Utterances of similar length together, the longest first, so that what does not fit in memory shows at once."""
    batch: list[Utterance] = []
    for utterance in sorted(utterances, key=lambda u: u.duration, reverse=True):
        if batch and batch[0].duration * (len(batch) + 1) > batch_seconds:
            yield batch
            batch = []
        batch.append(utterance)
    if batch:
        yield batch


def _run_shard(
    model: LayeredModel,
    layers: Sequence[Layer],
    shard: Shard,
    device: str,
    batch_seconds: float,
    tick: Callable[[int], object],
) -> dict[str, dict[str, np.ndarray]]:
    """Vectors by unit and layer, rows in the order of the utterances."""
    times = _times(shard.rows)
    pooled: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for batch in _batches(shard.utterances, batch_seconds):
        audio = [utterance.audio for utterance in batch]
        lengths = torch.tensor([len(samples) for samples in audio])
        waveforms = torch.zeros(len(audio), int(lengths.max()))
        for row, samples in enumerate(audio):
            waveforms[row, : len(samples)] = torch.from_numpy(samples)
        with torch.inference_mode():
            outputs = model(waveforms.to(device), lengths.to(device))
        for row, utterance in enumerate(batch):
            frames = outputs.utterance(row)
            pooled[utterance.id] = _pool_utterance(utterance, frames, layers, times[utterance.id])
        tick(round(lengths.sum().item() / SAMPLE_RATE))
    merged: dict[str, dict[str, np.ndarray]] = {}
    for unit in UNITS:
        for layer in layers:
            parts = [
                pooled[u.id][unit][layer.name] for u in shard.utterances if layer.name in pooled[u.id].get(unit, {})
            ]
            if parts:
                merged.setdefault(unit, {})[layer.name] = np.concatenate(parts)
    return merged


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
) -> dict[str, dict[str, np.ndarray]]:
    vectors: dict[str, dict[str, np.ndarray]] = {}
    for layer in layers:
        values = frames[layer.name].float().cpu().numpy()
        if not len(values):
            raise MultiresError(f"{utterance.id}: too short ({utterance.duration:.3f} s) for a frame at {layer.name}")
        if not np.isfinite(values).all():
            raise MultiresError(f"{utterance.id}: layer {layer.name} gave NaN or infinity; check the audio and weights")
        # All units at once: summing the frames takes longer than all that follows.
        units = [unit for unit in times if serves(layer, unit)]
        if not units:
            continue
        start, end = (np.concatenate([times[unit][side] for unit in units]) for side in (0, 1))
        pooled = pool(values, start, end, layer.frame_period)
        bounds = np.cumsum([len(times[unit][0]) for unit in units])
        for unit, part in zip(units, np.split(pooled, bounds[:-1]), strict=True):
            vectors.setdefault(unit, {})[layer.name] = part
    return vectors


# -- on disk ------------------------------------------------------------------------------------------------------


class Damaged(MultiresError):
    """What is on disk is not what was written."""


def _write_shard(target: Path, layers: Sequence[Layer], vectors: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write a shard's arrays, and last the group's own metadata, which says that it is whole."""
    partial = target if storage.is_remote(target) else target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    with storage.writing(target):
        try:
            for unit in UNITS:
                for layer in layers:
                    if serves(layer, unit):
                        empty = np.empty((0, layer.dim), np.float32)
                        _write_array(partial / unit / layer.name, vectors.get(unit, {}).get(layer.name, empty))
            zarr.create_group(str(partial), overwrite=False)
            if partial != target:
                storage.remove(target)
                partial.rename(target)
        finally:
            if partial != target:
                storage.remove(partial)


def _is_whole(shard: Path) -> bool:
    return (shard / "zarr.json").exists()


def _write_array(place: Path, values: np.ndarray) -> None:
    # One chunk, since a shard's array is read as a whole, and not packed: vectors hardly shrink.
    zarr.create_array(
        str(place), data=values, chunks=(max(len(values), 1), values.shape[1]), compressors=None,
        dimension_names=("segment", "dim"), attributes={"crc32": _checksum(values)}, overwrite=True,
    )  # fmt: skip


def read_array(place: Path) -> Float[np.ndarray, "segments dim"]:
    """A shard's vectors of one unit and layer, as they were written.

    Raises
    ------
    Damaged
        Where they cannot be read, or are others than those that were written.
    """
    try:
        array = zarr.open_array(str(place), mode="r")
        values, told = np.asarray(array[:]), array.attrs.get("crc32")
    except Exception as error:  # damaged metadata can make zarr fail in any way
        raise Damaged(storage.reason(error)) from error
    if told != _checksum(values):
        raise Damaged("its checksum does not fit")
    return values


def _checksum(values: np.ndarray) -> int:
    """Of the values and their shape: a chunk that is gone reads as zeros, and only the checksum tells."""
    return zlib.crc32(np.ascontiguousarray(values), zlib.crc32(f"{values.dtype.str}{values.shape}".encode()))
