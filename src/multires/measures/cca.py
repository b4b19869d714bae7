"""Canonical correlation analysis of layers: cross-validated scores, with intervals and baselines, from statistics."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from sklearn.base import BaseEstimator

from multires.errors import MultiresError, choose
from multires.measures.directions import (
    Directions,
    HeldOut,
    TrainedView,
    canonical_directions,
    correlate,
    cross,
    held_out,
    projection_weights,
    public_weights,
)
from multires.measures.folds import Trials, assign_folds, choose_trials
from multires.measures.intervals import (
    MIN_UNITS,
    Bootstrap,
    code_units,
    draw_weights,
    summarise,
)
from multires.measures.statistics import VIEW, CCAStatistics, Moments, as_matrix, indicator, said
from multires.runtime.parallel import side_by_side

VARIANTS = ("mean", "svcca", "pwcca", "layerwise-analysis", "cka")
"""The scores; see `CCA`."""

SHUFFLED = " (shuffled)"
"""Follows the name of a view that holds another view's rows in random order."""

MAX_BLOCKS = 50
"""Most clusters that the bootstrap of ``cka`` keeps apart."""

EPSILONS = (1e-10, 1e-11, 1e-9)
"""The regularisers of Pasad et al., crossed over the two views."""

MAX_PAIRS = 6
"""How many pairs of regularisers are tried, as in the public code."""

Epsilons = Sequence[float] | Sequence[tuple[float, float]]


@dataclass(frozen=True)
class CCATrial:
    """One training of the projections and its test.

    Attributes
    ----------
    dev, test
        The folds that chose the regulariser and gave the score; all others trained.
    n_train, n_test
        Rows.
    epsilons
        The pair (epsilon_x, epsilon_y) that was best on dev.
    dev_scores
        The dev score of every pair that was tried.
    directions
        Training correlations and projections at that pair; canonical variates are ``(x - mean) @ directions.x.T``.
    correlations
        Test correlations, in the order of the training ones. A direction without variance in the test part has 0.
    weights
        The share of each direction in the score; they sum to 1.
    score
        The weighted sum of the test correlations.
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
    """A score with what is needed to judge it.

    Attributes
    ----------
    variant
        Name of the score.
    score
        Mean over trials of the test score; the similarity itself for ``cka``.
    trials
        Every trial; empty for ``cka``, which trains nothing.
    bootstrap
        The interval over clusters, or None where none were given or fewer than `MIN_UNITS` are in the test parts.
        It holds projections and weights fixed: it covers the sampling of test clusters, and the spread over `trials`
        shows what training adds.
    baseline
        The score of the same `x` with the rows of `y` shuffled, or None where this was not asked for.
    n
        Rows in all folds.
    dim_x, dim_y
        Columns of the two views.
    """

    variant: str
    score: float
    trials: tuple[CCATrial, ...]
    bootstrap: Bootstrap | None
    baseline: float | None
    n: int
    dim_x: int
    dim_y: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits of the bootstrap interval."""
        return (self.bootstrap.low, self.bootstrap.high) if self.bootstrap else None

    @property
    def trial_scores(self) -> tuple[float, ...]:
        """The test score of every trial."""
        return tuple(trial.score for trial in self.trials)


