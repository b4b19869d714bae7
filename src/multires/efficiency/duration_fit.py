"""Time as a function of the audio's duration: a fit, and the duration from which one model is faster than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import nnls

from multires.efficiency.estimates import LEVEL
from multires.errors import MultiresError


@dataclass(frozen=True)
class Fit:
    """Coefficients of ``a + b T + c T^2`` and of every bootstrap replicate.

    Attributes
    ----------
    coefficients
        (a, b, c): seconds, seconds per second of audio, and seconds per squared second.
    replicates
        The same of each resample, shape (replicates, 3).
    """

    coefficients: Float[np.ndarray, " 3"]
    replicates: Float[np.ndarray, "replicates 3"]

    def at(self, durations: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Fitted time, and its lower and upper limit, at each duration in seconds."""
        design = _design(np.asarray(durations, float))
        low, high = np.quantile(self.replicates @ design.T, _tails(), axis=0)
        return np.stack([design @ self.coefficients, low, high], axis=1)

    def interval(self) -> Float[np.ndarray, "3 2"]:
        """Lower and upper limit of a, b and c."""
        return np.quantile(self.replicates, _tails(), axis=0).T


def fit_duration(times: pd.DataFrame, *, replicates: int = 500, seed: int = 0) -> dict[str, Fit]:
    """Fit ``t(T) = a + b T + c T^2`` with none of them negative to the times of each name, with relative errors.

    The overhead of a call does not grow with the audio, most layers' work grows with it, and attention's scores with
    its square. Repeats are resampled within a duration, by the same draws for every name, so that fits can be compared
    replicate by replicate.

    Parameters
    ----------
    times
        As `time_interleaved` gives, with a further column duration in seconds.
    replicates, seed
        Of the bootstrap.

    Raises
    ------
    MultiresError
        If fewer than three durations were timed.
    """
    durations = np.sort(times["duration"].unique())
    if len(durations) < 3:
        raise MultiresError(f"{len(durations)} durations cannot give three coefficients: time at least 3")
    rng = np.random.default_rng(seed)
    counts = {d: times.loc[times["duration"] == d, "repeat"].nunique() for d in durations}
    draws = {d: rng.integers(n, size=(replicates, n)) for d, n in counts.items()}
    fits = {}
    for name, group in times.groupby("name", sort=False):
        values = {d: part.sort_values("repeat")["seconds"].to_numpy() for d, part in group.groupby("duration")}
        center = np.array([np.median(values[d]) for d in durations])
        resampled = np.stack([np.median(values[d][draws[d]], axis=1) for d in durations], axis=1)
        fits[str(name)] = Fit(_solve(durations, center), np.stack([_solve(durations, y) for y in resampled]))
    return fits


def fitted_ratio(fit: Fit, reference: Fit, durations: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """The ratio of two fitted curves, and its lower and upper limit, at each duration in seconds."""
    design = _design(np.asarray(durations, float))
    low, high = np.quantile((fit.replicates @ design.T) / (reference.replicates @ design.T), _tails(), axis=0)
    return np.stack([(design @ fit.coefficients) / (design @ reference.coefficients), low, high], axis=1)


def pays_from(cheaper: Fit, reference: Fit) -> tuple[float, float, float]:
    """The duration in seconds from which `cheaper` takes less time for good, with its interval.

    0 where it always does, infinity where it never does.
    """
    difference = reference.replicates - cheaper.replicates
    low, high = np.quantile([_last_root(row) for row in difference], _tails(), method="nearest")
    return _last_root(reference.coefficients - cheaper.coefficients), float(low), float(high)


def _last_root(saving: Float[np.ndarray, " 3"]) -> float:
    """The last positive T at which a + b T + c T^2 turns positive."""
    # Differences of equal coefficients leave rounding errors, which have signs.
    a, b, c = (0.0 if abs(x) < 1e-12 else float(x) for x in saving)
    settled = next((x for x in (c, b, a) if x), 0.0)
    if settled <= 0:
        return np.inf
    roots = np.roots(np.trim_zeros(np.array([c, b, a]), "f"))
    positive = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return max(positive, default=0.0)


def _design(durations: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(durations), durations, durations**2], axis=1)


def _solve(durations: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return nnls(_design(durations) / seconds[:, None], np.ones(len(durations)))[0]


def _tails() -> list[float]:
    return [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
