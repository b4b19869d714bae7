"""Intervals for contrasts of conditions whose seeds and speakers are crossed.

A contrast of conditions gives one number for each training seed and test speaker. Functions here take these numbers
as arrays ``(..., seeds, speakers)``; leading axes are independent tables, so that simulations run on many at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from multires.errors import MultiresError
from multires.measures.student import half_width

MIN_SPEAKERS = 8
"""Fewer speakers than this give no interval."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CrossedInterval:
    """Estimates of contrasts with their intervals; arrays of the leading shape.

    Attributes
    ----------
    value
        Pooled over items: the sum over speakers of the contrast of correct items, over the sum of totals.
    low, high
        Limits of the interval; NaN with fewer than `MIN_SPEAKERS` speakers.
    error, df
        Standard error, and Satterthwaite's degrees of freedom.
    p_seeds
        Exact two-sided sign-flip p over seeds; NaN with one seed.
    seeds, speakers
        How many there are. With one seed the interval covers speakers only.
    """

    value: Array
    low: Array
    high: Array
    error: Array
    df: Array
    p_seeds: Array
    seeds: int
    speakers: int


def crossed_interval(cells: npt.ArrayLike, totals: npt.ArrayLike, *, level: float = 0.95) -> CrossedInterval:
    """Estimate a contrast and the interval that covers the variation of both seeds and speakers.

    The variance is that of two-way clustering (Cameron, Gelbach and Miller 2011): the variance between seeds plus that
    between speakers, less that of seed and speaker jointly, which both contain. The interval is Student's with
    Satterthwaite's degrees of freedom. The pooled share is a ratio; its speakers enter by their linearized residuals.

    Parameters
    ----------
    cells
        Contrast of correct items (or of pseudo-values times totals), shape (..., seeds, speakers).
    totals
        Items of each speaker, shape (..., speakers), the same in all conditions.
    level
        Coverage.

    Raises
    ------
    MultiresError
        Where the shapes differ, a value is not finite, or the totals of a table are all zero.

    Examples
    --------
    >>> found = crossed_interval([[1, 2, 3, 2, 1, 2, 3, 2], [2, 3, 2, 1, 2, 3, 2, 1]], [10] * 8)
    >>> round(float(found.value), 3)
    0.2
    """
    values, counts = np.asarray(cells, float), np.asarray(totals, float)
    _check(values, counts)
    seeds, speakers = values.shape[-2:]
    whole = counts.sum(-1)
    of_seeds = values.sum(-1) / whole[..., None]
    value = of_seeds.mean(-1)
    shares = counts / whole[..., None]
    residuals = values / whole[..., None, None] - value[..., None, None] * shares[..., None, :]
    of_speakers = residuals.mean(-2)
    correction = speakers / max(speakers - 1, 1)
    between_speakers = correction * (of_speakers**2).sum(-1)
    df_speakers = np.maximum(1 / (shares**2).sum(-1) - 1, 1)
    if seeds > 1:
        deviations = of_seeds - value[..., None]
        between_seeds = (deviations**2).sum(-1) / (seeds * (seeds - 1))
        joint = residuals - of_speakers[..., None, :] - deviations[..., None] * shares[..., None, :]
        common = correction * (joint**2).sum((-2, -1)) / (seeds * (seeds - 1))
        variance = np.maximum(
            between_seeds + between_speakers - common, np.maximum(between_seeds, between_speakers) / 2
        )
        spread = between_seeds**2 / (seeds - 1) + between_speakers**2 / df_speakers
        spread = spread + common**2 / ((seeds - 1) * df_speakers)
        p_seeds = _sign_flip(of_seeds)
    else:
        variance, spread = between_speakers, between_speakers**2 / df_speakers
        p_seeds = np.full(value.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.where(variance > 0, np.clip(variance**2 / spread, 1, None), 1.0)
    error = np.sqrt(variance)
    reach = half_width(error, df, level)
    if speakers < MIN_SPEAKERS:
        reach = np.full(value.shape, np.nan)
    return CrossedInterval(value, value - reach, value + reach, error, df, p_seeds, seeds, speakers)


def seed_interval(values: npt.ArrayLike, *, level: float = 0.95) -> CrossedInterval:
    """Student's interval of a contrast that is known for each seed only, not for each speaker.

    For tables without speakers; the interval covers the variation between seeds for the speakers at hand.

    Parameters
    ----------
    values
        Contrast of each seed, shape (seeds,).
    level
        Coverage. With one seed the limits are NaN.

    Examples
    --------
    >>> seed_interval([0.1, 0.2, 0.3]).low.round(3)
    np.float64(-0.048)
    """
    of_seeds = np.asarray(values, float)
    if of_seeds.ndim != 1 or not len(of_seeds) or not np.isfinite(of_seeds).all():
        raise MultiresError("give one finite value of the contrast for each seed")
    seeds = len(of_seeds)
    value, df = np.asarray(of_seeds.mean()), np.asarray(float(max(seeds - 1, 1)))
    if seeds == 1:
        unknown = np.asarray(np.nan)
        return CrossedInterval(value, unknown, unknown, unknown, df, unknown, 1, 0)
    error = np.asarray(of_seeds.std(ddof=1) / np.sqrt(seeds))
    reach = half_width(error, df, level)
    return CrossedInterval(value, value - reach, value + reach, error, df, _sign_flip(of_seeds), seeds, 0)


def _check(values: Array, totals: Array) -> None:
    if values.ndim < 2 or values.shape[:-2] + values.shape[-1:] != totals.shape:
        raise MultiresError(
            f"cells have shape {values.shape} and totals {totals.shape}: give (..., seeds, speakers) and (..., speakers)"
        )
    if not np.isfinite(values).all() or not np.isfinite(totals).all():
        raise MultiresError("a cell of the contrast is not finite: leave the model that it comes from out")
    if (totals < 0).any() or (totals.sum(-1) <= 0).any():
        raise MultiresError("no speaker of the contrast has an item: totals must be positive for some speakers")


def _sign_flip(of_seeds: Array) -> Array:
    """Exact two-sided p of the mean over seeds under flips of the signs of all seeds."""
    seeds = of_seeds.shape[-1]
    if seeds > 16:
        raise MultiresError(f"{seeds} seeds have too many sign flips to count: give at most 16")
    signs = 1 - 2 * ((np.arange(2 ** (seeds - 1))[:, None] >> np.arange(seeds)) & 1)  # the other half mirrors these
    sums = np.abs(of_seeds @ signs.T)
    return (sums >= sums[..., :1] * (1 - 1e-9)).mean(-1)


def crossed_bootstrap(cells: npt.ArrayLike, totals: npt.ArrayLike, *, draws: int = 1000, seed: int = 0) -> Array:
    """Replicates of a contrast under resampling of seeds and of speakers, each with replacement.

    The pigeonhole bootstrap (Owen 2007), which checks `crossed_interval`. Its percentiles are too narrow with few seeds.

    Parameters
    ----------
    cells, totals
        As for `crossed_interval`.
    draws
        Number of replicates.
    seed
        Of the draws.

    Returns
    -------
        Shape (..., draws).
    """
    values, counts = np.asarray(cells, float), np.asarray(totals, float)
    _check(values, counts)
    seeds, speakers = values.shape[-2:]
    rng = np.random.default_rng(seed)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    of_speakers = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws).astype(float)
    sums = np.einsum("rs,...sk,rk->...r", of_seeds, values, of_speakers, optimize=True)
    replicates: Array = sums / np.maximum(counts @ of_speakers.T, 1e-12)
    return replicates