class _Contest:
    """One trial of one view: pairs of regularisers, of which the best on dev is tested."""

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
        self._entering = threading.Lock()

    def cross(self) -> None:
        """The cross-covariance between the eigenvectors of both views, once for each two bases."""
        covariance = self.train.xy / (self.train.count - 1)
        for pair in self.pairs:
            basis_x, basis_y = self.x.basis(pair[0]), self.y.basis(pair[1])
            key = (id(basis_x), id(basis_y))
            if key not in self._crosses:
                self._crosses[key] = cross(basis_x, basis_y, covariance)

    def directions(self, pair: tuple[float, float]) -> Directions:
        """The canonical directions at a pair of regularisers."""
        basis_x, basis_y = self.x.basis(pair[0]), self.y.basis(pair[1])
        return canonical_directions(basis_x, basis_y, self._crosses[id(basis_x), id(basis_y)], pair)

    def enter(
        self, pair: tuple[float, float], score: float, directions: Directions, weights: np.ndarray | None
    ) -> None:
        """Note a pair's score on dev, and keep what it needs for the test if it is the best so far."""
        place = -self.pairs.index(pair)  # of equal scores the first pair's counts, whichever thread is faster
        with self._entering:
            self.dev_scores[pair] = score
            if self._best is None or (score, place) > self._best[:2]:
                self._best = score, place, directions, weights

    def best(self) -> tuple[tuple[float, float], Directions, np.ndarray | None]:
        """The best pair, its directions and the weights that training gave them, if it does."""
        assert self._best is not None  # CCA._check has seen to it that there is a pair
        _, place, directions, weights = self._best
        return self.pairs[-place], directions, weights


