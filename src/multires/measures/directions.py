"""Canonical directions of two covariances, at any regulariser, and what they weigh: the linear algebra of CCA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular

from multires.errors import MultiresError
from multires.measures.statistics import Moments

_NO_VARIANCE = 1e-12
"""Relative to unit training variance: a held-out variate below it is rounding error."""

_NO_CORRELATION = 1e-7
"""A training correlation below it is rounding error, and its x direction undetermined."""


@dataclass(frozen=True)
class Basis:
    """Eigenvectors of one view's scaled training covariance.

    Attributes
    ----------
    columns
        The columns of the view that take part.
    scale
        What each of these is divided by.
    values
        Eigenvalues; 0 where they are rounding error.
    vectors
        Eigenvectors, shape (columns, directions).
    dim
        All columns of the view.
    """

    columns: Int[np.ndarray, " columns"]
    scale: Float[np.ndarray, " columns"]
    values: Float[np.ndarray, " directions"]
    vectors: Float[np.ndarray, "columns directions"]
    dim: int

    @property
    def directions(self) -> int:
        """How many directions the view has."""
        return len(self.values)

    def inverse_root(self, epsilon: float) -> Float[np.ndarray, " directions"]:
        """One over the root of each regularised eigenvalue; 0 for a direction without training variance."""
        safe = np.where(self.values > 0, self.values + epsilon, 1.0)
        return np.where(self.values > 0, 1 / np.sqrt(safe), 0.0)

    def side(self, coefficients: Float[np.ndarray, "directions k"]) -> Side:
        """Combinations of the eigenvectors as combinations of the view's columns."""
        projection = np.zeros((coefficients.shape[1], self.dim))
        projection[:, self.columns] = (coefficients.T @ self.vectors.T) / self.scale
        return Side(projection, self.columns, self.scale, self.directions)


