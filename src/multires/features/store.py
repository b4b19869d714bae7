"""Segment vectors on disk, in shards that are complete or absent."""

from __future__ import annotations

import io
import sys
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from jaxtyping import Float

from multires.errors import MultiresError
from multires.features.pooling import serves
from multires.features.segments import UNITS
from multires.models.layers import Layer
from multires.runtime import storage


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


def shard_path(path: Path, number: int) -> Path:
    """Where a shard lies in a model's folder."""
    return path / f"shard-{number:04d}"


class Damaged(MultiresError):
    """What is on disk is not what was written."""


def write_shard(target: Path, layers: Sequence[Layer], vectors: Mapping[str, Mapping[str, np.ndarray]]) -> None:
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


def is_whole(shard: Path) -> bool:
    """True if a shard is complete: its metadata is written last."""
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
