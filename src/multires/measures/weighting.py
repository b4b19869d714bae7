"""Projection weighting of canonical directions, by a view that is fixed by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from multires.errors import MultiresError
from multires.measures.directions import NO_VARIANCE, Directions, HeldOut, Side, held_out
from multires.measures.statistics import Moments

WeightingView = Literal["x", "y", "both", "smaller"]
"""View that weights the directions of ``pwcca`` and ``layerwise-analysis``."""

WEIGHTING_VIEWS: tuple[WeightingView, ...] = ("x", "y", "both", "smaller")


@dataclass(frozen=True)
class Weighting:
    """Weights of directions in a score.

    Attributes
    ----------
    variant
        One of `multires.measures.VARIANTS`.
    view
        Weighting view; the default of the variant if None (see `multires.measures.CCA`).
    """

    variant: str
    view: WeightingView | None

    def used(self, directions: Directions) -> str:
        """The view that weights these directions: ``x``, ``y`` or ``both``; empty for scores without such weights."""
        if self.variant not in ("pwcca", "layerwise-analysis"):
            return ""
        wanted = self.view or ("x" if self.variant == "pwcca" else "smaller")
        smaller = "x" if directions.x.rank < directions.y.rank else "y"
        return smaller if wanted == "smaller" else wanted

    def trained(self, directions: Directions, train: Moments) -> Float[np.ndarray, " directions"] | None:
        """Weights from training; None if they come from held-out rows."""
        if self.variant == "layerwise-analysis":
            return None
        if self.variant != "pwcca":
            k = len(directions.correlations)
            return np.full(k, 1 / k)
        views = {"x": (directions.x, train.xx), "y": (directions.y, train.yy)}
        return np.mean([projection_weights(*views[side]) for side in self._sides(directions)], axis=0)

    def held_out(
        self, directions: Directions, weights: np.ndarray | None, moments: Moments
    ) -> tuple[Float[np.ndarray, " directions"], Float[np.ndarray, " directions"]]:
        """Correlations over some rows, and weights; the latter from these rows if training gives none."""
        found = held_out(directions, moments)
        return found.correlations, self._public(directions, moments, found) if weights is None else weights

    def _public(self, directions: Directions, moments: Moments, found: HeldOut) -> np.ndarray:
        views = {
            "x": (directions.x, moments.count, moments.mean_x, found.shared_x),
            "y": (directions.y, moments.count, moments.mean_y, found.shared_y),
        }
        return np.mean([public_weights(*views[side]) for side in self._sides(directions)], axis=0)

    def _sides(self, directions: Directions) -> tuple[str, ...]:
        used = self.used(directions)
        return ("x", "y") if used == "both" else (used,)


def projection_weights(side: Side, scatter: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, " directions"]:
    """Weights of Morcos et al. (2018), section 3: the part of a view that each of its training variates accounts for.

    Parameters
    ----------
    side
        Projections of the weighting view.
    scatter
        Its training scatter.
    """
    products = side.projection @ scatter
    norms = np.sqrt(np.einsum("kd,kd->k", products, side.projection).clip(0))
    sizes = np.where(norms > 0, np.abs(products).sum(axis=1) / np.where(norms > 0, norms, 1.0), 0.0)
    return sizes / sizes.sum()


def public_weights(
    side: Side, count: int, mean: Float[np.ndarray, " dim"], shared: Float[np.ndarray, "directions dim"]
) -> Float[np.ndarray, " directions"]:
    """Weights of ``ankitapasad/layerwise-analysis``, from the moments of the rows that are scored.

    With D the variates (rows, k) plus the first k columns' means, D = P R its QR decomposition and A the first k
    columns without centering, the weight of direction i is proportional to ``sum_j |P^T A|_ij``. R is the Cholesky factor of
    D^T D, so that moments suffice.

    Parameters
    ----------
    side
        Projections of the weighting view.
    count, mean
        Number of rows that are scored, and the mean of the view over them.
    shared
        Cross-scatter of its variates with its columns over these rows.
    """
    projection = side.projection
    first = side.columns[: len(projection)]
    # The public code projects unscaled data: variates here are smaller by that scale.
    offset = mean[first] / side.scale[0]
    gram = shared @ projection.T + count * np.outer(offset, offset)
    products = shared[:, first] + count * np.outer(offset, mean[first])
    sizes = np.abs(_solve_factor(gram, products)).sum(axis=1)
    if not sizes.sum() > 0:
        raise MultiresError("the weighting view does not vary over the rows that are scored: use fewer folds")
    return sizes / sizes.sum()


def _solve_factor(gram: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Solve L z = products with gram = L L^T; a row that depends linearly on earlier rows gives 0.

    Rows are processed in order, as by Gram and Schmidt, since the order of directions determines the weights.
    """
    try:
        factor = np.linalg.cholesky(gram)
        if (factor.diagonal() ** 2 > NO_VARIANCE * gram.diagonal()).all():
            return solve_triangular(factor, products, lower=True)
    except np.linalg.LinAlgError:
        pass
    factor, solved = np.zeros_like(gram), np.zeros_like(products)
    for i in range(len(gram)):
        pivot = gram[i, i] - factor[i, :i] @ factor[i, :i]
        if pivot > NO_VARIANCE * gram.diagonal().max():
            factor[i, i] = np.sqrt(pivot)
            factor[i + 1 :, i] = (gram[i + 1 :, i] - factor[i + 1 :, :i] @ factor[i, :i]) / factor[i, i]
            solved[i] = (products[i] - factor[i, :i] @ solved[:i]) / factor[i, i]
    return solved
