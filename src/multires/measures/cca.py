"""Cross-validated canonical correlation analysis (CCA), from arrays or from streamed statistics."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from multires.errors import MultiresError, choose
from multires.measures.bootstrap import MIN_CLUSTERS, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.cca_result import CCAResult, CCATrial
from multires.measures.cka import cka_of_view, join_clusters
from multires.measures.directions import Directions, TrainedView
from multires.measures.folds import Trials, assign_folds, choose_trials
from multires.measures.regularization import EPSILONS, MAX_PAIRS, Epsilons, Selection, epsilon_pairs
from multires.measures.statistics import VIEW, CCAStatistics, Moments, as_matrix, prefixed
from multires.measures.variates import VariateSums
from multires.measures.views import code_views
from multires.measures.weighting import WEIGHTING_VIEWS, Weighting, WeightingView
from multires.runtime.parallel import side_by_side

VARIANTS = ("mean", "svcca", "pwcca", "layerwise-analysis", "cka")
"""The scores; see `CCA`."""

SHUFFLED = " (shuffled)"
"""Suffix of the name of a view whose rows were shuffled."""


class CCA(BaseEstimator):
    r"""Cross-validated canonical correlation analysis of two views of the same rows.

    Rows are split into folds. Each trial trains on all folds but two, chooses the pair of regularizers by its score on
    one of these (dev), and is scored on the other (test) about the means of the test part. The score is the mean over
    trials. With :math:`C` a training covariance and :math:`C + \epsilon I = V \Lambda V^T`, projections come from the
    singular value decomposition of
    :math:`\Lambda_x^{-1/2} V_x^T C_{xy} V_y \Lambda_y^{-1/2}`; one eigendecomposition of each view per trial serves all
    regularizers. A score is :math:`\sum_i w_i \rho_i` over directions i with held-out correlations
    :math:`\rho_i`, signed, so that unrelated views score 0 on average. Variants:

    ``mean``
        :math:`w_i = 1/k`. Use it to compare layers, models and corpora: the weights of the two projection-weighted
        variants depend on the data, and with ``smaller`` even the view that they come from changes with the number of
        labels.
    ``svcca`` (Raghu et al. 2017, arXiv 1706.05806)
        As ``mean``, after each view is reduced to the leading principal components that keep `variance` of its
        training variance.
    ``pwcca`` (Morcos et al. 2018, arXiv 1806.05759, section 3)
        :math:`w_i \propto \sum_j |\langle h_i, x_j \rangle|`, with :math:`h_i` the unit-norm training variate and
        :math:`x_j` the centered training values of column j of the weighting view: directions that account for more of
        that view have larger weights.
    ``layerwise-analysis`` (Pasad et al., arXiv 2107.04734, 2211.03929)
        The score of the public code ``ankitapasad/layerwise-analysis``, after ``google/svcca``. It departs from Morcos
        et al. in three ways. The weights come from the held-out rows, whose variates are not
        orthogonal, through a QR decomposition of them. The means of the first k columns of the weighting view are
        added to the k variates first (column j's mean to variate j, though variate j is not column j). The inner
        products are with columns that are not centered, and only with the first k of them (all of them if the
        weighting view is the smaller one). Two things in the public score are not determined by the data, and are
        here. The added means make it depend on the signs of the singular vectors, which differ between LAPACK
        libraries: here the largest coefficient of each y direction is positive. And for a one-hot view the last
        direction is constant: the public code divides rounding error by rounding error to get its correlation, yet
        gives it about the weight of any other direction, which adds noise of up to about ±1/k to a score over k
        labels; here that correlation is 0, and so is the weight of a held-out variate that depends linearly on those
        before it.
    ``cka`` (Kornblith et al. 2019, arXiv 1905.00414, linear kernel)
        :math:`\|C_{xy}\|_F^2 / (\|C_{xx}\|_F \|C_{yy}\|_F)` over all rows. It trains nothing, uses neither folds nor
        regularizers, and is biased upwards with few rows for the number of columns; `multires.measures.debiased_cka`
        is not.

    Covariances are scaled before the regularizer is added: in ``svcca`` and ``layerwise-analysis`` each is divided
    by its largest absolute entry, and the latter leaves out a column whose scaled variance is below epsilon; in
    ``mean`` and ``pwcca`` every column is scaled to unit training variance, so that correlations do not depend on
    units. Columns that are constant in training, and directions whose eigenvalue is rounding error (below dim times
    machine epsilon times the largest: duplicated or dependent columns, fewer rows than columns), get no projection.
    With no more training rows than columns, training correlations are 1 by construction, the held-out score is close
    to chance, and a warning is issued.

    Parameters
    ----------
    variant
        One of `VARIANTS`.
    epsilons
        Regularizers, crossed over the views, shuffled, and cut to the first `max_pairs`; or the pairs themselves.
    folds
        Number of folds; 1 trains and scores on all rows.
    trials
        Number of trials, or (dev, test) pairs of folds.
    seed
        Seed of folds, trials, order of regularizers, shuffled baseline and bootstrap.
    weighting_view
        View that gives the weights of ``pwcca`` and ``layerwise-analysis``: ``x``, ``y``, ``both`` (the mean of the two
        scores) or ``smaller`` (the view with fewer directions; y if equal, as in the public code). If None, ``x`` for
        ``pwcca`` and ``smaller`` for ``layerwise-analysis``. Name a view to compare scores across label sets:
        ``smaller`` switches from the labels to the layer once there are more labels than dimensions.
    variance
        Share of variance that ``svcca`` keeps.
    max_pairs
        Number of pairs of regularizers to try.
    replicates
        Number of bootstrap resamples.
    level
        Nominal coverage of intervals.
    baseline
        Score shuffled rows of y too.

    Attributes
    ----------
    result_
        `CCAResult` of the last fit to a single view.
    results_
        `CCAResult` by view.
    labels_
        By view, the labels behind the columns of y if y was a vector of labels.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 3))
    >>> y = np.column_stack([x[:, 0], rng.normal(size=2000)])
    >>> round(CCA("mean").fit(x, y).score(), 1)
    0.5
    """

    def __init__(
        self,
        variant: str = "mean",
        *,
        epsilons: Epsilons = EPSILONS,
        folds: int = 10,
        trials: Trials = 3,
        seed: int = 0,
        weighting_view: WeightingView | None = None,
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
        self.weighting_view = weighting_view
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
        """Train, choose regularizers and test on arrays.

        Parameters
        ----------
        x
            Shape (rows, dim_x), any real type.
        y
            Shape (rows, dim_y), or labels (rows,), which are one-hot encoded and are also the default `strata`.
        strata
            Labels to spread evenly over the folds.
        groups
            Utterance or speaker of every row; each is kept within one fold.
        resample_by
            Speaker or utterance of every row, for the bootstrap; `groups` if not given.
        name
            Prefix of messages, such as the model and layer.

        Raises
        ------
        MultiresError
            If a value is not finite, a view is constant, or folds cannot be made.
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
        """Fit several y views of the same rows, which share the statistics and decompositions of x; see `fit`.

        Sets ``results_`` by view. If `strata` are not given, the first view of labels serves.
        """
        self._check()
        x = as_matrix(x, "x", name)
        coded, self.labels_ = code_views(views, len(x), name)
        if strata is None and self.labels_:
            strata = coded[next(iter(self.labels_))]
        fold_of_row = assign_folds(len(x), self.folds, seed=self.seed, strata=strata, groups=groups)
        names, cluster_of_row = code_clusters(groups if resample_by is None else resample_by, len(x), name)
        dims = {v: len(self.labels_[v]) if v in self.labels_ else values.shape[1] for v, values in coded.items()}
        if self.baseline:
            order = np.random.default_rng([self.seed, len(x)]).permutation(len(x))
            coded |= {v + SHUFFLED: values[order] for v, values in coded.items()}
            dims |= {v + SHUFFLED: dim for v, dim in dims.items()}
        if self.variant == "cka":
            names, group_of_row = join_clusters(names, cluster_of_row, self.seed)
            statistics = CCAStatistics(x.shape[1], dims, max(len(names), 1)).update(x, coded, group_of_row, name=name)
            return self._set(self._similarities(statistics, names, np.arange(len(names)), name))
        statistics = CCAStatistics(x.shape[1], dims, self.folds).update(x, coded, fold_of_row, name=name)

        def sums(view: str, directions: Directions, test: int) -> VariateSums:
            rows = np.flatnonzero(fold_of_row == test)
            return VariateSums.of_rows(directions, x[rows], coded[view][rows], cluster_of_row[rows], len(names))

        return self._set(self._cross_validate(statistics, np.arange(self.folds), names, sums, name))

    def fit_statistics(
        self,
        statistics: CCAStatistics,
        fold_of_group: npt.ArrayLike | None = None,
        cluster_of_group: npt.ArrayLike | None = None,
        *,
        name: str = "",
    ) -> CCA:
        """Train, choose regularizers and test on statistics gathered from a stream; equivalent to `fit_views`.

        Parameters
        ----------
        statistics
            Groups are folds, or cells (fold, cluster). A view with the suffix `SHUFFLED` is the baseline of the view
            without it.
        fold_of_group
            Fold of every group, 0 ... ; by default every group is a fold. `folds` is not used.
        cluster_of_group
            Speaker or utterance of every group, for the bootstrap.
        name
            Prefix of messages.
        """
        self._check()
        folds = np.arange(statistics.groups) if fold_of_group is None else np.asarray(fold_of_group)
        if folds.shape != (statistics.groups,):
            raise MultiresError(
                f"{prefixed(name)}fold_of_group has shape {folds.shape}: give one fold for each of the {statistics.groups} groups"
            )
        names, codes = code_clusters(cluster_of_group, statistics.groups, name)
        self.labels_ = {}
        if self.variant == "cka":
            return self._set(self._similarities(statistics, names, codes, name))

        def sums(view: str, directions: Directions, test: int) -> VariateSums:
            groups = np.flatnonzero(folds == test)
            return VariateSums.of_groups(directions, statistics, view, groups, codes[groups], len(names))

        return self._set(self._cross_validate(statistics, folds, names, sums, name))

    def score(self, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, *, name: str = "") -> float:
        """The cross-validated score, or with `x` and `y` the score of the fitted projections on these rows.

        The latter is the mean over the projections of all trials, about the means of the new rows.

        Raises
        ------
        MultiresError
            Before `fit`, or if the new rows do not match it.
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
                raise MultiresError(f"{prefixed(name)}y has labels that were not fitted: leave their rows out")
            y = codes
        moments = CCAStatistics(x.shape[1], self.result_.dim_y).update(x, y, name=name).pool([0])
        scores = []
        for trial in self.result_.trials:
            weights = None if self.variant == "layerwise-analysis" else trial.weights
            correlations, shares = self._weighting().held_out(trial.directions, weights, moments)
            scores.append(shares @ correlations)
        return float(np.mean(scores))

    def _check(self) -> None:
        choose("variant", self.variant, VARIANTS)
        if self.weighting_view is not None:
            choose("weighting_view", self.weighting_view, WEIGHTING_VIEWS)
        if not 0 < self.variance <= 1:
            raise MultiresError(f"variance is {self.variance}: give the share of variance to keep, in (0, 1]")
        if self.replicates < 1:
            raise MultiresError(f"replicates is {self.replicates}: it must be at least 1")
        self._pairs(0)

    def _set(self, results: dict[str, CCAResult]) -> CCA:
        """Store the results, each with the score of its shuffled view as baseline."""
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

    def _weighting(self) -> Weighting:
        return Weighting(self.variant, self.weighting_view)

    def _pairs(self, trial: int) -> list[tuple[float, float]]:
        """Pairs of regularizers in the order in which this trial tries them."""
        return epsilon_pairs(self.epsilons, self.seed, trial, self.max_pairs)

    def _cross_validate(
        self,
        statistics: CCAStatistics,
        fold_of_group: np.ndarray,
        names: Sequence[str],
        sums: Callable[[str, Directions, int], VariateSums],
        name: str,
    ) -> dict[str, CCAResult]:
        folds = int(fold_of_group.max()) + 1
        selections: list[Selection] = []
        for index, (dev, test) in enumerate(choose_trials(self.trials, folds, self.seed)):
            left_out = [] if folds == 1 else [dev, test]
            parts = [
                np.flatnonzero(~np.isin(fold_of_group, left_out)),
                np.flatnonzero(fold_of_group == dev),
                np.flatnonzero(fold_of_group == test),
            ]
            pooled = [statistics.pool_x(part) for part in parts]
            trained_x = self._trained_view(*pooled[0], f"{prefixed(name)}x")
            for view in statistics.views:
                moments = [statistics.pool(part, view, scatter_x=x[2]) for part, x in zip(parts, pooled, strict=True)]
                selections.append(
                    self._selection(view, index, (dev, test), trained_x, moments, f"{prefixed(name)}{view}")
                )
        self._train(selections)
        tested = side_by_side(self._test, selections)
        trials = {
            view: [trial for selection, trial in zip(selections, tested, strict=True) if selection.view == view]
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
                weighting_view=self._weighting().used(found[0].directions),
            )
            for view, found in trials.items()
        }

    def _trained_view(self, count: int, mean: np.ndarray, scatter: np.ndarray, name: str) -> TrainedView:
        return TrainedView(count, mean, scatter, self.variant, self.variance, name)

    def _selection(
        self, view: str, index: int, folds: tuple[int, int], x: TrainedView, moments: list[Moments], name: str
    ) -> Selection:
        train, dev, test = moments
        if min(dev.count, test.count) < 2:
            raise MultiresError(
                f"{name}: fold {folds[dev.count > 1]} has fewer than 2 rows: use fewer folds or more data"
            )
        if train.count <= max(len(train.mean_x), len(train.mean_y)) + 1:
            warnings.warn(
                f"{prefixed(name)}{train.count} training rows for {len(train.mean_x)} and {len(train.mean_y)} columns: "
                "training correlations are 1 by construction; give more rows or fewer columns",
                stacklevel=5,
            )
        y = self._trained_view(train.count, train.mean_y, train.yy, name)
        return Selection(view, folds, self._pairs(index), x, y, train, dev, test)

    def _train(self, selections: Sequence[Selection]) -> None:
        """Train every trial of every view at every pair of regularizers, after the eigenvectors that pairs share."""
        wanted = {(id(side), epsilon): (side, epsilon) for each in selections for pair in each.pairs
                  for side, epsilon in zip((each.x, each.y), pair, strict=True)}  # fmt: skip
        # One regularizer first: the others of the same view usually find its eigenvectors there.
        first = {key[0]: pair for key, pair in reversed(wanted.items())}
        for bases in (first, wanted):
            side_by_side(lambda pair: pair[0].basis(pair[1]), list(bases.values()))
        side_by_side(Selection.cross, selections)
        side_by_side(lambda job: self._train_pair(*job), [(each, pair) for each in selections for pair in each.pairs])

    def _train_pair(self, selection: Selection, pair: tuple[float, float]) -> None:
        """Train at one pair of regularizers, and score it on dev."""
        directions = selection.directions(pair)
        weights = self._weighting().trained(directions, selection.train)
        correlations, shares = self._weighting().held_out(directions, weights, selection.dev)
        selection.record(pair, float(shares @ correlations), directions, weights)

    def _test(self, selection: Selection) -> CCATrial:
        """Score the pair that was best on dev."""
        best, directions, weights = selection.best()
        correlations, shares = self._weighting().held_out(directions, weights, selection.test)
        return CCATrial(
            dev=selection.folds[0],
            test=selection.folds[1],
            n_train=selection.train.count,
            n_test=selection.test.count,
            epsilons=best,
            dev_scores={pair: selection.dev_scores[pair] for pair in selection.pairs},
            directions=directions,
            correlations=correlations,
            weights=shares,
            score=float(shares @ correlations),
        )

    def _bootstrap(
        self,
        trials: list[CCATrial],
        view: str,
        names: Sequence[str],
        sums: Callable[[str, Directions, int], VariateSums],
    ) -> Bootstrap | None:
        """Resample the clusters of the test parts, with projections and weights held fixed."""
        if len(names) < MIN_CLUSTERS or view.endswith(SHUFFLED):
            return None
        gathered = [sums(view, trial.directions, trial.test) for trial in trials]
        tested = np.flatnonzero(np.sum([part.count for part in gathered], axis=0))
        if len(tested) < MIN_CLUSTERS:
            return None
        draws = np.zeros((self.replicates, len(names)))
        draws[:, tested] = draw_weights(len(tested), self.replicates, self.seed)
        scores = [part.correlations(draws) @ trial.weights for part, trial in zip(gathered, trials, strict=True)]
        value = float(np.mean([trial.score for trial in trials]))
        return summarize(value, np.nanmean(scores, axis=0), np.asarray(names)[tested], self.seed, self.level)

    def _similarities(
        self, statistics: CCAStatistics, names: list[str], cluster_of_group: np.ndarray, name: str
    ) -> dict[str, CCAResult]:
        """Linear CKA of x with every view."""
        results = {}
        for view, dim in statistics.views.items():
            value, bootstrap = cka_of_view(
                statistics, view, [] if view.endswith(SHUFFLED) else names, cluster_of_group,
                seed=self.seed, replicates=self.replicates, level=self.level, name=name,
            )  # fmt: skip
            n = int(statistics.count.sum())
            results[view] = CCAResult(self.variant, value, (), bootstrap, None, n, statistics.dim_x, dim)
        return results


def cca_score(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    variant: str = "mean",
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample_by: npt.ArrayLike | None = None,
    baseline: bool = True,
    name: str = "",
    **settings: Any,
) -> CCAResult:
    """Cross-validated score of two views, with interval and shuffled baseline.

    `settings` are parameters of `CCA`; the other parameters are those of `CCA.fit`.
    """
    model = CCA(variant, baseline=baseline, **settings)
    return model.fit(x, y, strata=strata, groups=groups, resample_by=resample_by, name=name).result_


def cca_scores(
    x: npt.ArrayLike,
    views: Mapping[str, npt.ArrayLike],
    *,
    variant: str = "mean",
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample_by: npt.ArrayLike | None = None,
    baseline: bool = True,
    name: str = "",
    **settings: Any,
) -> dict[str, CCAResult]:
    """Scores of several y views of the same rows, which share the work on x, by view; see `cca_score`."""
    model = CCA(variant, baseline=baseline, **settings)
    return model.fit_views(x, views, strata=strata, groups=groups, resample_by=resample_by, name=name).results_
