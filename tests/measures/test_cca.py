import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cross_decomposition import CCA as SklearnCCA

from multires.errors import MultiresError
from multires.measures import (
    CCA,
    SHUFFLED,
    VARIANTS,
    CCAStatistics,
    assign_folds,
    cca_score,
    cca_scores,
    choose_trials,
    linear_cka,
)
from multires.measures.bootstrap import compare_replicates
from tests.measures import protocol_reference as reference


def views(n=1200, dim_x=14, dim_y=9, shared=4, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, shared))
    x = np.hstack([common, rng.normal(size=(n, dim_x - shared))]) @ rng.normal(size=(dim_x, dim_x)) + 3
    y = np.hstack([common + noise * rng.normal(size=(n, shared)), rng.normal(size=(n, dim_y - shared))])
    return x, y @ rng.normal(size=(dim_y, dim_y)) - 1


def labeled(n=1300, dim=20, labels=12, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, n)
    return rng.normal(size=(n, dim)) + 0.8 * rng.normal(size=(labels, dim))[y] + 2, y


@pytest.mark.parametrize(("dim_x", "dim_y"), [(14, 9), (9, 14), (10, 10)])
@pytest.mark.parametrize("weights_from", ["smaller", "x", "y", "both"])
def test_layerwise_analysis_is_the_public_protocol(dim_x, dim_y, weights_from):
    x, y = views(dim_x=dim_x, dim_y=dim_y)
    model = CCA("layerwise-analysis", weighting_view=weights_from, seed=3).fit(x, y)
    expected = reference.cross_validated(
        x,
        y,
        assign_folds(len(x), 10, seed=3),
        choose_trials(3, 10, 3),
        model._pairs,
        reference.public_train,
        lambda *a: reference.public_score(*a, weights_from=weights_from),
    )
    assert len(model._pairs(0)) == 6
    np.testing.assert_allclose(model.result_.trial_scores, expected, atol=1e-8, rtol=0)


def test_layerwise_analysis_of_labels_is_the_public_protocol_but_for_rounding_noise():
    x, labels = labeled()
    one_hot = np.eye(12)[labels]
    model = CCA("layerwise-analysis").fit(x, labels)
    arguments = (x, one_hot, assign_folds(len(x), strata=labels), choose_trials(3, 10), model._pairs)
    exact = reference.cross_validated(
        *arguments, lambda *a: reference.public_train(*a, inverse=reference.exact_inverse_root), reference.public_score
    )
    np.testing.assert_allclose(model.result_.trial_scores, exact, atol=1e-8, rtol=0)
    clean = reference.cross_validated(*arguments, reference.public_train, reference.public_score)
    np.testing.assert_allclose(clean, exact, atol=1e-5, rtol=0, err_msg="a pseudo-inverse of 1e10 costs digits")
    literal = reference.cross_validated(
        *arguments, reference.public_train, lambda *a: reference.public_score(*a, zero_constant=False)
    )
    constant = [trial.weights[-1] for trial in model.result_.trials]
    assert (np.abs(literal - clean) <= constant).all()
    assert min(constant) > 0.5 / 12, "the public code gives the constant direction a direction's weight"


def test_public_score_depends_on_signs_only_through_means():
    """What the docstring of `CCA` says of signs: they matter where columns have means, and not otherwise."""
    for centered in (False, True):
        x, y = views()
        folds = assign_folds(len(x))
        if centered:
            for rows in (folds == f for f in range(10)):
                x[rows] -= x[rows].mean(0)
                y[rows] -= y[rows].mean(0)
        model = CCA("layerwise-analysis").fit(x, y)
        for signs in ("lapack", 0, 1):
            found = reference.cross_validated(
                x, y, folds, choose_trials(3, 10), model._pairs,
                lambda *a, signs=signs: reference.public_train(*a, signs=signs), reference.public_score,
            )  # fmt: skip
            apart = np.abs(found - model.result_.trial_scores).max()
            assert apart < 1e-8 if centered else apart < 0.05


@pytest.mark.parametrize(("dim_x", "dim_y"), [(14, 9), (9, 14)])
def test_projection_weights_come_from_the_named_view(dim_x, dim_y):
    x, y = views(dim_x=dim_x, dim_y=dim_y)
    default, x_view, y_view = (CCA("pwcca", weighting_view=view).fit(x, y).result_ for view in (None, "x", "y"))
    assert default.trial_scores == x_view.trial_scores != y_view.trial_scores
    assert (default.weighting_view, y_view.weighting_view) == ("x", "y")
    smaller = CCA("pwcca", weighting_view="smaller").fit(x, y).result_
    assert smaller.weighting_view == ("x" if dim_x < dim_y else "y")
    assert CCA("layerwise-analysis").fit(x, y).result_.weighting_view == smaller.weighting_view
    assert CCA().fit(x, y).result_.weighting_view == ""


