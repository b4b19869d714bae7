"""Bootstrap over clusters: intervals, and paired comparisons that share their draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from multires.errors import MultiresError
from multires.measures.statistics import said

MIN_UNITS = 8
"""Fewer clusters than this give no interval: a bootstrap over so few is far too narrow."""


@dataclass(frozen=True)
class Bootstrap:
    """A figure under resampling of clusters, and the interval this gives.

    Two figures with the same `units` and `seed` were resampled by the same draws, which is what makes their
    difference a paired one.

    Attributes
    ----------
    units
        Names of the resampled clusters, sorted: speakers, utterances or rows.
    replicates
        The figure in every replicate, shape (replicates,).
    seed
        Seed of the draws.
    low, high
        Limits of the interval.
    level
        Its nominal coverage.
    """

    units: tuple[str, ...]
    replicates: Float[np.ndarray, " replicates"]
    seed: int
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """A paired difference.

    Attributes
    ----------
    difference
        First figure minus second.
    low, high
        Limits of its interval.
    level
        Nominal coverage.
    units
        Number of clusters that were resampled.
    """

    difference: float
    low: float
    high: float
    level: float
    units: int


class Scored(Protocol):
    """A score that may have been resampled."""

    @property
    def score(self) -> float:
        """The figure."""

    @property
    def bootstrap(self) -> Bootstrap | None:
        """Its replicates and interval."""


def draw_weights(units: int, replicates: int, seed: int) -> Float[np.ndarray, "replicates units"]:
    """How often each cluster occurs in each resample of as many clusters; the same for the same arguments."""
    rng = np.random.default_rng([seed, units])
    return rng.multinomial(units, np.full(units, 1 / units), size=replicates).astype(np.float64)


def summarise(value: float, replicates: np.ndarray, units: npt.ArrayLike, seed: int, level: float = 0.95) -> Bootstrap:
    """The interval of a figure from its replicates.

    The limits are the replicates' quantiles after a shift that puts their mean at `value`: resampling with
    replacement leaves fewer distinct clusters, which biases figures such as mutual information upwards.
    """
    low, high = _limits(value, replicates, level)
    return Bootstrap(tuple(str(unit) for unit in np.asarray(units)), replicates, seed, low, high, level)


def _limits(value: float, replicates: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise MultiresError(f"level is {level}: give a coverage between 0 and 1, such as 0.95")
    tail = (1 - level) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail]) + value - np.nanmean(replicates)
    return float(low), float(high)


def compare_scores(first: Scored, second: Scored) -> Comparison:
    """The paired difference of two layers' or models' scores, with its interval over the clusters they share.

    Parameters
    ----------
    first, second
        Two `CCAResult` or two `MIResult`, resampled over the same clusters with the same seed.

    Raises
    ------
    MultiresError
        Where a result has no bootstrap, or the clusters, seed or number of replicates differ.
    """
    a, b = first.bootstrap, second.bootstrap
    if a is None or b is None:
        raise MultiresError("a result has no bootstrap: give resample_by with enough clusters to both")
    if a.units != b.units or a.seed != b.seed or len(a.replicates) != len(b.replicates):
        raise MultiresError(
            "the results were resampled over other clusters or draws: give both the same resample_by, seed and replicates"
        )
    difference = first.score - second.score
    low, high = compare_replicates(difference, a.replicates, b.replicates, a.level)
    return Comparison(difference, low, high, a.level, len(a.units))


def compare_replicates(
    difference: float, first: np.ndarray, second: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Limits of a paired difference, from both figures in the same resamples.

    Raises
    ------
    MultiresError
        Where one figure was resampled more often than the other.
    """
    if len(first) != len(second):
        raise MultiresError(f"{len(first)} and {len(second)} replicates are not pairs: resample both alike")
    return _limits(difference, first - second, level)


def resampling_units(
    speakers: npt.ArrayLike, utterances: npt.ArrayLike, *, minimum: int = 20
) -> tuple[np.ndarray, str]:
    """Speakers where there are enough to resample, utterances otherwise, and which of the two it is.

    Parameters
    ----------
    speakers, utterances
        For every row.
    minimum
        The least number of different speakers.
    """
    speakers = np.asarray(speakers)
    if len(np.unique(speakers)) >= minimum:
        return speakers, "speaker"
    return np.asarray(utterances), "utterance"


def code_units(units: npt.ArrayLike | None, rows: int, name: str) -> tuple[list[str], np.ndarray]:
    """Sorted names of the clusters, and each row's index among them; none where there are no clusters."""
    if units is None:
        return [], np.zeros(rows, dtype=np.int64)
    units = np.asarray(units)
    if units.shape != (rows,):
        raise MultiresError(
            f"{said(name)}the clusters to resample have shape {units.shape}: give one for each of the {rows} rows"
        )
    names, codes = np.unique(units, return_inverse=True)
    return [str(unit) for unit in names], codes
