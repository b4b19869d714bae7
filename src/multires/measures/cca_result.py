"""Results of a cross-validated CCA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from multires.measures.bootstrap import Bootstrap
from multires.measures.directions import Directions


@dataclass(frozen=True)
class CCATrial:
    """One training of the projections and its test.

    Attributes
    ----------
    dev, test
        The folds that chose the regularizers and gave the score; all other folds trained.
    n_train, n_test
        Numbers of rows.
    epsilons
        The pair (epsilon_x, epsilon_y) with the highest score on dev.
    dev_scores
        Score on dev of every pair that was tried.
    directions
        Training correlations and projections at that pair; canonical variates are ``(x - mean) @ directions.x.T``.
    correlations
        Test correlations, in the order of the training correlations. A direction without variance in the test part
        has 0.
    weights
        Weight of each direction in the score; they sum to 1.
    score
        Weighted sum of the test correlations.
    """

    dev: int
    test: int
    n_train: int
    n_test: int
    epsilons: tuple[float, float]
    dev_scores: Mapping[tuple[float, float], float] = field(repr=False)
    directions: Directions = field(repr=False)
    correlations: Float[np.ndarray, " directions"] = field(repr=False)
    weights: Float[np.ndarray, " directions"] = field(repr=False)
    score: float


@dataclass(frozen=True)
class CCAResult:
    """A score with its trials, interval and baseline.

    Attributes
    ----------
    variant
        Name of the score.
    score
        Mean test score over trials; the similarity itself for ``cka``.
    trials
        Every trial; empty for ``cka``, which trains nothing.
    bootstrap
        Interval over clusters, or None if no clusters were given or the test parts hold fewer than
        `multires.measures.MIN_CLUSTERS`. Projections and weights are held fixed: the interval covers the sampling of
        test clusters, and the spread over `trials` shows the effect of training.
    baseline
        Score of the same `x` with the rows of `y` shuffled, or None if it was not requested.
    n
        Number of rows in all folds.
    dim_x, dim_y
        Number of columns of the two views.
    weighting_view
        View that weighted the directions: ``x``, ``y`` or ``both``; empty for scores without such weights.
    """

    variant: str
    score: float
    trials: tuple[CCATrial, ...]
    bootstrap: Bootstrap | None
    baseline: float | None
    n: int
    dim_x: int
    dim_y: int
    weighting_view: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits of the bootstrap interval."""
        return self.bootstrap.interval if self.bootstrap else None

    @property
    def trial_scores(self) -> tuple[float, ...]:
        """Test score of every trial."""
        return tuple(trial.score for trial in self.trials)
