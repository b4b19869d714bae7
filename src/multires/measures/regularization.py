"""Choice of CCA's regularizers on development rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import product

import numpy as np

from multires.errors import MultiresError
from multires.measures.directions import Directions, TrainedView, canonical_directions, cross
from multires.measures.statistics import Moments

EPSILONS = (1e-10, 1e-11, 1e-9)
"""Regularizers of Pasad et al., crossed over the two views."""

MAX_PAIRS = 6
"""Number of pairs of regularizers to try, as in the public code."""

Epsilons = Sequence[float] | Sequence[tuple[float, float]]


def epsilon_pairs(epsilons: Epsilons, seed: int, trial: int, max_pairs: int) -> list[tuple[float, float]]:
    """Pairs of regularizers in the order in which a trial tries them.

    Pairs are returned as they are; numbers are crossed over the views, shuffled and cut to `max_pairs`.

    Raises
    ------
    MultiresError
        If there is no regularizer or one is negative.
    """
    grid = np.asarray(epsilons, dtype=np.float64)
    if grid.size == 0 or grid.ndim > 2 or (grid.ndim == 2 and grid.shape[1] != 2) or not (grid >= 0).all():
        raise MultiresError(f"epsilons is {epsilons}: give numbers of at least 0, or pairs of them")
    if grid.ndim == 2:
        return [(float(a), float(b)) for a, b in grid]
    pairs = [(float(a), float(b)) for a, b in product(np.atleast_1d(grid), repeat=2)]
    order = np.random.default_rng([seed, trial]).permutation(len(pairs))
    return [pairs[i] for i in order[:max_pairs]]


class Selection:
    """One trial of one view: pairs of regularizers, of which the best on dev is tested.

    Parameters
    ----------
    view
        Name of the y view.
    folds
        Folds (dev, test).
    pairs
        Pairs of regularizers.
    x, y
        Training covariances of the two views.
    train, dev, test
        Moments of the three parts.
    """

    def __init__(
        self, view: str, folds: tuple[int, int], pairs: Sequence[tuple[float, float]], x: TrainedView, y: TrainedView,
        train: Moments, dev: Moments, test: Moments,
    ) -> None:  # fmt: skip
        self.view, self.folds, self.pairs = view, folds, pairs
        self.x, self.y = x, y
        self.train, self.dev, self.test = train, dev, test
        self.dev_scores: dict[tuple[float, float], float] = {}
        self._crosses: dict[tuple[int, int], np.ndarray] = {}
        self._best: tuple[float, int, Directions, np.ndarray | None] | None = None
        self._recording = threading.Lock()

    def cross(self) -> None:
        """Compute the cross-covariance between the eigenvectors of both views, once for each pair of bases."""
        covariance = self.train.xy / (self.train.count - 1)
        for pair in self.pairs:
            basis_x, basis_y = self.x.basis(pair[0]), self.y.basis(pair[1])
            key = (id(basis_x), id(basis_y))
            if key not in self._crosses:
                self._crosses[key] = cross(basis_x, basis_y, covariance)

    def directions(self, pair: tuple[float, float]) -> Directions:
        """Canonical directions at a pair of regularizers."""
        basis_x, basis_y = self.x.basis(pair[0]), self.y.basis(pair[1])
        return canonical_directions(basis_x, basis_y, self._crosses[id(basis_x), id(basis_y)], pair)

    def record(
        self, pair: tuple[float, float], score: float, directions: Directions, weights: np.ndarray | None
    ) -> None:
        """Record a pair's score on dev, and keep its directions if it is the best so far."""
        place = -self.pairs.index(pair)  # the first of equal scores wins, whichever thread is faster
        with self._recording:
            self.dev_scores[pair] = score
            if self._best is None or (score, place) > self._best[:2]:
                self._best = score, place, directions, weights

    def best(self) -> tuple[tuple[float, float], Directions, np.ndarray | None]:
        """The best pair, its directions, and their weights if training determines them."""
        assert self._best is not None  # epsilon_pairs returns at least one pair
        _, place, directions, weights = self._best
        return self.pairs[-place], directions, weights
