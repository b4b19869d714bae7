"""Correlations of canonical variates in resamples of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multires.measures.directions import Directions, correlate
from multires.measures.statistics import CCAStatistics, indicator


@dataclass(frozen=True)
class VariateSums:
    """Sums of canonical variates over the rows of each cluster; they determine the correlations in any resample.

    Attributes
    ----------
    count
        Number of rows of each cluster.
    x, y, xx, yy, xy
        Sums of the variates (about a common origin) and of their products, each (clusters, directions).
    """

    count: Float[np.ndarray, " clusters"]
    x: Float[np.ndarray, "clusters directions"]
    y: Float[np.ndarray, "clusters directions"]
    xx: Float[np.ndarray, "clusters directions"]
    yy: Float[np.ndarray, "clusters directions"]
    xy: Float[np.ndarray, "clusters directions"]

    @classmethod
    def of_rows(
        cls, directions: Directions, x: np.ndarray, y: np.ndarray, cluster_of_row: np.ndarray, clusters: int
    ) -> VariateSums:
        """Sums from the rows of a test part, with `y` a matrix or label indices."""
        x_variates = x.astype(np.float64) @ directions.x.projection.T
        projection = directions.y.projection.T
        y_variates = projection[y] if y.ndim == 1 else y.astype(np.float64) @ projection
        x_variates -= x_variates.mean(axis=0)
        y_variates = y_variates - y_variates.mean(axis=0)
        summed = indicator(cluster_of_row, clusters)
        return cls(
            np.bincount(cluster_of_row, minlength=clusters).astype(np.float64),
            summed @ x_variates,
            summed @ y_variates,
            summed @ x_variates**2,
            summed @ y_variates**2,
            summed @ (x_variates * y_variates),
        )

    @classmethod
    def of_groups(
        cls,
        directions: Directions,
        statistics: CCAStatistics,
        view: str,
        groups: np.ndarray,
        cluster_of_group: np.ndarray,
        clusters: int,
    ) -> VariateSums:
        """Sums from the statistics of the groups of a test part."""
        whole = statistics.pool(groups, view)
        new = cls(np.zeros(clusters), *(np.zeros((clusters, len(directions.correlations))) for _ in range(5)))
        x, y = directions.x.projection, directions.y.projection
        for group, cluster in zip(groups, cluster_of_group, strict=True):
            cell = statistics.pool([group], view)
            mean_x, mean_y = x @ (cell.mean_x - whole.mean_x), y @ (cell.mean_y - whole.mean_y)
            new.count[cluster] += cell.count
            new.x[cluster] += cell.count * mean_x
            new.y[cluster] += cell.count * mean_y
            new.xx[cluster] += np.einsum("kd,kd->k", x @ cell.xx, x) + cell.count * mean_x**2
            new.yy[cluster] += np.einsum("kd,kd->k", y @ cell.yy, y) + cell.count * mean_y**2
            new.xy[cluster] += np.einsum("kd,kd->k", x @ cell.xy, y) + cell.count * mean_x * mean_y
        return new

    def correlations(
        self, draws: Float[np.ndarray, "replicates clusters"]
    ) -> Float[np.ndarray, "replicates directions"]:
        """Correlations in resamples with these multiplicities of clusters; NaN in a resample without rows."""
        count = (draws @ self.count)[:, None]
        some = np.where(count > 0, count, np.nan)
        x, y = draws @ self.x, draws @ self.y
        return correlate(
            draws @ self.xy - x * y / some, draws @ self.xx - x**2 / some, draws @ self.yy - y**2 / some, count
        ) + np.where(count > 0, 0.0, np.nan)