class CCA(BaseEstimator):
    r"""Cross-validated canonical correlation analysis of two views of the same rows.

    Rows are split into folds. Each trial trains on all folds but two, chooses the pair of regularisers by its score on
    one of these (dev), and is scored on the other (test) with the test part's own means. The score is the mean over
    trials. With :math:`C` a training covariance and :math:`C + \epsilon I = V \Lambda V^T`, projections come from the
    singular value decomposition of
    :math:`\Lambda_x^{-1/2} V_x^T C_{xy} V_y \Lambda_y^{-1/2}`; one eigendecomposition of each view per trial serves all
    regularisers. A score is :math:`\sum_i w_i \rho_i` over directions i with held-out correlations
    :math:`\rho_i`, signed, so that unrelated views score 0 on average. Variants:

    ``mean``
        :math:`w_i = 1/k`.
    ``svcca`` (Raghu et al. 2017, arXiv 1706.05806)
        As ``mean``, after each view is reduced to the leading principal components that keep `variance` of its
        training variance.
    ``pwcca`` (Morcos et al. 2018, arXiv 1806.05759, section 3)
        :math:`w_i \propto \sum_j |\langle h_i, x_j \rangle|`, with :math:`h_i` the unit-norm training variate and
        :math:`x_j` the centred training values of column j of the weighting view: directions that account for more of
        that view count for more.
    ``layerwise-analysis`` (Pasad et al., arXiv 2107.04734, 2211.03929; computes what the public code
    ``ankitapasad/layerwise-analysis``, after ``google/svcca``, computes)
        It departs from Morcos et al. in three ways. The weights come from the held-out rows, whose variates are not
        orthogonal, through a QR decomposition of them. The means of the first k columns of the weighting view are
        added to the k variates first (column j's mean to variate j, though variate j is not column j). The inner
        products are with columns that are not centred, and only with the first k of them (all of them where the
        weighting view is the smaller one). Two things in the public score are not determined by the data, and are
        here. The added means make it depend on the signs of the singular vectors, which differ between LAPACK
        libraries: here the largest coefficient of each y direction is positive. And for a one-hot view the last
        direction is constant: the public code divides rounding error by rounding error to get its correlation, yet
        gives it about the weight of any other direction, which puts noise of up to about ±1/k into a score over k
        labels; here that correlation is 0, and so is the weight of a held-out variate that depends linearly on those
        before it.
    ``cka`` (Kornblith et al. 2019, arXiv 1905.00414, linear kernel)
        :math:`\|C_{xy}\|_F^2 / (\|C_{xx}\|_F \|C_{yy}\|_F)` over all rows. It trains nothing, uses neither folds nor
        regularisers, and is biased upwards where there are few rows for the columns.

    Covariances are scaled before the regulariser is added: in ``svcca`` and ``layerwise-analysis`` each is divided
    by its largest absolute entry, and the latter leaves out a column whose scaled variance is below epsilon; in ``mean`` and ``pwcca`` every
    column is scaled to unit training variance, so that units play no part in the correlations.
    Columns that are constant in training, and directions whose eigenvalue is rounding error (below dim times machine
    epsilon times the largest: duplicated or dependent columns, fewer rows than columns), get no projection.
    Where there are no more training rows than columns, training correlations are 1 by construction, the held-out score
    is close to chance, and a warning says so.

    Parameters
    ----------
    variant
        One of `VARIANTS`.
    epsilons
        Regularisers, crossed over the views, shuffled, and cut to the first `max_pairs`; or the pairs themselves.
    folds
        Number of folds; 1 trains and scores on all rows.
    trials
        Number of trials, or (dev, test) pairs of folds.
    seed
        Seed of folds, trials, order of regularisers, shuffled baseline and bootstrap.
    weights_from
        The view that gives the weights of ``pwcca`` and ``layerwise-analysis``: ``smaller`` (fewer directions; y where
        equal, as the public code's second view), ``x``, ``y``, or ``both`` (the mean of the two scores).
    variance
        The share of variance that ``svcca`` keeps.
    max_pairs
        How many pairs of regularisers to try.
    replicates
        Bootstrap resamples.
    level
        Nominal coverage of intervals.
    baseline
        Whether to score shuffled rows of y too.

    Attributes
    ----------
    result_
        `CCAResult` of the last fit, where it was to one view.
    results_
        `CCAResult` by view.
    labels_
        By view, the labels behind the columns of y where y was a vector of labels.
    """

    def __init__(
        self,
        variant: str = "pwcca",
        *,
        epsilons: Epsilons = EPSILONS,
        folds: int = 10,
        trials: Trials = 3,
        seed: int = 0,
        weights_from: str = "smaller",
        variance: float = 0.99,
        max_pairs: int = MAX_PAIRS,
        replicates: int = 1000,
        level: float = 0.95,
        baseline: bool = False,
    ) -> None:
        self.variant = variant
        self.epsilons = epsilons
        self.folds = folds
        self.trials = trials
        self.seed = seed
        self.weights_from = weights_from
        self.variance = variance
        self.max_pairs = max_pairs
        self.replicates = replicates
        self.level = level
        self.baseline = baseline

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        strata: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        resample_by: npt.ArrayLike | None = None,
        name: str = "",
    ) -> CCA:
        """Train, choose and test on arrays.

        Parameters
        ----------
        x
            Shape (rows, dim_x), any real type.
        y
            Shape (rows, dim_y), or labels (rows,), which stand for their one-hot matrix and are also the `strata`
            where none are given.
        strata
            Labels that every fold has evenly.
        groups
            Utterance or speaker of every row, to keep each within one fold.
        resample_by
            Speaker or utterance of every row, for the bootstrap; `groups` where not given.
        name
            Said in messages, such as the model and layer.

        Raises
        ------
        MultiresError
            Where a value is not finite, a view does not vary, or folds cannot be made.
        """
        self.fit_views(x, {VIEW: y}, strata=strata, groups=groups, resample_by=resample_by, name=name)
        self.result_ = self.results_[VIEW]
        return self

    def fit_views(
        self,
        x: npt.ArrayLike,
        views: Mapping[str, npt.ArrayLike],
        *,
        strata: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        resample_by: npt.ArrayLike | None = None,
        name: str = "",
    ) -> CCA:
        """As `fit` for several y views of the same rows, which share the statistics and decompositions of x.

        Sets ``results_`` by view. Where `strata` are not given, the first view of labels serves.
        """
        self._check()
        x = as_matrix(x, "x", name)
        coded, self.labels_ = _code_views(views, len(x), name)
        if strata is None and self.labels_:
            strata = coded[next(iter(self.labels_))]
        fold_of_row = assign_folds(len(x), self.folds, seed=self.seed, strata=strata, groups=groups)
        names, unit_of_row = code_units(groups if resample_by is None else resample_by, len(x), name)
        dims = {v: len(self.labels_[v]) if v in self.labels_ else values.shape[1] for v, values in coded.items()}
        if self.baseline:
            order = np.random.default_rng([self.seed, len(x)]).permutation(len(x))
            coded |= {v + SHUFFLED: values[order] for v, values in coded.items()}
            dims |= {v + SHUFFLED: dim for v, dim in dims.items()}
        if self.variant == "cka":
            names, group_of_row = _blocks(names, unit_of_row, self.seed)
            statistics = CCAStatistics(x.shape[1], dims, max(len(names), 1)).update(x, coded, group_of_row, name=name)
            return self._set(self._similarities(statistics, names, np.arange(len(names)), name))
        statistics = CCAStatistics(x.shape[1], dims, self.folds).update(x, coded, fold_of_row, name=name)

        def sums(view: str, directions: Directions, test: int) -> VariateSums:
            rows = np.flatnonzero(fold_of_row == test)
            return VariateSums.of_rows(directions, x[rows], coded[view][rows], unit_of_row[rows], len(names))

        return self._set(self._cross_validate(statistics, np.arange(self.folds), names, sums, name))

    def fit_statistics(
        self,
        statistics: CCAStatistics,
        fold_of_group: npt.ArrayLike | None = None,
        unit_of_group: npt.ArrayLike | None = None,
        *,
        name: str = "",
    ) -> CCA:
        """Train, choose and test on statistics that were gathered from a stream; gives what `fit_views` gives.

        Parameters
        ----------
        statistics
            Whose groups are folds, or cells (fold, cluster). A view named as another with `SHUFFLED` after it is that
            view's baseline.
        fold_of_group
            The fold of every group, 0 ... ; the groups themselves where not given. `folds` is not used.
        unit_of_group
            The speaker or utterance of every group, for the bootstrap.
        name
            Said in messages.
        """
        self._check()
        folds = np.arange(statistics.groups) if fold_of_group is None else np.asarray(fold_of_group)
        if folds.shape != (statistics.groups,):
            raise MultiresError(
                f"{said(name)}fold_of_group has shape {folds.shape}: give one fold for each of the {statistics.groups} groups"
            )
        names, codes = code_units(unit_of_group, statistics.groups, name)
        self.labels_ = {}
        if self.variant == "cka":
            return self._set(self._similarities(statistics, names, codes, name))

        def sums(view: str, directions: Directions, test: int) -> VariateSums:
            groups = np.flatnonzero(folds == test)
            return VariateSums.of_groups(directions, statistics, view, groups, codes[groups], len(names))

        return self._set(self._cross_validate(statistics, folds, names, sums, name))

    def score(self, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *, name: str = "") -> float:
        """The cross-validated score, or with `x` and `y` the score of the fitted projections on these rows.

        The latter is the mean over the trials' projections, about the new rows' own means.

        Raises
        ------
        MultiresError
            Before `fit`, or where the new rows do not suit it.
        """
        if not hasattr(self, "result_"):
            raise MultiresError("this CCA is not fitted to one view: call fit first")
        if x is None or y is None:
            return self.result_.score
        if self.variant == "cka":
            return cca_score(x, y, variant="cka", name=name).score
        x, y = as_matrix(x, "x", name), np.asarray(y)
        if VIEW in self.labels_:
            known = self.labels_[VIEW]
            codes = np.searchsorted(known, y).clip(0, len(known) - 1)
            if not np.array_equal(known[codes], y):
                raise MultiresError(f"{said(name)}y has labels that were not fitted: leave their rows out")
            y = codes
        moments = CCAStatistics(x.shape[1], self.result_.dim_y).update(x, y, name=name).pool([0])
        scores = []
        for trial in self.result_.trials:
            weights = None if self.variant == "layerwise-analysis" else trial.weights
            correlations, shares = self._held_out(trial.directions, weights, moments)
            scores.append(shares @ correlations)
        return float(np.mean(scores))

    def _check(self) -> None:
        choose("variant", self.variant, VARIANTS)
        choose("weights_from", self.weights_from, ("smaller", "x", "y", "both"))
        if not 0 < self.variance <= 1:
            raise MultiresError(f"variance is {self.variance}: give the share of variance to keep, in (0, 1]")
        if self.replicates < 1:
            raise MultiresError(f"replicates is {self.replicates}: it must be at least 1")
        self._pairs(0)

    def _set(self, results: dict[str, CCAResult]) -> CCA:
        """Keep the results, each with its shuffled twin's score as baseline."""
        self.results_ = {
            view: replace(result, baseline=results[view + SHUFFLED].score) if view + SHUFFLED in results else result
            for view, result in results.items()
            if not view.endswith(SHUFFLED)
        }
        if hasattr(self, "result_"):
            del self.result_
        if len(self.results_) == 1:
            self.result_ = next(iter(self.results_.values()))
        return self

    def _pairs(self, trial: int) -> list[tuple[float, float]]:
        """The pairs of regularisers in the order in which this trial tries them."""
        grid = np.asarray(self.epsilons, dtype=np.float64)
        if grid.size == 0 or grid.ndim > 2 or (grid.ndim == 2 and grid.shape[1] != 2) or not (grid >= 0).all():
            raise MultiresError(f"epsilons is {self.epsilons}: give numbers of at least 0, or pairs of them")
        if grid.ndim == 2:
            return [(float(a), float(b)) for a, b in grid]
        pairs = [(float(a), float(b)) for a, b in product(np.atleast_1d(grid), repeat=2)]
        order = np.random.default_rng([self.seed, trial]).permutation(len(pairs))
        return [pairs[i] for i in order[: self.max_pairs]]

    def _cross_validate(
        self,
        statistics: CCAStatistics,
        fold_of_group: np.ndarray,
        names: Sequence[str],
        sums: Callable[[str, Directions, int], VariateSums],
        name: str,
    ) -> dict[str, CCAResult]:
        folds = int(fold_of_group.max()) + 1
        contests: list[_Contest] = []
        for index, (dev, test) in enumerate(choose_trials(self.trials, folds, self.seed)):
            left_out = [] if folds == 1 else [dev, test]
            parts = [
                np.flatnonzero(~np.isin(fold_of_group, left_out)),
                np.flatnonzero(fold_of_group == dev),
                np.flatnonzero(fold_of_group == test),
            ]
            pooled = [statistics.pool_x(part) for part in parts]
            trained_x = self._trained_view(*pooled[0], f"{said(name)}x")
            for view in statistics.views:
                moments = [statistics.pool(part, view, scatter_x=x[2]) for part, x in zip(parts, pooled, strict=True)]
                contests.append(self._contest(view, index, (dev, test), trained_x, moments, f"{said(name)}{view}"))
        self._train(contests)
        tested = side_by_side(self._test, contests)
        trials = {
            view: [trial for contest, trial in zip(contests, tested, strict=True) if contest.view == view]
            for view in statistics.views
        }
        return {
            view: CCAResult(
                variant=self.variant,
                score=float(np.mean([trial.score for trial in found])),
                trials=tuple(found),
                bootstrap=self._bootstrap(found, view, names, sums),
                baseline=None,
                n=int(statistics.count.sum()),
                dim_x=statistics.dim_x,
                dim_y=statistics.views[view],
            )
            for view, found in trials.items()
        }

    def _trained_view(self, count: int, mean: np.ndarray, scatter: np.ndarray, name: str) -> TrainedView:
        return TrainedView(count, mean, scatter, self.variant, self.variance, name)

    def _contest(
        self, view: str, index: int, folds: tuple[int, int], x: TrainedView, moments: list[Moments], name: str
    ) -> _Contest:
        train, dev, test = moments
        if min(dev.count, test.count) < 2:
            raise MultiresError(
                f"{name}: fold {folds[dev.count > 1]} has fewer than 2 rows: use fewer folds or more data"
            )
        if train.count <= max(len(train.mean_x), len(train.mean_y)) + 1:
            warnings.warn(
                f"{name}: {train.count} training rows for {len(train.mean_x)} and {len(train.mean_y)} columns: "
                "training correlations are 1 by construction; give more rows or fewer columns",
                stacklevel=5,
            )
        y = self._trained_view(train.count, train.mean_y, train.yy, name)
        return _Contest(view, folds, self._pairs(index), x, y, train, dev, test)

    def _train(self, contests: Sequence[_Contest]) -> None:
        """Every trial of every view at every pair of regularisers: eigenvectors first, which pairs share."""
        wanted = {(id(side), epsilon): (side, epsilon) for each in contests for pair in each.pairs
                  for side, epsilon in zip((each.x, each.y), pair, strict=True)}  # fmt: skip
        # One regulariser first: others of the same view most often find its eigenvectors there.
        first = {key[0]: pair for key, pair in reversed(wanted.items())}
        for bases in (first, wanted):
            side_by_side(lambda pair: pair[0].basis(pair[1]), list(bases.values()))
        side_by_side(_Contest.cross, contests)
        side_by_side(lambda job: self._enter(*job), [(each, pair) for each in contests for pair in each.pairs])

    def _enter(self, contest: _Contest, pair: tuple[float, float]) -> None:
        """Train at one pair of regularisers, and score it on dev."""
        directions = contest.directions(pair)
        weights = self._weights(directions, contest.train)
        correlations, shares = self._held_out(directions, weights, contest.dev)
        contest.enter(pair, float(shares @ correlations), directions, weights)

    def _test(self, contest: _Contest) -> CCATrial:
        """Score the pair that was best on dev."""
        best, directions, weights = contest.best()
        correlations, shares = self._held_out(directions, weights, contest.test)
        return CCATrial(
            dev=contest.folds[0],
            test=contest.folds[1],
            n_train=contest.train.count,
            n_test=contest.test.count,
            epsilons=best,
            dev_scores={pair: contest.dev_scores[pair] for pair in contest.pairs},
            directions=directions,
            correlations=correlations,
            weights=shares,
            score=float(shares @ correlations),
        )

    def _held_out(
        self, directions: Directions, weights: np.ndarray | None, moments: Moments
    ) -> tuple[np.ndarray, np.ndarray]:
        """Correlations over some rows, and weights: these rows' own where none come from training."""
        found = held_out(directions, moments)
        return found.correlations, self._public_weights(directions, moments, found) if weights is None else weights

    def _weights(self, directions: Directions, train: Moments) -> np.ndarray | None:
        """The weights that training gives to directions; None where those of held-out rows count."""
        if self.variant == "layerwise-analysis":
            return None
        if self.variant in ("mean", "svcca"):
            k = len(directions.correlations)
            return np.full(k, 1 / k)
        views = {"x": (directions.x, train.xx), "y": (directions.y, train.yy)}
        return np.mean([projection_weights(*views[side]) for side in self._weighting(directions)], axis=0)

    def _public_weights(self, directions: Directions, moments: Moments, found: HeldOut) -> np.ndarray:
        views = {
            "x": (directions.x, moments.count, moments.mean_x, found.shared_x),
            "y": (directions.y, moments.count, moments.mean_y, found.shared_y),
        }
        return np.mean([public_weights(*views[side]) for side in self._weighting(directions)], axis=0)

    def _weighting(self, directions: Directions) -> str:
        """The view that gives weights, or both."""
        smaller = "x" if directions.x.rank < directions.y.rank else "y"
        return {"smaller": smaller, "both": "xy"}.get(self.weights_from, self.weights_from)

    def _bootstrap(
        self,
        trials: list[CCATrial],
        view: str,
        names: Sequence[str],
        sums: Callable[[str, Directions, int], VariateSums],
    ) -> Bootstrap | None:
        """Resample the clusters of the test parts; projections and weights stay as they are."""
        if len(names) < MIN_UNITS or view.endswith(SHUFFLED):
            return None
        gathered = [sums(view, trial.directions, trial.test) for trial in trials]
        tested = np.flatnonzero(np.sum([part.count for part in gathered], axis=0))
        if len(tested) < MIN_UNITS:
            return None
        draws = np.zeros((self.replicates, len(names)))
        draws[:, tested] = draw_weights(len(tested), self.replicates, self.seed)
        scores = [part.correlations(draws) @ trial.weights for part, trial in zip(gathered, trials, strict=True)]
        value = float(np.mean([trial.score for trial in trials]))
        return summarise(value, np.nanmean(scores, axis=0), np.asarray(names)[tested], self.seed, self.level)

    def _similarities(
        self, statistics: CCAStatistics, names: Sequence[str], unit_of_group: np.ndarray, name: str
    ) -> dict[str, CCAResult]:
        """Linear CKA of x with every view."""
        results = {}
        for view, dim in statistics.views.items():
            value = linear_cka(statistics.pool(np.arange(statistics.groups), view))
            if not np.isfinite(value):
                raise MultiresError(f"{said(name)}x or {view} does not vary: nothing can correlate with it")
            bootstrap = None
            if len(names) >= MIN_UNITS and not view.endswith(SHUFFLED):
                draws = draw_weights(len(names), self.replicates, self.seed)
                replicates = [linear_cka(statistics.pool_weighted(draw[unit_of_group], view)) for draw in draws]
                bootstrap = summarise(value, np.array(replicates), names, self.seed, self.level)
            n = int(statistics.count.sum())
            results[view] = CCAResult(self.variant, value, (), bootstrap, None, n, statistics.dim_x, dim)
        return results


