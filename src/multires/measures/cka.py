"""Linear centered kernel alignment (CKA)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from multires.errors import MultiresError
from multires.measures.bootstrap import MIN_CLUSTERS, Bootstrap, draw_weights, summarize
from multires.measures.statistics import CCAStatistics, Moments, as_matrix, check_finite, prefixed

MAX_BLOCKS = 50
"""Maximum number of clusters in a bootstrap of CKA: each keeps a scatter matrix."""


def linear_cka(moments: Moments) -> float:
    """Linear CKA of two views: Kornblith et al. (2019, arXiv 1905.00414), equation 4."""
    norms = np.linalg.norm(moments.xx) * np.linalg.norm(moments.yy)
    return float(np.linalg.norm(moments.xy) ** 2 / norms) if norms > 0 else float("nan")


def debiased_cka(x: npt.ArrayLike, y: npt.ArrayLike, *, name: str = "") -> float:
    r"""Debiased linear CKA of two views of the same rows, in feature space.

    CKA with the unbiased estimate of HSIC (Song et al. 2012, JMLR 13, equation 5) in place of the biased one, as
    proposed by Kornblith et al. and needed where rows are few for the number of columns (Davari et al. 2023, arXiv
    2210.16156; Murphy et al. 2024, arXiv 2405.01012). For centered rows :math:`x_i, y_i` of n rows,

    .. math::
        n (n - 3) \mathrm{HSIC} = \|X^T Y\|_F^2 - \frac{n}{n - 2} \sum_i \|x_i\|^2 \|y_i\|^2
        + \frac{\sum_i \|x_i\|^2 \sum_i \|y_i\|^2}{(n - 1)(n - 2)}.

    Time is linear in rows. Unrelated views score 0 on average; small negative values occur.

    Parameters
    ----------
    x, y
        Shapes (rows, dim_x) and (rows, dim_y), at least four rows.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If rows differ or are fewer than four, a value is not finite, or a view does not vary.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, unrelated = rng.normal(size=(100, 80)), rng.normal(size=(100, 80))
    >>> round(debiased_cka(x, 2 * x + 1), 3), abs(debiased_cka(x, unrelated)) < 0.1
    (1.0, True)
    """
    views = []
    for what, values in {"x": x, "y": y}.items():
        matrix = as_matrix(values, what, name)
        check_finite(matrix, what, name)
        views.append(matrix.astype(np.float64) - matrix.mean(axis=0, dtype=np.float64))
    if len(views[0]) != len(views[1]) or len(views[0]) < 4:
        raise MultiresError(
            f"{prefixed(name)}x and y have {len(views[0])} and {len(views[1])} rows: give the same four or more"
        )
    shared = _unbiased_hsic(views[0], views[1])
    own = _unbiased_hsic(views[0], views[0]) * _unbiased_hsic(views[1], views[1])
    if not own > 0:
        raise MultiresError(f"{prefixed(name)}x or y does not vary enough to be compared: give more rows")
    return float(shared / np.sqrt(own))


def _unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased HSIC of centered views with linear kernels, times n (n - 3)."""
    n = len(x)
    squares_x, squares_y = np.square(x).sum(1), np.square(y).sum(1)
    both = float(squares_x.sum() * squares_y.sum()) / ((n - 1) * (n - 2))
    return float(np.linalg.norm(x.T @ y) ** 2 - n / (n - 2) * (squares_x @ squares_y) + both)


def cka_of_view(
    statistics: CCAStatistics,
    view: str,
    names: list[str],
    cluster_of_group: np.ndarray,
    *,
    seed: int,
    replicates: int,
    level: float,
    name: str = "",
) -> tuple[float, Bootstrap | None]:
    """Linear CKA of x with one y view, and its bootstrap if there are at least `MIN_CLUSTERS` clusters.

    Raises
    ------
    MultiresError
        If x or the view is constant.
    """
    value = linear_cka(statistics.pool(np.arange(statistics.groups), view))
    if not np.isfinite(value):
        raise MultiresError(f"{prefixed(name)}x or {view} does not vary: nothing can correlate with it")
    if len(names) < MIN_CLUSTERS:
        return value, None
    draws = draw_weights(len(names), replicates, seed)
    found = [linear_cka(statistics.pool_weighted(draw[cluster_of_group], view)) for draw in draws]
    return value, summarize(value, np.array(found), names, seed, level)


def join_clusters(names: list[str], cluster_of_row: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
    """At most `MAX_BLOCKS` clusters, by joining them at random."""
    if len(names) <= MAX_BLOCKS:
        return names, cluster_of_row
    order = np.random.default_rng([seed, len(names)]).permutation(len(names)) % MAX_BLOCKS
    return [f"block {i:02d}" for i in range(MAX_BLOCKS)], order[cluster_of_row]
