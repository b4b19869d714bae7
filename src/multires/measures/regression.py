"""Ridge probes of continuous targets: pitch, energy, durations, boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.folds import assign_folds
from multires.measures.statistics import CCAStatistics, Moments, as_matrix, check_finite, indicator, prefixed

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties to choose from, on squared weights of standardized dimensions, relative to the mean squared error."""

FOLDS = 5
"""Folds of the training rows on which the penalty is chosen."""

_BLOCK = 16_384
"""Test rows that are predicted at a time."""


@dataclass(frozen=True)
class RegressionResult:
    """R2 of a ridge probe for one target.

    Attributes
    ----------
    r2
        Share of the variance of the target over the test rows that the probe predicts.
    bootstrap
        Interval over clusters.
    shuffled
        R2 of the same probe trained on shuffled targets.
    penalty
        Penalty with the smallest error on held-out training rows.
    n_train, n_test
        Numbers of rows.
    """

    r2: float
    bootstrap: Bootstrap = field(repr=False)
    shuffled: float
    penalty: float
    n_train: int
    n_test: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of R2 (with ``low`` and ``high``) and R2 of shuffled targets."""
        low, high = self.bootstrap.interval
        common = {**columns, "n": self.n_test, "n_train": self.n_train}
        return [
            {**common, "measure": "r2", "value": self.r2, "low": low, "high": high},
            {**common, "measure": "r2 (shuffled)", "value": self.shuffled},
        ]


@dataclass(frozen=True)
class Ridge:
    """Fitted ridge regression of several targets.

    Attributes
    ----------
    weight
        Shape (dim, targets).
    offset
        Shape (targets,).
    penalty
        Penalty of each target.
    """

    weight: Float[np.ndarray, "dim targets"]
    offset: Float[np.ndarray, " targets"]
    penalty: Float[np.ndarray, " targets"]

    def predict(self, x: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows targets"]:
        """Predicted targets."""
        return x.astype(np.float64) @ self.weight + self.offset


def fit_ridge(
    statistics: CCAStatistics, view: str, folds: Int[np.ndarray, " groups"], penalties: Sequence[float] = PENALTIES
) -> Ridge:
    """Ridge regression of a y view on x, in closed form from streamed moments.

    Each penalty is scored by leaving out one fold at a time, and chosen for each target; dimensions are standardized by
    the training deviations, constant ones get no weight.

    Parameters
    ----------
    statistics
        Moments of the training rows, whose groups are folds or parts of folds.
    view
        Name of the view with the targets.
    folds
        Fold of each group of the statistics.
    penalties
        Penalties to choose from.

    Raises
    ------
    MultiresError
        If there are fewer than two folds, or a penalty is not positive.
    """
    if len(np.unique(folds)) < 2:
        raise MultiresError("the statistics have one fold: give at least two, to choose the penalty")
    if not len(penalties) or min(penalties) <= 0:
        raise MultiresError(f"penalties are {list(penalties)}: give positive numbers")
    errors = np.zeros((len(penalties), statistics.views[view]))
    for fold in np.unique(folds):
        train = statistics.pool(np.flatnonzero(folds != fold), view)
        test = statistics.pool(np.flatnonzero(folds == fold), view)
        solve = _Solver(train)
        for index, penalty in enumerate(penalties):
            weight, offset = solve(penalty)
            errors[index] += _squared_errors(weight, offset, test)
    best = errors.argmin(axis=0)
    solve = _Solver(statistics.pool(np.arange(statistics.groups), view))
    solved = [solve(penalty) for penalty in penalties]
    columns = np.arange(len(best))
    weight = np.stack([solved[b][0][:, c] for c, b in zip(columns, best, strict=True)], axis=1)
    offset = np.array([solved[b][1][c] for c, b in zip(columns, best, strict=True)])
    return Ridge(weight, offset, np.asarray(penalties)[best])


def ridge_probe(
    train_x: Float[np.ndarray, "train dim"],
    train_y: npt.ArrayLike,
    test_x: Float[np.ndarray, "test dim"],
    test_y: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
    replicates: int = 1000,
    level: float = LEVEL,
    name: str = "",
) -> list[RegressionResult]:
    """R2 of linear regression with a ridge penalty, for one or several continuous targets.

    The fit needs the moments of the training rows only, so that time is linear in rows. For binary targets such as
    boundaries, R2 is the share of the variance of the indicator.

    Parameters
    ----------
    train_x, test_x
        Vectors, one per row.
    train_y, test_y
        Targets, shape (rows,) or (rows, targets); leave out rows without a value, such as unvoiced frames for pitch.
    clusters
        Speaker of each test row, resampled as a whole by the bootstrap; rows are resampled individually if None.
    groups
        Speaker of each training row, so that the penalty is chosen on held-out speakers.
    penalties
        Penalties to choose from.
    seed
        Seed of the folds, the shuffled targets and the bootstrap.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Returns
    -------
        One result per target.

    Raises
    ------
    MultiresError
        If arrays do not match, a value is not finite, or a target is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 5))
    >>> y = x[:, 0] + rng.normal(size=2000)
    >>> round(ridge_probe(x[:1000], y[:1000], x[1000:], y[1000:])[0].r2, 1)
    0.5
    """
    train, test = as_matrix(train_x, "train_x", name), as_matrix(test_x, "test_x", name)
    targets = [_targets(y, x, what, name) for y, x, what in ((train_y, train, "train_y"), (test_y, test, "test_y"))]
    check_finite(test, "test_x", name)
    if train.shape[1] != test.shape[1] or targets[0].shape[1] != targets[1].shape[1]:
        raise MultiresError(
            f"{prefixed(name)}training and test rows differ in dimensions or targets: give the same layer"
        )
    if not (np.ptp(targets[0], axis=0) > 0).all() or not (np.ptp(targets[1], axis=0) > 0).all():
        raise MultiresError(f"{prefixed(name)}a target is constant: R2 is not defined")
    parts = len(np.unique(np.asarray(groups))) if groups is not None else len(train)
    folds = min(FOLDS, parts)
    fold_of_row = assign_folds(len(train), folds, seed=seed, groups=groups)
    order = np.random.default_rng([seed, len(train)]).permutation(len(train))
    dims = {"targets": targets[0].shape[1], "shuffled": targets[0].shape[1]}
    views = {"targets": targets[0], "shuffled": targets[0][order]}
    statistics = CCAStatistics(train.shape[1], dims, folds).update(
        train, views, fold_of_row, name=prefixed(name) + "train"
    )
    fitted = {view: fit_ridge(statistics, view, np.arange(folds), penalties) for view in dims}
    names, member = code_clusters(np.arange(len(test)) if clusters is None else clusters, len(test), name)
    residual = {view: np.empty_like(targets[1]) for view in dims}
    for start in range(0, len(test), _BLOCK):
        rows = slice(start, start + _BLOCK)
        for view, ridge in fitted.items():
            residual[view][rows] = targets[1][rows] - ridge.predict(test[rows])
    by_cluster = indicator(member, len(names))
    count = np.bincount(member, minlength=len(names)).astype(np.float64)
    centered = targets[1] - targets[1].mean(axis=0)
    sums, squares, errors = (by_cluster @ part for part in (centered, centered**2, residual["targets"] ** 2))
    every = np.ones((1, len(names)))
    r2 = _r2(every, count, sums, squares, errors)[0]
    shuffled = _r2(every, count, sums, squares, by_cluster @ residual["shuffled"] ** 2)[0]
    drawn = _r2(draw_weights(len(names), replicates, seed), count, sums, squares, errors)
    return [
        RegressionResult(
            r2=float(r2[t]),
            bootstrap=summarize(float(r2[t]), drawn[:, t], names, seed, level),
            shuffled=float(shuffled[t]),
            penalty=float(fitted["targets"].penalty[t]),
            n_train=len(train),
            n_test=len(test),
        )
        for t in range(len(r2))
    ]


def _targets(y: npt.ArrayLike, x: np.ndarray, what: str, name: str) -> Float[np.ndarray, "rows targets"]:
    y = np.asarray(y, dtype=np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or len(y) != len(x):
        raise MultiresError(
            f"{prefixed(name)}{what} has shape {y.shape}: give one row of targets for each of {len(x)} rows"
        )
    check_finite(y, what, name)
    return y


class _Solver:
    """Ridge solutions at any penalty from one eigendecomposition."""

    def __init__(self, moments: Moments) -> None:
        deviation = np.sqrt(moments.xx.diagonal() / moments.count)
        varies = deviation > 1e-9 * (1 + np.abs(moments.mean_x))
        self._scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0.0)
        covariance = self._scale[:, None] * moments.xx * self._scale / moments.count
        self._values, self._vectors = np.linalg.eigh(covariance)
        self._shared = self._vectors.T @ (self._scale[:, None] * moments.xy / moments.count)
        self._moments = moments

    def __call__(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights and offsets."""
        solved = self._vectors @ (self._shared / (self._values.clip(0) + penalty)[:, None])
        weight = self._scale[:, None] * solved
        return weight, self._moments.mean_y - self._moments.mean_x @ weight


def _squared_errors(weight: np.ndarray, offset: np.ndarray, test: Moments) -> Float[np.ndarray, " targets"]:
    """Sum of squared errors of each target, from moments."""
    bias = test.mean_y - test.mean_x @ weight - offset
    spread = test.yy.diagonal() - 2 * (weight * test.xy).sum(axis=0) + (weight * (test.xx @ weight)).sum(axis=0)
    return spread + test.count * bias**2


def _r2(
    draws: Float[np.ndarray, "replicates clusters"], count: np.ndarray, sums: np.ndarray, squares: np.ndarray,
    errors: np.ndarray,
) -> Float[np.ndarray, "replicates targets"]:  # fmt: skip
    """R2 in resamples, about the mean of each resample."""
    total = draws @ squares - (draws @ sums) ** 2 / (draws @ count)[:, None]
    return 1 - (draws @ errors) / np.where(total > 0, total, np.nan)