@dataclass(frozen=True)
class VariateSums:
    """Sums of canonical variates over the rows of each cluster, from which any resample's correlations follow.

    Attributes
    ----------
    count
        Rows of each cluster.
    x, y, xx, yy, xy
        Sums of the variates (about one common origin) and of their products, each (clusters, directions).
    """

    count: Float[np.ndarray, " clusters"]
    x: Float[np.ndarray, "clusters directions"]
    y: Float[np.ndarray, "clusters directions"]
    xx: Float[np.ndarray, "clusters directions"]
    yy: Float[np.ndarray, "clusters directions"]
    xy: Float[np.ndarray, "clusters directions"]

    @classmethod
    def of_rows(
        cls, directions: Directions, x: np.ndarray, y: np.ndarray, unit_of_row: np.ndarray, units: int
    ) -> VariateSums:
        """From the rows of a test part, `y` a matrix or label indices."""
        x_variates = x.astype(np.float64) @ directions.x.projection.T
        projection = directions.y.projection.T
        y_variates = projection[y] if y.ndim == 1 else y.astype(np.float64) @ projection
        x_variates -= x_variates.mean(axis=0)
        y_variates = y_variates - y_variates.mean(axis=0)
        summed = indicator(unit_of_row, units)
        return cls(
            np.bincount(unit_of_row, minlength=units).astype(np.float64),
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
        unit_of_group: np.ndarray,
        units: int,
    ) -> VariateSums:
        """From the statistics of the groups that make up a test part."""
        whole = statistics.pool(groups, view)
        new = cls(np.zeros(units), *(np.zeros((units, len(directions.correlations))) for _ in range(5)))
        x, y = directions.x.projection, directions.y.projection
        for group, unit in zip(groups, unit_of_group, strict=True):
            cell = statistics.pool([group], view)
            mean_x, mean_y = x @ (cell.mean_x - whole.mean_x), y @ (cell.mean_y - whole.mean_y)
            new.count[unit] += cell.count
            new.x[unit] += cell.count * mean_x
            new.y[unit] += cell.count * mean_y
            new.xx[unit] += np.einsum("kd,kd->k", x @ cell.xx, x) + cell.count * mean_x**2
            new.yy[unit] += np.einsum("kd,kd->k", y @ cell.yy, y) + cell.count * mean_y**2
            new.xy[unit] += np.einsum("kd,kd->k", x @ cell.xy, y) + cell.count * mean_x * mean_y
        return new

    def correlations(
        self, draws: Float[np.ndarray, "replicates clusters"]
    ) -> Float[np.ndarray, "replicates directions"]:
        """Correlations in resamples where each cluster occurs so often; NaN where a resample has no row."""
        count = (draws @ self.count)[:, None]
        some = np.where(count > 0, count, np.nan)
        x, y = draws @ self.x, draws @ self.y
        return correlate(
            draws @ self.xy - x * y / some, draws @ self.xx - x**2 / some, draws @ self.yy - y**2 / some, count
        ) + np.where(count > 0, 0.0, np.nan)


