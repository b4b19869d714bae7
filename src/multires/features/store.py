"""Segment vectors on disk, in shards that are complete or absent."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
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
from multires.features.shared import SharedTable
from multires.models.layers import Layer
from multires.runtime import storage

_LOG = logging.getLogger(__name__)


class FeatureStore:
    """One model's segment vectors: zarr groups ``shard-0003/phone``, an array a layer, rows as in the table.

    A shard appears when it is whole, so that an interrupted extraction loses at most the shards it was in, and shards
    may be written by different processes. Each array holds its checksum, which is compared whenever it is read.

    Parameters
    ----------
    path
        The zarr folder of one model, or its URL.
    segments
        Table of `segment_table`.
    layers
        The layers that are kept.
    sizes
        Number of utterances in each shard, in the order of the table.
    restore
        Extracts the shard of a given number again if it is damaged or missing.
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
        self._shared: SharedTable | None = None
        self._layers = {layer.name: layer for layer in layers}
        self._labels: dict[str, pd.DataFrame] = {}
        self._restore = restore

    def __getstate__(self) -> dict[str, Any]:
        """State for another process, which can read the vectors but not restore a damaged shard."""
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
            assert self._shared is not None, "a store without a table knows the file that holds it"
            self._segments = self._shared.read()
        return self._segments

    def share_labels(self, shared: SharedTable) -> None:
        """Let other processes read the table of segments from a file, so that it need not be sent to each of them."""
        self._shared = shared

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
            If a shard is damaged and cannot be extracted again.
        """
        rows = self._rows_in_shards(unit)
        return np.concatenate([self.part(number, layer, unit, rows=int(n)) for number, n in enumerate(rows) if n])

    def readers(self, layer: str, unit: str, rows: np.ndarray) -> list[ShardRows]:
        """Readers of a part of a layer's vectors, one for each shard; `rows` is a mask in the order of `labels`."""
        if unit not in self._ends:
            self._ends[unit] = np.cumsum(self._rows_in_shards(unit))
        masks = enumerate(np.split(np.asarray(rows, dtype=bool), self._ends[unit][:-1]))
        return [ShardRows(self, number, layer, unit, mask) for number, mask in masks if mask.any()]

    def _rows_in_shards(self, unit: str) -> np.ndarray:
        utterance, _ = pd.factorize(self.segments["utterance"])
        shard = np.searchsorted(np.cumsum(self._sizes), utterance, side="right")
        return np.bincount(shard[(self.segments["unit"] == unit).to_numpy()], minlength=self.shards)

    def part(self, number: int, layer: str, unit: str, *, rows: int | None = None) -> Float[np.ndarray, "segments dim"]:
        """The vectors of one shard; a damaged shard is extracted again if this process can.

        Parameters
        ----------
        number, layer, unit
            Which vectors.
        rows
            Expected number; counted in the table of segments if None.

        Raises
        ------
        MultiresError
            If the shard is damaged or has other rows, and cannot be extracted again.
        """
        place = shard_path(self.path, number) / unit / layer
        shape = (int(self._rows_in_shards(unit)[number]) if rows is None else rows, self._layers[layer].dim)
        try:
            return read_array(place, shape)
        except Damaged as error:
            message = f"{place} is damaged ({error})"
        if self._restore is None:
            raise MultiresError(f"{message}: delete {place.parents[1]} to have it extracted again")
        with storage.making(self.path):
            try:
                return read_array(place, shape)  # another run or thread has restored it
            except Damaged:
                _LOG.warning("%s: extracting %s again", message, place.parents[1].name)
            self._restore(number)
        try:
            return read_array(place, shape)
        except Damaged as error:
            raise MultiresError(
                f"{place} is damaged again right after it was written ({error}): check the disk"
            ) from error

    def dataset(self, unit: str, layers: Iterable[str]) -> xr.Dataset:
        """Several layers of one unit as a labeled dataset: dimensions segment and, for each width, dim."""
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
        """State for another process, without the table of all segments."""
        return {**self.__dict__, "store": self.store.without_labels()}

    def __call__(self) -> Float[np.ndarray, "segments dim"]:
        """Shape (rows, dim), float32.

        Raises
        ------
        MultiresError
            If the shard is damaged and cannot be extracted again, or has other rows.
        """
        return self.store.part(self.number, self.layer, self.unit, rows=len(self.mask))[self.mask]

    def __str__(self) -> str:
        return f"{self.unit}s at {self.layer} in shard-{self.number:04d}"


