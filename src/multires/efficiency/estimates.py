"""Medians with bootstrap intervals, withheld where the machine is too noisy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from multires.errors import MultiresError

LEVEL = 0.95
"""Nominal coverage of every interval here."""

REPLICATES = 2000
"""Bootstrap resamples."""

RATIO_TOLERANCE = 0.15
"""A ratio whose interval reaches further than this from its median, relative to it, is withheld."""

TIME_TOLERANCE = 0.5
"""The same for a time by itself, which drifts with the machine's load where a ratio of neighbors does not."""

LEAST_REPEATS = 4
"""Fewer repeats give no interval."""


@dataclass(frozen=True)
class Estimate:
    """A median with its interval, or the reason why there is none.

    Attributes
    ----------
    median, low, high
        NaN where the measurement is withheld.
    n
        Repeats.
    note
        Empty, or why the number is withheld.
    """

    median: float
    low: float
    high: float
    n: int
    note: str = ""

    @property
    def withheld(self) -> bool:
        """True if there is no number."""
        return bool(self.note)


def summarize(times: pd.DataFrame, *, seed: int = 0, tolerance: float = TIME_TOLERANCE) -> dict[str, Estimate]:
    """The median time of each name with its interval; withheld where it is too wide."""
    return {
        str(name): estimate(group["seconds"].to_numpy(), seed=seed, tolerance=tolerance)
        for name, group in times.groupby("name", sort=False)
    }


def paired_ratio(
    times: pd.DataFrame, name: str, reference: str, *, seed: int = 0, tolerance: float = RATIO_TOLERANCE
) -> Estimate:
    """The median of the ratios of `name` to `reference`, repeat by repeat, with its interval; withheld if too wide."""
    return estimate(ratios(times, name, reference), seed=seed, tolerance=tolerance)


def ratios(times: pd.DataFrame, name: str, reference: str) -> Float[np.ndarray, " repeats"]:
    """Each repeat's time of `name` over that of `reference`.

    Raises
    ------
    MultiresError
        If either was not timed.
    """
    table = times.pivot_table(index="repeat", columns="name", values="seconds")
    for column in (name, reference):
        if column not in table:
            raise MultiresError(f"{column!r} was not timed: timed were {', '.join(map(str, table.columns))}")
    return (table[name] / table[reference]).dropna().to_numpy()


def null_ratio(times: pd.DataFrame, name: str, *, seed: int = 0, tolerance: float = RATIO_TOLERANCE) -> Estimate:
    """`paired_ratio` between identical calls: each repeat of `name` over the one before it."""
    values = times.loc[times["name"] == name].sort_values("repeat")["seconds"].to_numpy()
    return estimate(values[1:] / values[:-1], seed=seed, tolerance=tolerance)


def estimate(values: Float[np.ndarray, " repeats"], *, seed: int = 0, tolerance: float) -> Estimate:
    """Median and bootstrap interval over repeats, or NaN and the reason where the interval is too wide to say anything.

    Parameters
    ----------
    values
        One for each repeat.
    seed
        Of the resamples.
    tolerance
        How far the interval may reach from the median, relative to it.
    """
    n = len(values)
    if n < LEAST_REPEATS:
        return Estimate(
            np.nan, np.nan, np.nan, n, f"{n} repeats are too few for an interval: {LEAST_REPEATS} are needed"
        )
    median = float(np.median(values))
    draws = np.random.default_rng(seed).integers(n, size=(REPLICATES, n))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.median(values[draws], axis=1), [tail, 1 - tail])
    reach = max(high - median, median - low) / abs(median) if median else np.inf
    if reach > tolerance:
        return Estimate(
            np.nan, np.nan, np.nan, n,
            f"too noisy: the interval reaches {reach:.0%} from the median of {n} repeats, {tolerance:.0%} is the limit; "
            "close other programs or raise the repeats",
        )  # fmt: skip
    return Estimate(median, float(low), float(high), n)