def linear_cka(moments: Moments) -> float:
    """Linear centred kernel alignment of two views: Kornblith et al. (2019), equation 4."""
    norms = np.linalg.norm(moments.xx) * np.linalg.norm(moments.yy)
    return float(np.linalg.norm(moments.xy) ** 2 / norms) if norms > 0 else float("nan")


def cca_score(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    variant: str = "pwcca",
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample_by: npt.ArrayLike | None = None,
    baseline: bool = True,
    name: str = "",
    **settings: Any,
) -> CCAResult:
    """The cross-validated score of two views, with interval and shuffled baseline.

    `settings` are those of `CCA`; the other parameters are those of `CCA.fit`.
    """
    model = CCA(variant, baseline=baseline, **settings)
    return model.fit(x, y, strata=strata, groups=groups, resample_by=resample_by, name=name).result_


def cca_scores(
    x: npt.ArrayLike,
    views: Mapping[str, npt.ArrayLike],
    *,
    variant: str = "pwcca",
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample_by: npt.ArrayLike | None = None,
    baseline: bool = True,
    name: str = "",
    **settings: Any,
) -> dict[str, CCAResult]:
    """As `cca_score` for several y views of the same rows, which share the work on x: a result by view name."""
    model = CCA(variant, baseline=baseline, **settings)
    return model.fit_views(x, views, strata=strata, groups=groups, resample_by=resample_by, name=name).results_


