"""Canonical directions of two covariances at any regularizer: the linear algebra of CCA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from multires.errors import MultiresError
from multires.measures.statistics import Moments

NO_VARIANCE = 1e-12
"""Variance, relative to unit training variance, below which a held-out variate is rounding error."""

_NO_CORRELATION = 1e-7
"""Training correlation below which it is rounding error and its x direction undetermined."""


@dataclass(frozen=True)
class Basis:
    """Eigenvectors of one view's scaled training covariance.

    Attributes
    ----------
    columns
        Columns of the view that are used.
    scale
        Divisor of each of these columns.
    values
        Eigenvalues; 0 if they are rounding error.
    vectors
        Eigenvectors, shape (columns, directions).
    dim
        Number of columns of the view.
    """

    columns: Int[np.ndarray, " columns"]
    scale: Float[np.ndarray, " columns"]
    values: Float[np.ndarray, " directions"]
    vectors: Float[np.ndarray, "columns directions"]
    dim: int

    @property
    def directions(self) -> int:
        """Number of directions of the view."""
        return len(self.values)

    def inverse_root(self, epsilon: float) -> Float[np.ndarray, " directions"]:
        """Inverse square root of each regularized eigenvalue; 0 for a direction without training variance."""
        safe = np.where(self.values > 0, self.values + epsilon, 1.0)
        return np.where(self.values > 0, 1 / np.sqrt(safe), 0.0)

    def side(self, coefficients: Float[np.ndarray, "directions k"]) -> Side:
        """Combinations of the eigenvectors as combinations of the view's columns."""
        projection = np.zeros((coefficients.shape[1], self.dim))
        projection[:, self.columns] = (coefficients.T @ self.vectors.T) / self.scale
        return Side(projection, self.columns, self.scale, self.directions)


class TrainedView:
    """Training covariance of one view, which gives a basis for every regularizer.

    Parameters
    ----------
    count, mean, scatter
        Number of training rows, mean and scatter of the view.
    variant
        Determines the scaling: see `multires.measures.CCA`.
    variance
        Share of variance that ``svcca`` keeps.
    name
        Name of the view in messages.
    """

    def __init__(
        self, count: int, mean: np.ndarray, scatter: np.ndarray, variant: str, variance: float, name: str
    ) -> None:
        if count < 2:
            raise MultiresError(f"{name} has {count} training rows: give more data or use fewer folds")
        self.variant, self.variance, self.name = variant, variance, name
        self._covariance = scatter / (count - 1)
        self._varies = np.sqrt(self._covariance.diagonal().clip(0)) > 1e-13 * np.abs(mean)
        if not self._varies.any():
            raise MultiresError(
                f"{name} does not vary over its {count} training rows (or has one label only): nothing can correlate with it"
            )
        self._bases: dict[bytes, Basis] = {}

    def basis(self, epsilon: float) -> Basis:
        """Basis for one regularizer; regularizers that keep the same columns share it."""
        kept = self._varies
        if self.variant == "layerwise-analysis":
            largest = np.abs(self._covariance).max()
            kept = kept & (self._covariance.diagonal() >= epsilon * largest)
            if not kept.any():
                raise MultiresError(
                    f"{self.name} has no column with a scaled variance of {epsilon}: use smaller epsilons"
                )
        key = kept.tobytes()
        if key not in self._bases:
            self._bases[key] = self._decompose(np.flatnonzero(kept))
        return self._bases[key]

    def _decompose(self, columns: np.ndarray) -> Basis:
        covariance = self._covariance[np.ix_(columns, columns)]
        if self.variant in ("svcca", "layerwise-analysis"):
            scale = np.full(len(columns), np.sqrt(np.abs(self._covariance).max()))
        else:
            scale = np.sqrt(covariance.diagonal())
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        real = values > len(columns) * np.finfo(float).eps * values[-1]
        if self.variant == "svcca":
            real &= _leading(values, self.variance)
        if self.variant == "layerwise-analysis":
            return Basis(columns, scale, np.where(real, values, 0.0), vectors, len(self._varies))
        return Basis(columns, scale, values[real], vectors[:, real], len(self._varies))


def _leading(values: np.ndarray, share: float) -> np.ndarray:
    """Mask of the smallest set of largest eigenvalues (given in ascending order) that hold a share of their sum."""
    larger = np.cumsum(values[::-1].clip(0))[::-1] - values.clip(0)
    return larger < share * values.clip(0).sum()