def mixed_model(cells: npt.ArrayLike, totals: npt.ArrayLike) -> tuple[float, float]:
    """Estimate and standard error of a contrast by restricted maximum likelihood, seeds and speakers crossed.

    Checks `crossed_interval` on one table. Speakers count alike, however many items they have.

    Parameters
    ----------
    cells, totals
        As for `crossed_interval`, without leading axes.
    """
    import pandas as pd
    import statsmodels.formula.api as formula

    values, counts = np.asarray(cells, float), np.asarray(totals, float)
    _check(values, counts)
    rates = values / counts
    scale = float(rates.std()) or 1.0
    seeds, speakers = np.indices(rates.shape)
    table = pd.DataFrame({"rate": rates.ravel() / scale, "seed": seeds.ravel(), "speaker": speakers.ravel(), "all": 0})
    model = formula.mixedlm(
        "rate ~ 1", table, groups="all", vc_formula={"seed": "0 + C(seed)", "speaker": "0 + C(speaker)"}
    )
    found: Any = model.fit(reml=True, method=["powell", "lbfgs"])
    return scale * float(found.fe_params.iloc[0]), scale * float(found.bse_fe.iloc[0])


def pseudo_values(whole: float, without: npt.ArrayLike, totals: npt.ArrayLike) -> Array:
    """Jackknife pseudo-values of a statistic for speakers of unequal size (Busing, Meijer and van der Leeden 1999).

    Parameters
    ----------
    whole
        The statistic of all items.
    without
        The statistic without each speaker, shape (speakers,).
    totals
        Items of each speaker, shape (speakers,).

    Returns
    -------
        One value a speaker, whose mean weighted by `totals` is the bias-corrected statistic. For a share of correct
        items it is the share of each speaker.

    Examples
    --------
    >>> right, total = np.array([3.0, 8.0]), np.array([5.0, 10.0])
    >>> without = (right.sum() - right) / (total.sum() - total)
    >>> pseudo_values(right.sum() / total.sum(), without, total)
    array([0.6, 0.8])
    """
    counts, left = np.asarray(totals, float), np.asarray(without, float)
    if counts.shape != left.shape or (counts <= 0).any():
        raise MultiresError("give the statistic without each speaker and that speaker's items, which must be positive")
    ratio = counts.sum() / counts
    found: Array = ratio * whole - (ratio - 1) * left
    return found