def test_layerwise_analysis_leaves_out_columns_below_epsilon():
    x, y = views()
    x[:, 0] *= 3e-6 * x.std() / x[:, 0].std()
    model = CCA("layerwise-analysis", epsilons=[(1e-10, 1e-10), (1e-12, 1e-12)]).fit(x, y)
    expected = reference.cross_validated(
        x,
        y,
        assign_folds(len(x)),
        choose_trials(3, 10),
        model._pairs,
        reference.public_train,
        reference.public_score,
    )
    np.testing.assert_allclose(model.result_.trial_scores, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("variant", "keep", "weights"), [("mean", None, "mean"), ("pwcca", None, "projection"), ("svcca", 0.9, "mean")]
)
@pytest.mark.parametrize(("dim_x", "dim_y"), [(14, 9), (9, 14)])
def test_variants_are_their_textbook_definitions(variant, keep, weights, dim_x, dim_y):
    x, y = views(dim_x=dim_x, dim_y=dim_y)
    model = CCA(variant, variance=0.9, seed=1, weighting_view="smaller").fit(x, y)
    expected = reference.cross_validated(
        x,
        y,
        assign_folds(len(x), 10, seed=1),
        choose_trials(3, 10, 1),
        model._pairs,
        lambda *a: reference.textbook_train(*a, keep=keep),
        lambda *a: reference.textbook_score(*a, weights=weights),
    )
    np.testing.assert_allclose(model.result_.trial_scores, expected, atol=1e-8, rtol=0)


def test_cka_is_its_kernel_form():
    x, y = views()
    kx, ky = (v @ v.T for v in (x - x.mean(0), y - y.mean(0)))
    expected = (kx * ky).sum() / (np.linalg.norm(kx) * np.linalg.norm(ky))
    assert cca_score(x, y, variant="cka").score == pytest.approx(expected, abs=1e-10)


def in_sample(x, y, **more):
    return CCA("mean", folds=1, epsilons=[(0.0, 0.0)], **more).fit(x, y).result_.trials[0]


def test_correlations_are_those_of_scikit_learn():
    x, y = views(n=400, dim_x=5, dim_y=3, shared=3)
    fitted = SklearnCCA(n_components=3, max_iter=20000, tol=1e-14).fit(x, y)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(v.T for v in fitted.transform(x, y)), strict=True)]
    np.testing.assert_allclose(in_sample(x, y).correlations, expected, atol=1e-6)


def test_correlations_are_those_of_cca_zoo():
    linear = pytest.importorskip("cca_zoo.linear")
    x, y = views(n=400, dim_x=6, dim_y=4)
    variates = linear.CCA(n_components=4).fit_transform([x, y])
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(v.T for v in variates), strict=True)]
    np.testing.assert_allclose(in_sample(x, y).correlations, expected, atol=1e-6)


def test_gaussian_views_with_known_correlations():
    rng = np.random.default_rng(0)
    known = np.array([0.9, 0.6, 0.3])
    a = rng.normal(size=(100_000, 3))
    b = known * a + np.sqrt(1 - known**2) * rng.normal(size=a.shape)
    x, y = a @ rng.normal(size=(3, 3)), b @ rng.normal(size=(3, 3))
    np.testing.assert_allclose(in_sample(x, y).correlations, known, atol=0.01)
    assert cca_score(x, y, variant="mean").score == pytest.approx(known.mean(), abs=0.01)


@pytest.mark.parametrize("variant", ["mean", "pwcca", "svcca"])
def test_views_equal_up_to_an_invertible_map_score_one(variant):
    x, _ = views()
    turn = np.random.default_rng(1).normal(size=(14, 14))
    assert cca_score(x, x @ turn + 5, variant=variant, variance=1.0).score == pytest.approx(1, abs=1e-6)


