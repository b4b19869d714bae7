"""Assignment of rows to their nearest k-means center."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multires.measures.statistics import check_finite
from multires.runtime.products import product

_BLOCK = 4096
"""Rows whose distances to all centers are held at once."""


@dataclass(frozen=True)
class Assigned:
    """Number and sum of the rows of each center, and the sum of their squared distances to it."""

    counts: Int[Tensor, " clusters"]
    sums: Float[Tensor, "clusters dim"]
    inertia: float

    @classmethod
    def of(cls, rows: Tensor, centers: Tensor, index: Tensor, distance: Tensor) -> Assigned:
        """Sums over rows with known centers and squared distances."""
        sums = torch.zeros_like(centers).index_add_(0, index, rows)
        counts = torch.bincount(index, minlength=len(centers))
        return cls(counts, sums, float(distance.double().sum()))

    def __add__(self, other: Assigned) -> Assigned:
        return Assigned(self.counts + other.counts, self.sums + other.sums, self.inertia + other.inertia)


def centered(x: np.ndarray, origin: np.ndarray, device: torch.device, name: str) -> Float[Tensor, "rows dim"]:
    """Rows as float32 about `origin`, on a device."""
    check_finite(x, "x", name)
    shifted = (
        (x - origin).astype(np.float32) if x.dtype == np.float64 else x.astype(np.float32) - origin.astype(np.float32)
    )
    return torch.from_numpy(shifted).to(device)


def nearest(x: Float[Tensor, "rows dim"], centers: Float[Tensor, "clusters dim"]) -> tuple[Tensor, Tensor]:
    """Index of the nearest center of each row, and the squared distance to it."""
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