def _code_views(
    views: Mapping[str, npt.ArrayLike], rows: int, name: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every view as a matrix or as label indices, and the labels of the latter."""
    coded, labels = {}, {}
    if not views:
        raise MultiresError(f"{said(name)}no y view was given")
    for view, values in views.items():
        coded[view] = np.asarray(values)
        if len(coded[view]) != rows:
            raise MultiresError(f"{said(name)}x has {rows} rows but view {view!r} has {len(coded[view])}")
        if coded[view].ndim == 1:
            if coded[view].dtype.kind == "f":
                raise MultiresError(
                    f"{said(name)}view {view!r} is a vector of floats: give labels, or a matrix of one column"
                )
            labels[view], coded[view] = np.unique(coded[view], return_inverse=True)
        else:
            coded[view] = as_matrix(coded[view], view, name)
    return coded, labels


def _blocks(names: list[str], unit_of_row: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
    """At most `MAX_BLOCKS` clusters, by joining them at random: each costs a whole scatter matrix in ``cka``."""
    if len(names) <= MAX_BLOCKS:
        return names, unit_of_row
    order = np.random.default_rng([seed, len(names)]).permutation(len(names)) % MAX_BLOCKS
    return [f"block {i:02d}" for i in range(MAX_BLOCKS)], order[unit_of_row]