def test_independent_views_score_chance():
    rng = np.random.default_rng(0)
    n, p, q = 2000, 12, 7
    squares, scores = [], []
    for _ in range(20):
        x, y = rng.normal(size=(n, p)), rng.normal(size=(n, q))
        squares.append((in_sample(x, y).directions.correlations ** 2).sum())
        scores.append(cca_score(x, y, variant="mean", baseline=False).score)
    assert np.mean(squares) == pytest.approx(p * q / (n - 1), rel=0.1), "expectation of Pillai's trace"
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(20), "held-out scores center on 0"


def test_mean_score_of_labels_counts_as_many_directions_as_there_are():
    x, labels = labeled(labels=5)
    assert len(CCA("mean").fit(x, labels).result_.trials[0].correlations) == 4


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), variant=st.sampled_from(VARIANTS))
def test_scores_are_bounded_and_repeatable(seed, variant):
    x, y = views(n=300, dim_x=6, dim_y=4, seed=seed)
    a, b = (CCA(variant, seed=seed, baseline=True).fit(x, y).result_ for _ in range(2))
    assert (a.score, a.trial_scores, a.baseline) == (b.score, b.trial_scores, b.baseline)
    assert -1 <= a.score <= 1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_mean_score_is_invariant_to_invertible_maps_and_symmetric(seed):
    x, y = views(n=300, dim_x=6, dim_y=4, seed=seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    turn = turn * np.array([1, 2, 3, 0.1, 1, 5])
    score = CCA("mean", epsilons=[(0, 0)]).fit(x, y).score()
    assert CCA("mean", epsilons=[(0, 0)]).fit(x @ turn + 7, y).score() == pytest.approx(score, abs=1e-8)
    assert CCA("mean", epsilons=[(0, 0)]).fit(y, x).score() == pytest.approx(score, abs=1e-8)
    cka = CCA("cka").fit(x, y).score()
    orthogonal, _ = np.linalg.qr(turn)
    assert CCA("cka").fit(3 * x @ orthogonal, y).score() == pytest.approx(cka, abs=1e-8)
    assert CCA("cka").fit(y, x).score() == pytest.approx(cka, abs=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_labels_stand_for_their_one_hot_matrix(variant):
    x, labels = labeled()
    words = np.array([f"w{label:02d}" for label in labels])
    by_label = CCA(variant).fit(x, words)
    by_matrix = CCA(variant).fit(x, np.eye(12)[labels], strata=labels)
    assert by_label.score() == pytest.approx(by_matrix.score(), abs=1e-10)
    assert by_label.labels_["y"].tolist() == sorted(set(words))


def test_several_views_share_x_and_give_what_each_gives_alone():
    x, labels = labeled()
    other = views(n=len(x))[1]
    together = cca_scores(x, {"word": labels, "other": other}, seed=2)
    assert set(together) == {"word", "other"}
    assert together["word"].score == pytest.approx(cca_score(x, labels, seed=2).score, abs=1e-12)
    alone = cca_score(x, other, strata=labels, seed=2)
    assert together["other"].score == pytest.approx(alone.score, abs=1e-12)
    assert together["other"].baseline == pytest.approx(alone.baseline, abs=1e-12)


@pytest.mark.parametrize("variant", ["pwcca", "layerwise-analysis"])
def test_statistics_of_fold_and_speaker_cells_give_what_arrays_give(variant):
    x, labels = labeled()
    speakers = np.arange(len(x)) % 24
    expected = cca_score(x, labels, variant=variant, groups=speakers, replicates=50)
    folds = assign_folds(len(x), groups=speakers)
    fold_of_speaker = np.array([folds[speakers == s][0] for s in range(24)])
    order = np.random.default_rng([0, len(x)]).permutation(len(x))
    statistics = CCAStatistics(20, {"y": 12, "y" + SHUFFLED: 12}, 24)
    for rows in np.array_split(np.arange(len(x)), 7):
        statistics.update(x[rows], {"y": labels[rows], "y" + SHUFFLED: labels[order[rows]]}, speakers[rows])
    result = CCA(variant, replicates=50).fit_statistics(statistics, fold_of_speaker, np.arange(24)).result_
    assert result.score == pytest.approx(expected.score, abs=1e-10)
    assert result.baseline == pytest.approx(expected.baseline, abs=1e-10)
    np.testing.assert_allclose(result.interval, expected.interval, atol=1e-10)


def test_bootstrap_replicates_are_the_scores_of_resampled_rows():
    x, y = views()
    speakers = np.arange(len(x)) % 15
    result = cca_score(x, y, resample_by=speakers, replicates=5, trials=1)
    trial, folds = result.trials[0], assign_folds(len(x))
    draws = np.random.default_rng([0, 15]).multinomial(15, np.full(15, 1 / 15), size=5)
    test = folds == trial.test
    names = np.array([int(unit) for unit in result.bootstrap.clusters])
    for replicate, draw in zip(result.bootstrap.replicates, draws, strict=True):
        rows = np.concatenate(
            [np.flatnonzero(test & (speakers == s)) for s, m in zip(names, draw, strict=True) for _ in range(m)]
        )
        a, b = x[rows] @ trial.directions.x.projection.T, y[rows] @ trial.directions.y.projection.T
        correlations = [np.corrcoef(i, j)[0, 1] for i, j in zip(a.T, b.T, strict=True)]
        assert replicate == pytest.approx(trial.weights @ correlations, abs=1e-10)


def test_cka_replicates_are_the_scores_of_resampled_rows():
    x, y = views(n=300)
    speakers = np.arange(300) % 10
    result = cca_score(x, y, variant="cka", resample_by=speakers, replicates=3)
    draws = np.random.default_rng([0, 10]).multinomial(10, np.full(10, 1 / 10), size=3)
    for replicate, draw in zip(result.bootstrap.replicates, draws, strict=True):
        rows = np.concatenate([np.flatnonzero(speakers == s) for s, m in enumerate(draw) for _ in range(m)])
        again = CCAStatistics(14, 9).update(x[rows], y[rows]).pool([0])
        assert replicate == pytest.approx(linear_cka(again), abs=1e-10)


@pytest.mark.slow
def test_interval_covers_the_score_on_endless_test_data():
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(4, 4))

    def sample(speakers, each=40):
        shift = np.repeat(rng.normal(size=(speakers, 4)) * 0.5, each, axis=0)
        x = rng.normal(size=(speakers * each, 4)) + shift
        return x, (x @ turn + 4 * rng.normal(size=x.shape)), np.repeat(np.arange(speakers), each)

    endless = sample(5000)[:2]
    hits = 0
    for seed in range(100):
        x, y, speakers = sample(60)
        model = CCA("mean", seed=seed, replicates=300, trials=10).fit(x, y, groups=speakers)
        low, high = model.result_.interval
        hits += low <= model.score(*endless) <= high
    assert 85 <= hits <= 100, "nominal coverage is 95 %"


def test_paired_comparison_is_narrower_than_unpaired():
    x, y = views(noise=1.5)
    speakers = np.arange(len(x)) % 40
    nearly = x + 0.01 * np.random.default_rng(1).normal(size=x.shape)
    a, b = (cca_score(v, y, resample_by=speakers, seed=1) for v in (x, nearly))
    assert a.bootstrap.clusters == b.bootstrap.clusters
    low, high = compare_replicates(a.score - b.score, a.bootstrap.replicates, b.bootstrap.replicates)
    assert low <= a.score - b.score <= high
    assert high - low < 0.2 * (a.interval[1] - a.interval[0])


def test_too_few_clusters_give_no_interval():
    x, y = views()
    assert cca_score(x, y, resample_by=np.arange(len(x)) % 3).interval is None


def test_groups_stay_on_one_side():
    """Where a group is recognizable from x and y alike, splitting it inflates the score."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 20)
    marks_x, marks_y = rng.normal(size=(60, 5)), rng.normal(size=(60, 5))
    x = marks_x[groups] + 0.3 * rng.normal(size=(1200, 5))
    y = marks_y[groups] + 0.3 * rng.normal(size=(1200, 5))
    assert cca_score(x, y, variant="mean").score > cca_score(x, y, variant="mean", groups=groups).score + 0.1


def test_score_of_new_rows():
    x, y = views(n=4000)
    model = CCA().fit(x[:2000], y[:2000])
    assert model.score(x[2000:], y[2000:]) == pytest.approx(model.score(), abs=0.05)
    assert clone(model).get_params() == model.get_params()
    x, labels = labeled()
    model = CCA("layerwise-analysis").fit(x, labels)
    assert abs(model.score(x, labels) - model.score()) < 0.1
    with pytest.raises(MultiresError, match="labels that were not fitted"):
        model.score(x, labels + 1)


# Hard inputs


@pytest.mark.parametrize("variant", VARIANTS)
def test_constant_and_duplicated_columns_change_nothing(variant):
    x, y = views()
    harder = np.hstack([x, np.full((len(x), 2), 0.1), x[:, :3]])
    score, hard = (CCA(variant, weighting_view="y").fit(v, y).score() for v in (x, harder))
    if variant == "mean":
        assert hard == pytest.approx(score, abs=1e-6)
    else:
        assert np.isfinite(hard)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rank_deficient_views(variant):
    x, y = views()
    x = x[:, :5] @ np.random.default_rng(0).normal(size=(5, 30))
    score = CCA(variant).fit(x, y).score()
    assert np.isfinite(score)
    if variant == "mean":
        model = CCA(variant).fit(x, y)
        assert len(model.result_.trials[0].correlations) == 5
        assert score == pytest.approx(CCA(variant).fit(views()[0][:, :5], y).score(), abs=1e-6)


@pytest.mark.parametrize("variant", ["mean", "pwcca", "svcca", "layerwise-analysis"])
def test_fewer_rows_than_columns_warn_and_score_near_chance(variant):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 100)), rng.normal(size=(60, 3))
    with pytest.warns(UserWarning, match=r"HuBERT/encoder\.0\.3.*48 training rows for 100"):
        result = cca_score(x, y, variant=variant, name="HuBERT/encoder.0.3", baseline=False)
    assert abs(result.score) < 0.8


def test_a_million_to_one_in_scale():
    x, y = views()
    scaled = x * np.geomspace(1e-3, 1e3, 14)
    for variant in ("mean", "pwcca"):
        a, b = (CCA(variant, weighting_view="y").fit(v, y).score() for v in (x, scaled))
        assert b == pytest.approx(a, abs=1e-8)
    for variant in ("svcca", "layerwise-analysis", "cka"):
        assert np.isfinite(CCA(variant).fit(scaled, y).score())


def test_large_offsets_cost_no_precision():
    x, y = views()
    assert CCA("mean").fit(x + 1e6, y - 1e6).score() == pytest.approx(CCA("mean").fit(x, y).score(), abs=1e-7)


def test_float16_is_computed_in_float64():
    x, y = views()
    half = x.astype(np.float16)
    assert CCA().fit(half, y).score() == CCA().fit(half.astype(np.float64), y).score()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["x", "y"])
def test_values_that_are_not_finite_are_named(bad, side):
    x, y = views()
    (x if side == "x" else y)[17, 2] = bad
    with pytest.raises(MultiresError, match=rf"encoder\.0\.3: {side} has NaN or infinity in row 17"):
        cca_score(x, y, name="encoder.0.3")


def test_labels_seen_once_and_missing_from_a_part_are_fine():
    x, labels = labeled()
    labels = np.where(np.arange(len(x)) < 3, 100 + np.arange(len(x)), labels)
    for variant in VARIANTS:
        assert np.isfinite(cca_score(x, labels, variant=variant).score)


def test_clear_errors():
    x, y = views()
    with pytest.raises(MultiresError, match="one label only"):
        cca_score(x, np.zeros(len(x), int))
    with pytest.raises(MultiresError, match="x does not vary"):
        cca_score(np.full_like(x, 0.1), y)
    with pytest.raises(MultiresError, match="does not vary"):
        cca_score(np.ones_like(x), y, variant="cka")
    with pytest.raises(MultiresError, match="1200 rows but view 'y' has 1199"):
        cca_score(x, y[:-1])
    with pytest.raises(MultiresError, match="unknown variant 'cca'"):
        cca_score(x, y, variant="cca")
    with pytest.raises(MultiresError, match="vector of floats"):
        cca_score(x, y[:, 0])
    with pytest.raises(MultiresError, match="5 rows cannot be split into 10 folds"):
        cca_score(x[:5], y[:5])
    with pytest.raises(MultiresError, match="use fewer folds"):
        cca_score(x[:10], y[:10])
    with pytest.raises(MultiresError, match="epsilons"):
        CCA(epsilons=()).fit(x, y)
    with pytest.raises(MultiresError, match="call fit first"):
        CCA().score()


def test_explicit_trials_and_pairs():
    x, y = views()
    model = CCA(trials=[(0, 1), (5, 2)], epsilons=[(1e-4, 1e-5)]).fit(x, y)
    assert [(t.dev, t.test, t.epsilons) for t in model.result_.trials] == [(0, 1, (1e-4, 1e-5)), (5, 2, (1e-4, 1e-5))]


def test_no_warnings_in_ordinary_use():
    x, y = views()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for variant in VARIANTS:
            cca_score(x, y, variant=variant, resample_by=np.arange(len(x)) % 40, replicates=20)
