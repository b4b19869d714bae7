"""Linear centered kernel alignment (CKA)."""

from __future__ import annotations

import numpy as np

from multires.errors import MultiresError
from multires.measures.bootstrap import MIN_CLUSTERS, Bootstrap, draw_weights, summarize
from multires.measures.statistics import CCAStatistics, Moments, said

MAX_BLOCKS = 50
"""Maximum number of clusters in a bootstrap of CKA: each keeps a scatter matrix."""


def linear_cka(moments: Moments) -> float:
    """Linear CKA of two views: Kornblith et al. (2019, arXiv 1905.00414), equation 4."""
    norms = np.linalg.norm(moments.xx) * np.linalg.norm(moments.yy)
    return float(np.linalg.norm(moments.xy) ** 2 / norms) if norms > 0 else float("nan")


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
        raise MultiresError(f"{said(name)}x or {view} does not vary: nothing can correlate with it")
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
