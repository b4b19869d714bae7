"""The bootstrap over clusters and its intervals."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from multires.errors import MultiresError

MIN_CLUSTERS = 8
"""Minimum number of clusters for an interval: with fewer, a bootstrap is far too narrow."""

LEVEL = 0.95
"""Nominal coverage of intervals."""

_DRAWN = 1_000_000
"""Counts drawn at a time."""


@dataclass(frozen=True)
class Bootstrap:
    """A statistic under resampling of clusters, with its interval.

    Two statistics with equal `clusters` and `seed` were resampled by the same draws, so that the difference of their
    replicates is paired.

    Attributes
    ----------
    clusters
        Names of the resampled clusters (speakers, utterances or rows), sorted.
    replicates
        The statistic in each resample, shape (replicates,).
    seed
        Seed of the draws.
    low, high
        Limits of the interval; NaN with fewer than `MIN_CLUSTERS` clusters.
    level
        Nominal coverage.
    """

    clusters: tuple[str, ...]
    replicates: Float[np.ndarray, " replicates"]
    seed: int
    low: float
    high: float
    level: float

    @property
    def interval(self) -> tuple[float, float]:
        """Limits of the interval."""
        return self.low, self.high


def draw_weights(clusters: int, replicates: int, seed: int) -> Float[np.ndarray, "replicates clusters"]:
    """Multiplicity of each cluster in each resample of `clusters` clusters; equal arguments give equal draws."""
    return np.concatenate(list(draw_blocks(clusters, replicates, seed)))


def draw_blocks(clusters: int, replicates: int, seed: int) -> Iterator[Float[np.ndarray, "block clusters"]]:
    """The rows of `draw_weights` in blocks of limited size."""
    rng = np.random.default_rng([seed, clusters])
    share = np.full(clusters, 1 / clusters)
    block = max(1, _DRAWN // clusters)
    for first in range(0, replicates, block):
        yield rng.multinomial(clusters, share, size=min(block, replicates - first)).astype(np.float64)


def summarize(
    value: float, replicates: np.ndarray, clusters: npt.ArrayLike, seed: int, level: float = LEVEL
) -> Bootstrap:
    """Interval of a statistic from its replicates.

    The limits are quantiles of the replicates, shifted so that the replicates' mean is `value`. Resampling with
    replacement leaves fewer distinct clusters, which biases statistics such as mutual information upwards; the shift
    removes this bias. With fewer than `MIN_CLUSTERS` clusters the limits are NaN.
    """
    names = tuple(str(cluster) for cluster in np.asarray(clusters))
    low, high = _limits(value, replicates, level)
    if len(names) < MIN_CLUSTERS:
        low = high = float("nan")
    return Bootstrap(names, replicates, seed, low, high, level)


def ratio_bootstrap(
    numerators: Float[np.ndarray, " items"],
    denominators: Float[np.ndarray, " items"],
    clusters: npt.ArrayLike | Sequence[Hashable] | None = None,
    *,
    seed: int,
    replicates: int = 1000,
    level: float = LEVEL,
) -> Bootstrap:
    """Bootstrap of ``sum(numerators) / sum(denominators)``, such as an accuracy, a mean or an error rate.

    Parameters
    ----------
    numerators, denominators
        Shape (items,).
    clusters
        Cluster of each item, resampled as a whole; items are resampled individually if None.
    seed
        Seed of the draws.
    replicates, level
        Number of resamples and nominal coverage.

    Raises
    ------
    MultiresError
        If the lengths differ.

    Examples
    --------
    >>> correct = np.tile([1.0, 1.0, 0.0, 1.0], 10)
    >>> found = ratio_bootstrap(correct, np.ones(40), np.repeat(np.arange(10), 4), seed=0)
    >>> found.low, found.high
    (0.75, 0.75)
    """
    numerators, denominators = (np.asarray(part, dtype=np.float64) for part in (numerators, denominators))
    names, member = code_clusters(np.arange(len(numerators)) if clusters is None else clusters, len(numerators))
    top, bottom = (np.bincount(member, part, len(names)) for part in (numerators, denominators))
    parts = []
    for draws in draw_blocks(len(names), replicates, seed):
        below = draws @ bottom
        parts.append(np.where(below > 0, draws @ top, np.nan) / np.where(below > 0, below, 1.0))
    return summarize(float(top.sum() / bottom.sum()), np.concatenate(parts), names, seed, level)


def compare_replicates(
    difference: float, first: np.ndarray, second: np.ndarray, level: float = LEVEL
) -> tuple[float, float]:
    """Limits of a paired difference, from the replicates of two statistics in the same resamples.

    Raises
    ------
    MultiresError
        If the numbers of replicates differ.
    """
    if len(first) != len(second):
        raise MultiresError(
            f"{len(first)} and {len(second)} replicates cannot be paired: use equal numbers of resamples"
        )
    return _limits(difference, first - second, level)


def resampling_clusters(
    speakers: npt.ArrayLike, utterances: npt.ArrayLike, *, minimum: int = 20
) -> tuple[np.ndarray, str]:
    """Speakers if there are enough to resample, utterances otherwise, and the name of the choice.

    Parameters
    ----------
    speakers, utterances
        One entry per row.
    minimum
        Minimum number of distinct speakers.
    """
    speakers = np.asarray(speakers)
    if len(np.unique(speakers)) >= minimum:
        return speakers, "speaker"
    return np.asarray(utterances), "utterance"


def code_clusters(
    clusters: npt.ArrayLike | Sequence[Hashable] | None, rows: int, name: str = ""
) -> tuple[list[str], Int[np.ndarray, " rows"]]:
    """Sorted names of the clusters and the index of each row's cluster; no names if `clusters` is None.

    Raises
    ------
    MultiresError
        If there is not one cluster per row.
    """
    if clusters is None:
        return [], np.zeros(rows, dtype=np.int64)
    coded = np.asarray(clusters)
    if coded.shape != (rows,):
        prefix = f"{name}: " if name else ""
        raise MultiresError(
            f"{prefix}clusters to resample have shape {coded.shape}: give one for each of the {rows} rows"
        )
    names, codes = np.unique(coded, return_inverse=True)
    return [str(cluster) for cluster in names], codes


def _limits(value: float, replicates: np.ndarray, level: float) -> tuple[float, float]:
    tail = _tail(level)
    low, high = np.nanquantile(replicates, [tail, 1 - tail]) + value - np.nanmean(replicates)
    return float(low), float(high)


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise MultiresError(f"level is {level}: give a coverage between 0 and 1, such as 0.95")
    return (1 - level) / 2
