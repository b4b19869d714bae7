"""K-means as matrix products in torch, on growing samples of the rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError, choose
from multires.measures.assignment import centered, nearest
from multires.measures.rows import HeldRows, NearestCenter, Piece, Pieces, Reader, ReadRows, Rows, join_parts
from multires.measures.statistics import as_matrix, prefixed

METHODS = ("lloyd", "minibatch")
"""Fitting methods; see `fit_kmeans`."""

SAMPLES = (1 / 4, 1.0)
"""Shares of the rows on which Lloyd's iterations run in turn."""

_SETTLED = 5e-3
"""Relative fall of the inertia below which iterations end; seeds differ by more."""

_SKETCH = 64
"""Number of random projections in which the seeding measures distance."""


@dataclass(frozen=True)
class KMeans:
    """Fitted k-means centers.

    Attributes
    ----------
    centers
        Shape (clusters, dim), float32, about `origin`.
    origin
        Training mean, which is subtracted first so that a large offset does not cost precision.
    inertia
        Mean squared distance of a training row to its center.
    requested
        Number of clusters requested.
    """

    centers: Float[Tensor, "clusters dim"]
    origin: Float[np.ndarray, " dim"]
    inertia: float
    requested: int

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.centers)

    @torch.no_grad()
    def predict(
        self, x: np.ndarray | Pieces, *, device: str | torch.device | None = None, name: str = ""
    ) -> Int[np.ndarray, " rows"]:
        """Nearest center of every row, shape (rows,), computed on `device` (by default that of the centers).

        Raises
        ------
        MultiresError
            If x is not finite or its number of columns differs from that of the training rows.
        """
        x = x if isinstance(x, Pieces) else as_matrix(x, "x", name)
        columns = x.dim if isinstance(x, Pieces) else x.shape[1]
        if columns != len(self.origin):
            raise MultiresError(f"{prefixed(name)}x has {columns} columns: the clusters have {len(self.origin)}")
        device = device or self.centers.device
        if isinstance(x, Pieces):
            assign = NearestCenter(Reader(self.origin, str(device), name), self.centers.cpu())
            return x.engine.merge(assign, [Piece(reader) for reader in x.readers], join_parts)
        rows = centered(x, self.origin, torch.device(device), name)
        return nearest(rows, self.centers.to(rows.device))[0].cpu().numpy()


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
    """Fit k-means centers to rows.

    ``lloyd`` seeds by k-means++ (Arthur and Vassilvitskii 2007) with distances in a random projection, then runs
    Lloyd's iterations on a quarter and then on all of the rows, each until the inertia converges: most of the progress
    is made on few rows. ``minibatch`` is scikit-learn's `MiniBatchKMeans` with the settings of Pasad et al.

    Parameters
    ----------
    x
        Shape (rows, dim), any real type; computed in float32 about the mean. `Pieces` give the same clusters up to
        rounding, with one piece in memory at a time (``lloyd`` only).
    n_clusters
        Number of clusters; reduced with a warning to ``rows // rows_per_cluster`` if that is smaller.
    seed
        Seed of seeding, samples and batches.
    method
        One of `METHODS`.
    iterations
        Maximum number of Lloyd iterations on all rows, and on each sample (500 for ``minibatch``).
    rows_per_cluster
        Minimum mean number of rows per cluster.
    batch_size
        Rows in a batch of ``minibatch``.
    device
        Device on which ``lloyd`` computes.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If x is empty or not finite, or a number is less than 1.
    """
    choose("method", method, METHODS)
    if method == "minibatch" and isinstance(x, Pieces):
        raise MultiresError(f"{prefixed(name)}method minibatch holds all rows: use lloyd for rows in pieces")
    x = x if isinstance(x, Pieces) else as_matrix(x, "x", name)
    least = {"n_clusters": n_clusters, "iterations": iterations, "rows_per_cluster": rows_per_cluster, "rows": len(x)}
    for what, value in least.items():
        if value < 1:
            raise MultiresError(f"{prefixed(name)}{what} is {value}: it must be at least 1")
    wanted = max(1, min(n_clusters, len(x) // rows_per_cluster))
    generator = torch.Generator().manual_seed(seed)
    rows = ReadRows.of(x, device, generator, name) if isinstance(x, Pieces) else HeldRows.of(x, device, generator, name)
    if isinstance(rows, HeldRows) and method == "minibatch":
        centers = _minibatch(rows.rows, wanted, seed, batch_size)
    else:
        centers = _seed_centers(rows.first(max(8 * wanted, 2048)), wanted, generator)
        for share in SAMPLES:
            most = max(round(share * len(x)), min(len(x), rows_per_cluster * len(centers)))
            centers = _lloyd(rows, most, centers, iterations)
    if len(centers) < n_clusters:
        warnings.warn(
            f"{prefixed(name)}{n_clusters} clusters were reduced to {len(centers)}: {len(x)} training rows allow for no "
            f"more at {rows_per_cluster} rows a cluster, or have no more different values",
            stacklevel=2,
        )
    return KMeans(centers, rows.origin, rows.assign(len(x), centers).inertia / len(x), n_clusters)


def _seed_centers(
    sample: Float[Tensor, "rows dim"], n_clusters: int, generator: torch.Generator
) -> Float[Tensor, "clusters dim"]:
    """Initial centers by k-means++ on a sample, with distances in a random projection."""
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


def _lloyd(rows: Rows, most: int, centers: Float[Tensor, "clusters dim"], iterations: int) -> Tensor:
    """Lloyd's iterations on the first `most` rows, until the relative fall of the inertia is below `_SETTLED`."""
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