def shard_path(path: Path, number: int) -> Path:
    """Path of a shard in a model's folder."""
    return path / f"shard-{number:04d}"


class Damaged(MultiresError):
    """The content on disk is not what was written."""


def write_shard(target: Path, layers: Sequence[Layer], vectors: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write a shard's arrays, and last the group's own metadata, which says that it is whole."""

    def write(folder: Path) -> None:
        for unit in UNITS:
            for layer in layers:
                if serves(layer, unit):
                    empty = np.empty((0, layer.dim), np.float32)
                    _write_array(folder / unit / layer.name, vectors.get(unit, {}).get(layer.name, empty))
        zarr.create_group(str(folder), overwrite=False)

    storage.replace_folder(target, write)


def is_whole(shard: Path) -> bool:
    """True if a shard is complete: its metadata is written last."""
    return (shard / "zarr.json").exists()


_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
"""The only codec: values as they are. Vectors hardly compress, and no other codec is ever loaded."""


def _write_array(place: Path, values: Float[np.ndarray, "segments dim"]) -> None:
    # One chunk, since a shard's array is always read whole.
    zarr.create_array(
        str(place), data=values, chunks=_chunk(values.shape), compressors=None, filters=None, zarr_format=3,
        dimension_names=("segment", "dim"), attributes={"crc32": _checksum(values)}, overwrite=True,
    )  # fmt: skip


def _chunk(shape: tuple[int, ...]) -> tuple[int, int]:
    return max(shape[0], 1), shape[1]


def read_array(place: Path, shape: tuple[int, int]) -> Float[np.ndarray, "segments dim"]:
    """The vectors of one shard, unit and layer, as they were written.

    Only what `write_shard` writes is accepted: the array's description is compared before a value is read, so that a
    description from elsewhere can neither load a codec, such as one that unpickles, nor ask for more memory.

    Parameters
    ----------
    place
        Folder of the array.
    shape
        (segments, dim) that it must have.

    Raises
    ------
    Damaged
        If the array cannot be read, or is not the one that was written.
    """
    try:
        described = json.loads((place / "zarr.json").read_bytes())
        _check_description(described, shape)
        values = np.asarray(zarr.open_array(str(place), mode="r", zarr_format=3)[:])
        expected = described["attributes"]["crc32"]
    except Damaged:
        raise
    except Exception as error:  # damaged metadata can make zarr fail in any way
        raise Damaged(storage.reason(error)) from error
    if expected != _checksum(values):
        raise Damaged("its checksum does not fit")
    return values


def _check_description(described: Any, shape: tuple[int, int]) -> None:
    wanted = {
        "zarr_format": 3, "node_type": "array", "data_type": "float32", "shape": list(shape), "codecs": [_BYTES],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(_chunk(shape))}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    }  # fmt: skip
    if described.get("storage_transformers"):
        raise Damaged("it has storage transformers")
    for name, value in wanted.items():
        if name not in described:
            raise Damaged(f"its description has no {name}")
        if described[name] != value:
            raise Damaged(f"its {name} is {str(described[name])[:80]}, not {value}")


def _checksum(values: np.ndarray) -> int:
    """Of the values and their shape: a missing chunk reads as zeros, and only the checksum shows it."""
    return zlib.crc32(np.ascontiguousarray(values), zlib.crc32(f"{values.dtype.str}{values.shape}".encode()))
