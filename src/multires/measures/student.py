"""Student's interval: of a mean of independent values, and of an estimate with its standard error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL


@dataclass(frozen=True)
class StudentInterval:
    """Mean of independent values with Student's interval.

    Attributes
    ----------
    mean
        Mean of the values.
    low, high
        Limits of the interval; NaN for one value.
    p
        Two-sided p-value of a mean of zero; NaN for one value.
    n
        Number of values.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def student_interval(values: npt.ArrayLike, level: float = LEVEL) -> StudentInterval:
    """Student's interval of the mean of independent, approximately normal values, such as one score per seed.

    Raises
    ------
    MultiresError
        If there is no value or `level` is not between 0 and 1.

    Examples
    --------
    >>> found = student_interval([1.0, 2.0, 3.0])
    >>> round(float(found.low), 3), round(float(found.high), 3)
    (-0.484, 4.484)
    """
    values = np.asarray(values, dtype=np.float64)
    _check_level(level)
    if values.ndim != 1 or not len(values):
        raise MultiresError(f"values have shape {values.shape}: give a vector with at least one value")
    n, mean = len(values), float(values.mean())
    if n < 2:
        return StudentInterval(mean, float("nan"), float("nan"), float("nan"), n)
    error = float(values.std(ddof=1)) / np.sqrt(n)
    reach = float(half_width(error, n - 1, level))
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    return StudentInterval(mean, mean - reach, mean + reach, p, n)


def half_width(error: npt.ArrayLike, df: npt.ArrayLike, level: float = LEVEL) -> npt.NDArray[np.float64]:
    """Half the width of Student's interval of an estimate.

    Parameters
    ----------
    error
        Standard error.
    df
        Degrees of freedom, of a shape that broadcasts with `error`.
    level
        Coverage.

    Raises
    ------
    MultiresError
        If `level` is not between 0 and 1.

    Examples
    --------
    >>> float(half_width(0.1, 2).round(3))
    0.43
    """
    _check_level(level)
    return np.asarray(stats.t.ppf(0.5 + level / 2, df) * np.asarray(error, float))


def one_sided_p(distance: npt.ArrayLike, error: npt.ArrayLike, df: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """One-sided p of the hypothesis that an estimate's expectation is at most a bound; 1 where the error is NaN.

    Parameters
    ----------
    distance
        The estimate less the bound.
    error
        Standard error of the estimate; where it is zero, the sign of the distance decides.
    df
        Degrees of freedom.
    """
    distance, error = np.asarray(distance, float), np.asarray(error, float)
    sure = np.where(distance > 0, np.inf, np.where(distance < 0, -np.inf, 0.0))
    with np.errstate(over="ignore"):
        ratio = np.divide(distance, error, out=np.array(np.broadcast_to(sure, np.shape(distance))), where=error > 0)
    return np.where(np.isnan(error), 1.0, stats.t.sf(ratio, df))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise MultiresError(f"level is {level}: give a coverage between 0 and 1, such as 0.95")