@dataclass(frozen=True)
class Side:
    """Projections of one view.

    Attributes
    ----------
    projection
        Shape (directions, dim): canonical variates are ``(view - mean) @ projection.T``.
    columns
        Columns of the view that are used.
    scale
        Divisor of each of these columns before the regularizer was added.
    rank
        Number of directions of the view itself.
    """

    projection: Float[np.ndarray, "directions dim"]
    columns: Int[np.ndarray, " columns"]
    scale: Float[np.ndarray, " columns"]
    rank: int


@dataclass(frozen=True)
class Directions:
    """Canonical directions of a training covariance.

    Attributes
    ----------
    correlations
        Training correlations, descending.
    x, y
        Projections of the two views.
    """

    correlations: Float[np.ndarray, " directions"]
    x: Side
    y: Side


def cross(
    x: Basis, y: Basis, covariance: Float[np.ndarray, "dim_x dim_y"]
) -> Float[np.ndarray, "directions directions"]:
    """Cross-covariance between the eigenvectors of two views."""
    scaled = covariance[np.ix_(x.columns, y.columns)] / np.outer(x.scale, y.scale)
    return x.vectors.T @ scaled @ y.vectors


def canonical_directions(x: Basis, y: Basis, between: np.ndarray, epsilons: tuple[float, float]) -> Directions:
    """Canonical directions at one pair of regularizers.

    The singular value decomposition of the whitened cross-covariance is taken through the eigendecomposition of its
    smaller Gram matrix, which is several times as fast; correlations below 1e-7 are lost to rounding, and their
    directions are set to zero on the larger side. Signs are such that the largest coefficient of each y direction is
    positive.

    Parameters
    ----------
    x, y
        Bases of the views.
    between
        Their `cross` covariance.
    epsilons
        Regularizers of x and y.
    """
    roots_x, roots_y = x.inverse_root(epsilons[0]), y.inverse_root(epsilons[1])
    whitened = roots_x[:, None] * between * roots_y
    if x.directions < y.directions:
        y_side, correlations, x_side = _singular(whitened.T)
    else:
        x_side, correlations, y_side = _singular(whitened)
    # Signs are arbitrary; fixing them makes projections, and weights that depend on signs, equal on every machine.
    projected = y.side(roots_y[:, None] * y_side)
    signs = np.where(_largest_entries(projected.projection) < 0, -1.0, 1.0)
    return Directions(
        correlations.clip(0, 1),
        x.side(roots_x[:, None] * x_side * signs),
        replace(projected, projection=signs[:, None] * projected.projection),
    )


def _largest_entries(projection: Float[np.ndarray, "directions dim"]) -> Float[np.ndarray, " directions"]:
    return np.take_along_axis(projection, np.abs(projection).argmax(axis=1)[:, None], axis=1)[:, 0]


def _singular(matrix: Float[np.ndarray, "m n"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin singular value decomposition of a tall matrix, as (left, values, right), descending."""
    squares, right = np.linalg.eigh(matrix.T @ matrix)
    right = right[:, ::-1]
    values = np.sqrt(squares[::-1].clip(0))
    left = matrix @ right
    left = np.where(values > _NO_CORRELATION, left / np.maximum(values, _NO_CORRELATION), 0.0)
    return left, values, right


@dataclass(frozen=True)
class HeldOut:
    """Statistics of the variates over held-out rows.

    Attributes
    ----------
    correlations
        Correlation of each pair of variates; 0 if one of them is constant.
    shared_x, shared_y
        Cross-scatter of each variate with the columns of its own view, shape (directions, dim).
    """

    correlations: Float[np.ndarray, " directions"]
    shared_x: Float[np.ndarray, "directions dim_x"]
    shared_y: Float[np.ndarray, "directions dim_y"]


def held_out(directions: Directions, moments: Moments) -> HeldOut:
    """Statistics of trained variates over other rows."""
    x, y = directions.x.projection, directions.y.projection
    shared_x, shared_y = x @ moments.xx, y @ moments.yy
    covariance = np.einsum("kd,kd->k", x @ moments.xy, y)
    var_x, var_y = np.einsum("kd,kd->k", shared_x, x), np.einsum("kd,kd->k", shared_y, y)
    return HeldOut(correlate(covariance, var_x, var_y, moments.count), shared_x, shared_y)


def correlate(
    covariance: np.ndarray, var_x: np.ndarray, var_y: np.ndarray, count: np.ndarray | int
) -> Float[np.ndarray, "..."]:
    """Correlations from sums of squares and products over `count` rows; 0 for a constant variate."""
    varies = (var_x > NO_VARIANCE * count) & (var_y > NO_VARIANCE * count)
    return np.where(varies, covariance, 0.0) / np.sqrt(np.where(varies, var_x * var_y, 1.0))
