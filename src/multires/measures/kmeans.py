"""K-means as matrix products in torch, on growing samples of the data, held at once or read piece by piece."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError, choose
from multires.measures.statistics import as_matrix, check_finite, said
from multires.models.products import product
from multires.runtime.engine import LOCAL, Engine

METHODS = ("lloyd", "minibatch")
"""Ways of fitting; see `fit_kmeans`."""

SAMPLES = (1 / 4, 1.0)
"""The shares of the rows on which Lloyd's iterations run in turn."""

_SETTLED = 5e-3
"""The relative fall of the inertia below which iterations end; what further ones would bring, another seed outweighs."""

_SKETCH = 64
"""Random projections in which the seeding measures distance."""

_BLOCK = 4096
"""Rows whose distances to all centres are held at once."""


@dataclass(frozen=True)
class Pieces:
    """Rows that are read piece by piece, because there are too many to be held at once.

    Attributes
    ----------
    readers
        Each gives its rows, shape (rows, dim), the same ones each time.
    sizes
        The rows of each.
    dim
        Columns.
    engine
        What reads and computes; its workers give back statistics, which are merged as a tree.
    """

    readers: Sequence[Callable[[], np.ndarray]]
    sizes: Sequence[int]
    dim: int
    engine: Engine = field(default=LOCAL, compare=False)

    def __len__(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True)
class KMeans:
    """Fitted centres.

    Attributes
    ----------
    centers
        Shape (clusters, dim), float32, about `origin`.
    origin
        The training mean, which is subtracted first so that a large offset costs no precision.
    inertia
        Mean squared distance of a training row to its centre.
    requested
        How many clusters were asked for.
    """

    centers: Float[Tensor, "clusters dim"]
    origin: Float[np.ndarray, " dim"]
    inertia: float
    requested: int

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return len(self.centers)

    @torch.no_grad()
    def predict(
        self, x: np.ndarray | Pieces, *, device: str | torch.device | None = None, name: str = ""
    ) -> Int[np.ndarray, " rows"]:
        """The nearest centre of every row, shape (rows,), computed on `device`, or where the centres are.

        Raises
        ------
        MultiresError
            Where x is not finite or has other columns than the training rows.
        """
        x = x if isinstance(x, Pieces) else as_matrix(x, "x", name)
        columns = x.dim if isinstance(x, Pieces) else x.shape[1]
        if columns != len(self.origin):
            raise MultiresError(f"{said(name)}x has {columns} columns: the clusters have {len(self.origin)}")
        device = device or self.centers.device
        if isinstance(x, Pieces):
            nearest = _Nearest(_Reader(self.origin, str(device), name), self.centers.cpu())
            return x.engine.merge(nearest, [_Piece(reader) for reader in x.readers], _join)
        rows = _centred(x, self.origin, torch.device(device), name)
        return _nearest(rows, self.centers.to(rows.device))[0].cpu().numpy()


