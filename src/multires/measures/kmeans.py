"""K-means as matrix products in torch, on growing samples of the data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError, choose
from multires.measures.statistics import as_matrix, check_finite, said
from multires.models.products import product

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
    def predict(self, x: np.ndarray, *, name: str = "") -> Int[np.ndarray, " rows"]:
        """The nearest centre of every row, shape (rows,).

        Raises
        ------
        MultiresError
            Where x is not finite or has other columns than the training rows.
        """
        x = as_matrix(x, "x", name)
        if x.shape[1] != len(self.origin):
            raise MultiresError(f"{said(name)}x has {x.shape[1]} columns: the clusters have {len(self.origin)}")
        rows = _centred(x, self.origin, self.centers.device, name)
        return _nearest(rows, self.centers)[0].cpu().numpy()


@torch.no_grad()
def fit_kmeans(
    x: np.ndarray,
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
        Shape (rows, dim), any real type; computed in float32 about the mean.
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
    x = as_matrix(x, "x", name)
    least = {"n_clusters": n_clusters, "iterations": iterations, "rows_per_cluster": rows_per_cluster, "rows": len(x)}
    for what, value in least.items():
        if value < 1:
            raise MultiresError(f"{said(name)}{what} is {value}: it must be at least 1")
    origin = x.mean(axis=0, dtype=np.float64)
    rows = _centred(x, origin, torch.device(device), name)
    wanted = max(1, min(n_clusters, len(x) // rows_per_cluster))
    if method == "minibatch":
        centers = _minibatch(rows, wanted, seed, batch_size)
    else:
        generator = torch.Generator().manual_seed(seed)
        rows = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
        centers = _seed_centers(rows, wanted, generator)
        for share in SAMPLES:
            sample = rows[: max(round(share * len(rows)), min(len(rows), rows_per_cluster * len(centers)))]
            centers = _lloyd(sample, centers, iterations)
    if len(centers) < n_clusters:
        warnings.warn(
            f"{said(name)}{n_clusters} clusters were reduced to {len(centers)}: {len(x)} training rows allow for no "
            f"more at {rows_per_cluster} rows a cluster, or have no more different values",
            stacklevel=2,
        )
    inertia = float(_nearest(rows, centers)[1].double().mean())
    return KMeans(centers, origin, inertia, n_clusters)


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


def _seed_centers(x: Float[Tensor, "rows dim"], n_clusters: int, generator: torch.Generator) -> Tensor:
    """Rows far from one another: k-means++ over a sample, in a random projection."""
    sample = x[: max(8 * n_clusters, 2048)]
    if x.shape[1] > _SKETCH:
        sketch = torch.randn(x.shape[1], _SKETCH, generator=generator).to(x.device) / _SKETCH**0.5
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
        target = torch.rand(1, generator=generator).to(x.device) * reach[-1]
        chosen.append(min(int(torch.searchsorted(reach, target, right=True)), len(points) - 1))
    return sample[chosen]


def _lloyd(x: Float[Tensor, "rows dim"], centers: Float[Tensor, "clusters dim"], iterations: int) -> Tensor:
    """Move centres to the means of their rows until the inertia falls by a share of less than `_SETTLED`."""
    last = float("inf")
    for _ in range(iterations):
        index, distance = _nearest(x, centers)
        inertia = float(distance.double().mean())
        counts = torch.bincount(index, minlength=len(centers))
        sums = torch.zeros_like(centers).index_add_(0, index, x)
        empty = torch.nonzero(counts == 0).flatten()
        centers = sums / counts.clamp(min=1)[:, None]
        if len(empty):
            centers[empty] = x[distance.topk(len(empty)).indices]
        if last - inertia <= _SETTLED * inertia:
            break
        last = inertia
    return centers


def _minibatch(rows: Tensor, n_clusters: int, seed: int, batch_size: int) -> Tensor:
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(n_clusters, batch_size=batch_size, max_iter=500, random_state=seed)
    return torch.from_numpy(model.fit(rows.cpu().numpy()).cluster_centers_.astype(np.float32)).to(rows.device)