class TrainedView:
    """One view's training covariance, which gives a basis for every regulariser.

    Parameters
    ----------
    count, mean, scatter
        Training rows, mean and scatter of the view.
    variant
        Decides the scaling: see `multires.measures.CCA`.
    variance
        The share of variance that ``svcca`` keeps.
    name
        What the view is called in messages.
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
        """The basis for one regulariser; regularisers that keep the same columns share it."""
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
    """Which of ascending eigenvalues are the fewest largest ones that hold a share of their sum."""
    larger = np.cumsum(values[::-1].clip(0))[::-1] - values.clip(0)
    return larger < share * values.clip(0).sum()


@dataclass(frozen=True)
class Side:
    """One view's part in canonical directions.

    Attributes
    ----------
    projection
        Shape (directions, dim): canonical variates are ``(view - mean) @ projection.T``.
    columns
        The columns of the view that take part.
    scale
        What each of these was divided by before the regulariser was added.
    rank
        How many directions the view has of its own.
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
        The two views' projections.
    """

    correlations: Float[np.ndarray, " directions"]
    x: Side
    y: Side


def cross(
    x: Basis, y: Basis, covariance: Float[np.ndarray, "dim_x dim_y"]
) -> Float[np.ndarray, "directions directions"]:
    """The cross-covariance between the eigenvectors of two views."""
    scaled = covariance[np.ix_(x.columns, y.columns)] / np.outer(x.scale, y.scale)
    return x.vectors.T @ scaled @ y.vectors


def canonical_directions(x: Basis, y: Basis, between: np.ndarray, epsilons: tuple[float, float]) -> Directions:
    """The canonical directions at one pair of regularisers.

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
        Regularisers of x and y.
    """
    roots_x, roots_y = x.inverse_root(epsilons[0]), y.inverse_root(epsilons[1])
    whitened = roots_x[:, None] * between * roots_y
    if x.directions < y.directions:
        y_side, correlations, x_side = _singular(whitened.T)
    else:
        x_side, correlations, y_side = _singular(whitened)
    # Either sign is right; a rule makes projections, and the weights that depend on signs, the same on every machine.
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
    """Variates over rows that were not trained on, as far as scores need them.

    Attributes
    ----------
    correlations
        Of each pair of variates; 0 where one of them does not vary.
    shared_x, shared_y
        Cross-scatter of each variate with the columns of its own view, shape (directions, dim).
    """

    correlations: Float[np.ndarray, " directions"]
    shared_x: Float[np.ndarray, "directions dim_x"]
    shared_y: Float[np.ndarray, "directions dim_y"]


def held_out(directions: Directions, moments: Moments) -> HeldOut:
    """What the variates of a training do over other rows."""
    x, y = directions.x.projection, directions.y.projection
    shared_x, shared_y = x @ moments.xx, y @ moments.yy
    covariance = np.einsum("kd,kd->k", x @ moments.xy, y)
    var_x, var_y = np.einsum("kd,kd->k", shared_x, x), np.einsum("kd,kd->k", shared_y, y)
    return HeldOut(correlate(covariance, var_x, var_y, moments.count), shared_x, shared_y)


def correlate(
    covariance: np.ndarray, var_x: np.ndarray, var_y: np.ndarray, count: np.ndarray | int
) -> Float[np.ndarray, "..."]:
    """Correlations from sums of squares and products over `count` rows; 0 where a variate does not vary."""
    varies = (var_x > _NO_VARIANCE * count) & (var_y > _NO_VARIANCE * count)
    return np.where(varies, covariance, 0.0) / np.sqrt(np.where(varies, var_x * var_y, 1.0))


def projection_weights(side: Side, scatter: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, " directions"]:
    """The weights of Morcos et al. (2018), section 3: how much of a view each of its training variates accounts for.

    Parameters
    ----------
    side
        The weighting view.
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
    """The weights of ``ankitapasad/layerwise-analysis``, from the moments of the rows that are scored.

    With D the variates (rows, k) plus the first k columns' means, D = P R its QR decomposition and A the first k
    columns as they are, the weight of direction i is proportional to ``sum_j |P^T A|_ij``. R is the Cholesky factor of
    D^T D, so that moments suffice.

    Parameters
    ----------
    side
        The weighting view.
    count, mean
        Rows that are scored, and the view's mean over them.
    shared
        Cross-scatter of its variates with its columns over them.
    """
    projection = side.projection
    first = side.columns[: len(projection)]
    # The public code projects data that its scaling did not touch: variates here are smaller by that scale.
    offset = mean[first] / side.scale[0]
    gram = shared @ projection.T + count * np.outer(offset, offset)
    products = shared[:, first] + count * np.outer(offset, mean[first])
    sizes = np.abs(_solve_factor(gram, products)).sum(axis=1)
    if not sizes.sum() > 0:
        raise MultiresError("the weighting view does not vary over the rows that are scored: use fewer folds")
    return sizes / sizes.sum()


def _solve_factor(gram: np.ndarray, products: np.ndarray) -> np.ndarray:
    """L^-1 products, with gram = L L^T; a row that depends linearly on those before it gives 0.

    Works on rows in order as Gram and Schmidt do, since the order of directions decides the weights.
    """
    try:
        factor = np.linalg.cholesky(gram)
        if (factor.diagonal() ** 2 > _NO_VARIANCE * gram.diagonal()).all():
            return solve_triangular(factor, products, lower=True)
    except np.linalg.LinAlgError:
        pass
    factor, solved = np.zeros_like(gram), np.zeros_like(products)
    for i in range(len(gram)):
        pivot = gram[i, i] - factor[i, :i] @ factor[i, :i]
        if pivot > _NO_VARIANCE * gram.diagonal().max():
            factor[i, i] = np.sqrt(pivot)
            factor[i + 1 :, i] = (gram[i + 1 :, i] - factor[i + 1 :, :i] @ factor[i, :i]) / factor[i, i]
            solved[i] = (products[i] - factor[i, :i] @ solved[:i]) / factor[i, i]
    return solved