@torch.no_grad()
def fit_kmeans(
    x: np.ndarray | Pieces,
    n_clusters: int,
    *,
    seed: int = 0,
    method: str = "lloyd",
    iterations: int = 30,
    rows_per_cluster: int = 10,
    batch_size: int = 1500,
    device: str | torch.device = "cpu",
    name: str = "",
) -> KMeans:
    """Fit centres to rows.

    ``lloyd`` seeds by k-means++ (Arthur and Vassilvitskii 2007) with distances in a random projection, then runs
    Lloyd's iterations on a quarter and then on all of the rows, each until the inertia settles: most of the way is made
    where it is cheap. ``minibatch`` is scikit-learn's `MiniBatchKMeans` as the protocol of Pasad et al. runs it.

    Parameters
    ----------
    x
        Shape (rows, dim), any real type; computed in float32 about the mean. `Pieces` give the same clusters up to
        rounding, with one piece in memory at a time (``lloyd`` only).
    n_clusters
        How many clusters; reduced with a warning to ``rows // rows_per_cluster`` where this is less.
    seed
        Seed of seeding, samples and batches.
    method
        One of `METHODS`.
    iterations
        At most so many Lloyd iterations on all rows, and as many on each sample (500 for ``minibatch``).
    rows_per_cluster
        Fewest rows for each cluster, on average.
    batch_size
        Rows in a batch of ``minibatch``.
    device
        Where ``lloyd`` computes.
    name
        Said in messages.

    Raises
    ------
    MultiresError
        Where x is empty or not finite, or a number is less than 1.
    """
    choose("method", method, METHODS)
    if method == "minibatch" and isinstance(x, Pieces):
        raise MultiresError(f"{said(name)}method minibatch holds all rows: use lloyd for rows in pieces")
    x = x if isinstance(x, Pieces) else as_matrix(x, "x", name)
    least = {"n_clusters": n_clusters, "iterations": iterations, "rows_per_cluster": rows_per_cluster, "rows": len(x)}
    for what, value in least.items():
        if value < 1:
            raise MultiresError(f"{said(name)}{what} is {value}: it must be at least 1")
    wanted = max(1, min(n_clusters, len(x) // rows_per_cluster))
    generator = torch.Generator().manual_seed(seed)
    rows = _Read.of(x, device, generator, name) if isinstance(x, Pieces) else _Held.of(x, device, generator, name)
    if isinstance(rows, _Held) and method == "minibatch":
        centers = _minibatch(rows.rows, wanted, seed, batch_size)
    else:
        centers = _seed_centers(rows.first(max(8 * wanted, 2048)), wanted, generator)
        for share in SAMPLES:
            most = max(round(share * len(x)), min(len(x), rows_per_cluster * len(centers)))
            centers = _lloyd(rows, most, centers, iterations)
    if len(centers) < n_clusters:
        warnings.warn(
            f"{said(name)}{n_clusters} clusters were reduced to {len(centers)}: {len(x)} training rows allow for no "
            f"more at {rows_per_cluster} rows a cluster, or have no more different values",
            stacklevel=2,
        )
    return KMeans(centers, rows.origin, rows.assign(len(x), centers).inertia / len(x), n_clusters)


# -- rows, held or read -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Assigned:
    """What one iteration needs to know of some rows: how many each centre has, their sum, and squared distances."""

    counts: Int[Tensor, " clusters"]
    sums: Float[Tensor, "clusters dim"]
    inertia: float

    @classmethod
    def of(cls, rows: Tensor, centers: Tensor, index: Tensor, distance: Tensor) -> _Assigned:
        sums = torch.zeros_like(centers).index_add_(0, index, rows)
        counts = torch.bincount(index, minlength=len(centers))
        return cls(counts, sums, float(distance.double().sum()))

    def __add__(self, other: _Assigned) -> _Assigned:
        return _Assigned(self.counts + other.counts, self.sums + other.sums, self.inertia + other.inertia)


class _Rows(Protocol):
    """Centred rows in random order, of which the first ones are a sample."""

    origin: np.ndarray

    def first(self, most: int) -> Tensor:
        """At most so many rows."""

    def assign(self, most: int, centers: Tensor) -> _Assigned:
        """The first so many rows with their nearest centres."""

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        """Those of the first so many rows that are farthest from all centres."""


class _Held:
    """All rows in memory."""

    def __init__(self, rows: Tensor, origin: np.ndarray) -> None:
        self.rows, self.origin = rows, origin
        self._distance = rows.new_empty(0)

    @classmethod
    def of(cls, x: np.ndarray, device: str | torch.device, generator: torch.Generator, name: str) -> _Held:
        origin = x.mean(axis=0, dtype=np.float64)
        rows = _centred(x, origin, torch.device(device), name)
        return cls(rows[torch.randperm(len(rows), generator=generator).to(rows.device)], origin)

    def first(self, most: int) -> Tensor:
        return self.rows[:most]

    def assign(self, most: int, centers: Tensor) -> _Assigned:
        index, self._distance = _nearest(self.rows[:most], centers)
        return _Assigned.of(self.rows[:most], centers, index, self._distance)

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        return self.rows[self._distance.topk(count).indices]  # as it was assigned last


class _Read:
    """Rows that are read again for every iteration; only sums, and the rows of samples, are in memory.

    The device is the workers'; what comes back from them, centres included, is kept on the CPU.
    """

    def __init__(self, pieces: Pieces, places: Sequence[np.ndarray], reader: _Reader) -> None:
        self._engine = pieces.engine
        self._pieces = [_Piece(read, place) for read, place in zip(pieces.readers, places, strict=True)]
        self._reader, self.origin = reader, reader.origin

    @classmethod
    def of(cls, x: Pieces, device: str | torch.device, generator: torch.Generator, name: str) -> _Read:
        total = x.engine.merge(_Total(name), [_Piece(reader) for reader in x.readers], operator.add)
        order = torch.randperm(len(x), generator=generator).numpy()
        places = np.empty(len(x), dtype=np.int64)
        places[order] = np.arange(len(x))
        return cls(x, np.split(places, np.cumsum(x.sizes)[:-1]), _Reader(total / len(x), str(device), name))

    def first(self, most: int) -> Tensor:
        places, rows = self._merge(_First(self._reader, most), most, _join_rows)
        return torch.from_numpy(rows[np.argsort(places)])

    def assign(self, most: int, centers: Tensor) -> _Assigned:
        return self._merge(_Assign(self._reader, most, centers), most, operator.add)

    def farthest(self, most: int, centers: Tensor, count: int) -> Tensor:
        return torch.from_numpy(self._merge(_Farthest(self._reader, most, centers, count), most, _Farther(count))[1])

    def _merge(self, function: Callable[[_Piece], _T], most: int, join: Callable[[_T, _T], _T]) -> _T:
        return self._engine.merge(function, [piece for piece in self._pieces if piece.has(most)], join)


_T = TypeVar("_T")

_Some = tuple[np.ndarray, np.ndarray]
"""A number for each of some rows, and the rows."""


@dataclass(frozen=True)
class _Piece:
    """One piece of `Pieces`, and the place of each of its rows in the random order."""

    read: Callable[[], np.ndarray]
    places: np.ndarray | None = None

    def __str__(self) -> str:
        return str(self.read)

    def has(self, most: int) -> bool:
        """Whether any of the first so many rows is in it."""
        return self.places is not None and bool((self.places < most).any())


@dataclass(frozen=True)
class _Reader:
    """Reads pieces on a worker."""

    origin: np.ndarray
    device: str
    name: str

    def __call__(self, piece: _Piece, most: int | None = None) -> Tensor:
        """The centred rows of a piece, those of the first so many only."""
        x = as_matrix(piece.read(), "x", self.name)
        if most is not None and piece.places is not None:
            x = x[piece.places < most]
        return _centred(x, self.origin, torch.device(self.device), self.name)


@dataclass(frozen=True)
class _Total:
    name: str

    def __call__(self, piece: _Piece) -> np.ndarray:
        x = as_matrix(piece.read(), "x", self.name)
        check_finite(x, "x", self.name)
        return x.sum(axis=0, dtype=np.float64)


@dataclass(frozen=True)
class _First:
    reader: _Reader
    most: int

    def __call__(self, piece: _Piece) -> _Some:
        assert piece.places is not None, "rows are chosen by their places"
        return piece.places[piece.places < self.most], self.reader(piece, self.most).cpu().numpy()


@dataclass(frozen=True)
class _Assign:
    reader: _Reader
    most: int
    centers: Tensor

    def __call__(self, piece: _Piece) -> _Assigned:
        rows = self.reader(piece, self.most)
        centers = self.centers.to(rows.device)
        found = _Assigned.of(rows, centers, *_nearest(rows, centers))
        return _Assigned(found.counts.cpu(), found.sums.cpu(), found.inertia)


@dataclass(frozen=True)
class _Farthest:
    reader: _Reader
    most: int
    centers: Tensor
    count: int

    def __call__(self, piece: _Piece) -> _Some:
        rows = self.reader(piece, self.most)
        distance = _nearest(rows, self.centers.to(rows.device))[1]
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
class _Nearest:
    reader: _Reader
    centers: Tensor

    def __call__(self, piece: _Piece) -> np.ndarray:
        rows = self.reader(piece)
        return _nearest(rows, self.centers.to(rows.device))[0].cpu().numpy()


def _join(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate([one, other])


def _join_rows(one: _Some, other: _Some) -> _Some:
    return _join(one[0], other[0]), _join(one[1], other[1])


# -- arithmetic ---------------------------------------------------------------------------------------------------


def _centred(x: np.ndarray, origin: np.ndarray, device: torch.device, name: str) -> Float[Tensor, "rows dim"]:
    check_finite(x, "x", name)
    centred = (
        (x - origin).astype(np.float32) if x.dtype == np.float64 else x.astype(np.float32) - origin.astype(np.float32)
    )
    return torch.from_numpy(centred).to(device)


def _nearest(x: Float[Tensor, "rows dim"], centers: Float[Tensor, "clusters dim"]) -> tuple[Tensor, Tensor]:
    """The index of each row's nearest centre, and the squared distance to it."""
    index = torch.empty(len(x), dtype=torch.int64, device=x.device)
    distance = torch.empty(len(x), device=x.device)
    centers = centers.contiguous()
    half = (centers * centers).sum(1) / -2
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK]
        part = slice(start, start + len(block))
        nearness, index[part] = product(block, centers, half).max(dim=1)
        distance[part] = (block * block).sum(1) - 2 * nearness
    return index, distance.clamp_(min=0)


def _seed_centers(
    sample: Float[Tensor, "rows dim"], n_clusters: int, generator: torch.Generator
) -> Float[Tensor, "clusters dim"]:
    """Rows of a sample far from one another: k-means++, in a random projection."""
    if sample.shape[1] > _SKETCH:
        sketch = torch.randn(sample.shape[1], _SKETCH, generator=generator).to(sample.device) / _SKETCH**0.5
        points = sample @ sketch
    else:
        points = sample
    squares = (points * points).sum(1)
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    distance = torch.full_like(squares, torch.inf)
    noise = 1e-6 * squares.max()
    for _ in range(n_clusters - 1):
        last = chosen[-1]
        distance = torch.minimum(distance, squares - 2 * (points @ points[last]) + squares[last])
        distance = torch.where(distance > noise, distance, 0.0)
        reach = distance.cumsum(0)
        if not reach[-1] > 0:
            break  # all rows equal one that is chosen
        target = torch.rand(1, generator=generator).to(sample.device) * reach[-1]
        chosen.append(min(int(torch.searchsorted(reach, target, right=True)), len(points) - 1))
    return sample[chosen]


def _lloyd(rows: _Rows, most: int, centers: Float[Tensor, "clusters dim"], iterations: int) -> Tensor:
    """Move centres to the means of their rows until the inertia falls by a share of less than `_SETTLED`.

    It looks at the first `most` rows.
    """
    last = float("inf")
    for _ in range(iterations):
        found = rows.assign(most, centers)
        empty = torch.nonzero(found.counts == 0).flatten()
        filled = rows.farthest(most, centers, len(empty)) if len(empty) else centers[:0]
        centers = found.sums / found.counts.clamp(min=1)[:, None]
        centers[empty] = filled
        if last - found.inertia <= _SETTLED * found.inertia:
            break
        last = found.inertia
    return centers


def _minibatch(rows: Tensor, n_clusters: int, seed: int, batch_size: int) -> Tensor:
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(n_clusters, batch_size=batch_size, max_iter=500, random_state=seed)
    return torch.from_numpy(model.fit(rows.cpu().numpy()).cluster_centers_.astype(np.float32)).to(rows.device)
