"""Anisotropy and outlier dimensions of a layer, and transforms that remove them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.statistics import as_matrix, check_finite, indicator, prefixed

OUTLIER = 3.0
"""Standard deviations, over dimensions, from which a dimension is an outlier."""

_BLOCK = 8192
"""Rows that are normalized at a time."""


@dataclass(frozen=True)
class AnisotropyResult:
    """Anisotropy of a layer.

    Attributes
    ----------
    mean_cosine
        Mean cosine of pairs of different rows; 0 for vectors that point in all directions alike.
    shuffled_cosine
        The same with every column shuffled on its own: the part of it that the means of dimensions explain.
    top_variance
        Share of the variance in the dimensions with the largest variance, by their number.
    top_cosine
        Share of the mean cosine that is due to the dimensions with the largest contribution, by their number.
    outliers
        Indices of outlier dimensions, largest deviation first.
    bootstrap
        Intervals by name, such as ``mean cosine`` and ``top 1 variance``, over clusters.
    n
        Number of rows.
    """

    mean_cosine: float
    shuffled_cosine: float
    top_variance: dict[int, float]
    top_cosine: dict[int, float]
    outliers: Int[np.ndarray, " outliers"]
    bootstrap: dict[str, Bootstrap] = field(repr=False)
    n: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of every value, with ``low`` and ``high`` if there are intervals."""
        values = {
            "mean cosine": self.mean_cosine,
            "mean cosine (shuffled)": self.shuffled_cosine,
            **{f"top {k} variance": value for k, value in self.top_variance.items()},
            **{f"top {k} cosine": value for k, value in self.top_cosine.items()},
            "outlier dimensions": float(len(self.outliers)),
        }
        rows = []
        for measure, value in values.items():
            low, high = self.bootstrap[measure].interval if measure in self.bootstrap else (np.nan, np.nan)
            rows.append({**columns, "measure": measure, "value": value, "low": low, "high": high, "n": self.n})
        return rows


def anisotropy(
    x: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    top: tuple[int, ...] = (1, 3, 10),
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> AnisotropyResult:
    r"""Mean cosine, share of the largest dimensions, and outlier dimensions of a layer.

    With unit vectors :math:`u_i` of n rows, the mean cosine over all pairs of different rows is
    :math:`(\|\sum_i u_i\|^2 - n) / (n (n - 1))`, and dimension d contributes
    :math:`((\sum_i u_{id})^2 - \sum_i u_{id}^2) / (n (n - 1))` to it (Timkey and van Schijndel 2021, arXiv 2109.04404,
    section 3), so that time is linear in rows. Outliers are dimensions whose mean or whose standard deviation is
    `OUTLIER` standard deviations from the average over dimensions (after Kovaleva et al. 2021, arXiv 2105.06990).

    Parameters
    ----------
    x
        Shape (rows, dim), no row zero.
    clusters
        Speaker of each row, for the intervals; no intervals if None.
    top
        Numbers of largest dimensions.
    seed, replicates, level
        Seed, number of resamples and nominal coverage of the bootstrap.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If there are fewer than two rows, a value is not finite or a row is zero.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = anisotropy(rng.normal(size=(500, 50)) + 20 * (np.arange(50) == 7))
    >>> found.mean_cosine > 0.8, found.outliers.tolist(), found.top_cosine[1] > 0.99
    (True, [7], True)
    """
    x = as_matrix(x, "x", name)
    check_finite(x, "x", name)
    n = len(x)
    if n < 2:
        raise MultiresError(f"{prefixed(name)}x has {n} rows: give at least two")
    names, cluster_of_row = code_clusters(clusters, n, name)
    count = max(len(names), 1)
    unit, unit_squares = np.zeros((count, x.shape[1])), np.zeros((count, x.shape[1]))
    sums, squares = np.zeros((count, x.shape[1])), np.zeros((count, x.shape[1]))
    mean = x.mean(axis=0, dtype=np.float64)
    shuffled = np.zeros(x.shape[1])
    shuffled_squares = 0.0
    rng = np.random.default_rng([seed, n])
    for start in range(0, n, _BLOCK):
        block = x[start : start + _BLOCK].astype(np.float64)
        by_cluster = indicator(cluster_of_row[start : start + _BLOCK], count)
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        if not (norms > 0).all():
            raise MultiresError(f"{prefixed(name)}x has a row of zeros: it has no direction; leave it out")
        unit += by_cluster @ (block / norms)
        unit_squares += by_cluster @ (block / norms) ** 2
        mixed = rng.permuted(block, axis=0)
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True).clip(np.finfo(float).tiny)
        shuffled += mixed.sum(axis=0)
        shuffled_squares += float((mixed**2).sum())
        centered = block - mean
        sums += by_cluster @ centered
        squares += by_cluster @ centered**2
    sizes = np.bincount(cluster_of_row, minlength=count).astype(np.float64)
    tables = (sizes, unit, unit_squares, sums, squares)
    values = {measure: float(value[0]) for measure, value in _values(np.ones((1, count)), *tables, top).items()}
    bootstrap = {}
    if names:
        drawn = _values(draw_weights(len(names), replicates, seed), *tables, top)
        bootstrap = {m: summarize(values[m], part, names, seed, level) for m, part in drawn.items()}
    deviation = np.sqrt(squares.sum(axis=0) / n)
    return AnisotropyResult(
        mean_cosine=values["mean cosine"],
        shuffled_cosine=float((shuffled @ shuffled - shuffled_squares) / (n * (n - 1))),
        top_variance={k: values[f"top {k} variance"] for k in top},
        top_cosine={k: values[f"top {k} cosine"] for k in top},
        outliers=_outliers(mean, deviation),
        bootstrap=bootstrap,
        n=n,
    )


