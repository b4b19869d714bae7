"""Rows for k-means: held in memory, or read piece by piece."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from multires.measures.assignment import Assigned, centered, nearest
from multires.measures.statistics import as_matrix, check_finite

T = TypeVar("T")


class Merger(Protocol):
    """Runs a function on pieces of data, in this process or elsewhere."""

    def merge(self, function: Callable[[Any], T], pieces: Sequence[Any], join: Callable[[T, T], T]) -> T:
        """Results of `function` on all pieces, joined pairwise."""
        ...


@dataclass(frozen=True)
class Pieces:
    """Rows that are read piece by piece because they do not fit in memory.

    Attributes
    ----------
    readers
        Each returns its rows, shape (rows, dim), the same ones in every call.
    sizes
        Number of rows of each piece.
    dim
        Number of columns.
    engine
        Runs a function on every piece and merges the results, such as `multires.runtime.engine.LOCAL`.
    """

    readers: Sequence[Callable[[], np.ndarray]]
    sizes: Sequence[int]
    dim: int
    engine: Merger = field(compare=False)

    def __len__(self) -> int:
        return sum(self.sizes)


class Rows(Protocol):
    """Centered rows in random order, of which the first are a sample."""

    origin: np.ndarray

    def first(self, most: int) -> Tensor:
        """At most `most` rows."""

    def assign(self, most: int, centers: Tensor) -> Assigned:
        """Assign the first `most` rows to their nearest centers."""

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        """The `count` rows, of the first `most`, that are farthest from all centers."""


class HeldRows:
    """All rows in memory."""

    def __init__(self, rows: Tensor, origin: np.ndarray) -> None:
        self.rows, self.origin = rows, origin
        self._distance = rows.new_empty(0)

    @classmethod
    def of(cls, x: np.ndarray, device: str | torch.device, generator: torch.Generator, name: str) -> HeldRows:
        """Centered rows of a matrix, shuffled."""
        origin = x.mean(axis=0, dtype=np.float64)
        rows = centered(x, origin, torch.device(device), name)
        return cls(rows[torch.randperm(len(rows), generator=generator).to(rows.device)], origin)

    def first(self, most: int) -> Tensor:
        """At most `most` rows."""
        return self.rows[:most]

    def assign(self, most: int, centers: Tensor) -> Assigned:
        """Assign the first `most` rows to their nearest centers."""
        index, self._distance = nearest(self.rows[:most], centers)
        return Assigned.of(self.rows[:most], centers, index, self._distance)

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        """The `count` rows, of the first `most`, that are farthest from all centers."""
        return self.rows[self._distance.topk(count).indices]  # of the last assignment


class ReadRows:
    """Rows that are read again in every iteration; only sums and the rows of samples are in memory.

    Workers compute on the device; their results, including centers, are kept on the CPU.
    """

    def __init__(self, pieces: Pieces, places: Sequence[np.ndarray], reader: Reader) -> None:
        self._engine = pieces.engine
        self._pieces = [Piece(read, place) for read, place in zip(pieces.readers, places, strict=True)]
        self._reader, self.origin = reader, reader.origin

    @classmethod
    def of(cls, x: Pieces, device: str | torch.device, generator: torch.Generator, name: str) -> ReadRows:
        """Pieces, with their mean and a random position for every row."""
        total = x.engine.merge(_Total(name), [Piece(reader) for reader in x.readers], operator.add)
        order = torch.randperm(len(x), generator=generator).numpy()
        places = np.empty(len(x), dtype=np.int64)
        places[order] = np.arange(len(x))
        return cls(x, np.split(places, np.cumsum(x.sizes)[:-1]), Reader(total / len(x), str(device), name))

    def first(self, most: int) -> Tensor:
        """At most `most` rows."""
        places, rows = self._merge(_First(self._reader, most), most, _join_rows)
        return torch.from_numpy(rows[np.argsort(places)])

    def assign(self, most: int, centers: Tensor) -> Assigned:
        """Assign the first `most` rows to their nearest centers."""
        return self._merge(_Assign(self._reader, most, centers), most, operator.add)

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        """The `count` rows, of the first `most`, that are farthest from all centers."""
        return torch.from_numpy(self._merge(_Farthest(self._reader, most, centers, count), most, _Farther(count))[1])

    def _merge(self, function: Callable[[Piece], T], most: int, join: Callable[[T, T], T]) -> T:
        return self._engine.merge(function, [piece for piece in self._pieces if piece.has(most)], join)


_Some = tuple[np.ndarray, np.ndarray]
"""One number per row, and the rows."""


@dataclass(frozen=True)
class Piece:
    """One piece of `Pieces`, and the position of each of its rows in the random order."""

    read: Callable[[], np.ndarray]
    places: np.ndarray | None = None

    def __str__(self) -> str:
        return str(self.read)

    def has(self, most: int) -> bool:
        """True if the piece holds any of the first `most` rows."""
        return self.places is not None and bool((self.places < most).any())


@dataclass(frozen=True)
class Reader:
    """Reader of pieces on a worker."""

    origin: np.ndarray
    device: str
    name: str

    def __call__(self, piece: Piece, most: int | None = None) -> Tensor:
        """Centered rows of a piece, optionally of the first `most` rows only."""
        x = as_matrix(piece.read(), "x", self.name)
        if most is not None and piece.places is not None:
            x = x[piece.places < most]
        return centered(x, self.origin, torch.device(self.device), self.name)


@dataclass(frozen=True)
class _Total:
    name: str

    def __call__(self, piece: Piece) -> np.ndarray:
        x = as_matrix(piece.read(), "x", self.name)
        check_finite(x, "x", self.name)
        return x.sum(axis=0, dtype=np.float64)


@dataclass(frozen=True)
class _First:
    reader: Reader
    most: int

    def __call__(self, piece: Piece) -> _Some:
        assert piece.places is not None, "rows are chosen by their places"
        return piece.places[piece.places < self.most], self.reader(piece, self.most).cpu().numpy()


@dataclass(frozen=True)
class _Assign:
    reader: Reader
    most: int
    centers: Tensor

    def __call__(self, piece: Piece) -> Assigned:
        rows = self.reader(piece, self.most)
        centers = self.centers.to(rows.device)
        found = Assigned.of(rows, centers, *nearest(rows, centers))
        return Assigned(found.counts.cpu(), found.sums.cpu(), found.inertia)


@dataclass(frozen=True)
class _Farthest:
    reader: Reader
    most: int
    centers: Tensor
    count: int

    def __call__(self, piece: Piece) -> _Some:
        rows = self.reader(piece, self.most)
        distance = nearest(rows, self.centers.to(rows.device))[1]
        found = distance.topk(min(self.count, len(rows)))
        return found.values.cpu().numpy(), rows[found.indices].cpu().numpy()


@dataclass(frozen=True)
class _Farther:
    count: int

    def __call__(self, one: _Some, other: _Some) -> _Some:
        distance, rows = _join_rows(one, other)
        chosen = np.argsort(-distance, kind="stable")[: self.count]
        return distance[chosen], rows[chosen]


@dataclass(frozen=True)
class NearestCenter:
    """Index of the nearest center of each row of a piece."""

    reader: Reader
    centers: Tensor

    def __call__(self, piece: Piece) -> np.ndarray:
        """Indices, shape (rows,)."""
        rows = self.reader(piece)
        return nearest(rows, self.centers.to(rows.device))[0].cpu().numpy()


def join_parts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Results of two pieces, in order."""
    return np.concatenate([one, other])


def _join_rows(one: _Some, other: _Some) -> _Some:
    return join_parts(one[0], other[0]), join_parts(one[1], other[1])