def standardize(
    x: npt.ArrayLike, mean: Float[np.ndarray, " dim"] | None = None, deviation: Float[np.ndarray, " dim"] | None = None
) -> Float[np.ndarray, "rows dim"]:
    """Every dimension with mean 0 and deviation 1 (or by given ones, such as those of training rows), in float32.

    Constant dimensions become zero.

    Examples
    --------
    >>> standardize([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    x = as_matrix(x, "x")
    mean = x.mean(axis=0, dtype=np.float64) if mean is None else mean
    deviation = x.std(axis=0, dtype=np.float64) if deviation is None else deviation
    varies = deviation > 1e-9 * (1 + np.abs(mean))
    return np.where(varies, (x - mean) / np.where(varies, deviation, 1), 0).astype(np.float32)


def remove_dimensions(x: npt.ArrayLike, dimensions: npt.ArrayLike) -> Float[np.ndarray, "rows kept"]:
    """The matrix without some dimensions, such as `AnisotropyResult.outliers`.

    Raises
    ------
    MultiresError
        If a dimension does not exist or none is left.

    Examples
    --------
    >>> remove_dimensions([[1.0, 2.0, 3.0]], [1]).tolist()
    [[1.0, 3.0]]
    """
    x = as_matrix(x, "x")
    dimensions = np.asarray(dimensions, dtype=np.int64)
    if len(dimensions) and (dimensions.min() < 0 or dimensions.max() >= x.shape[1]):
        raise MultiresError(f"dimensions are {dimensions.tolist()}: x has {x.shape[1]}")
    if len(np.unique(dimensions)) == x.shape[1]:
        raise MultiresError("no dimension is left: remove fewer")
    return np.delete(x, dimensions, axis=1)


def _values(
    weights: Float[np.ndarray, "replicates clusters"],
    sizes: np.ndarray,
    unit: np.ndarray,
    unit_squares: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
    top: tuple[int, ...],
) -> dict[str, Float[np.ndarray, " replicates"]]:
    """Values in resamples with these multiplicities of clusters."""
    n = weights @ sizes
    cosine = ((weights @ unit) ** 2 - weights @ unit_squares) / (n * (n - 1))[:, None]
    variance = (weights @ squares) / n[:, None] - ((weights @ sums) / n[:, None]) ** 2
    found = {"mean cosine": cosine.sum(axis=1)}
    for label, parts in (("variance", variance), ("cosine", cosine)):
        ordered = -np.sort(-parts, axis=1)
        for k in top:
            found[f"top {k} {label}"] = ordered[:, :k].sum(axis=1) / parts.sum(axis=1)
    return found


def _outliers(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    distance = np.zeros(len(mean))
    for values in (mean, deviation):
        spread = values.std()
        if spread > 0:
            distance = np.maximum(distance, np.abs(values - values.mean()) / spread)
    order = np.argsort(-distance, kind="stable")
    return order[distance[order] >= OUTLIER]
