from functools import partial

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from multires.errors import MultiresError
from multires.measures import Pieces, fit_kmeans, kmeans
from multires.measures.bootstrap import compare_replicates
from multires.measures.mutual_information import mutual_information, mutual_informations
from multires.runtime.engine import LOCAL


def speech_like(n=2000, dim=32, labels=12, seed=0, spread=1.5):
    """Vectors whose labels overlap, and speakers that shift them."""
    shape = np.random.default_rng(9)
    means = shape.normal(size=(labels, dim))
    rng = np.random.default_rng(seed)
    y = rng.choice(labels, n, p=shape.dirichlet(np.full(labels, 3.0)))
    speakers = rng.integers(0, 30, n)
    shift = 0.4 * shape.normal(size=(30, dim))
    return means[y] + shift[speakers] + spread * rng.normal(size=(n, dim)), y, speakers


TRAIN, _, _ = speech_like(seed=1)
EVALUATION, LABELS, SPEAKERS = speech_like(seed=2)


def test_figures_are_those_of_scikit_learn():
    result = mutual_information(TRAIN, EVALUATION, LABELS, n_clusters=40, seeds=(3,))
    clusters = fit_kmeans(TRAIN, 40, seed=3).predict(EVALUATION)
    bits = mutual_info_score(LABELS, clusters) / np.log(2)
    entropy = mutual_info_score(LABELS, LABELS) / np.log(2)
    assert result.bits == pytest.approx(bits, abs=1e-10)
    assert result.label_entropy == pytest.approx(entropy, abs=1e-10)
    assert result.score == result.normalized == pytest.approx(bits / entropy, abs=1e-10)
    assert result.adjusted == pytest.approx(adjusted_mutual_info_score(LABELS, clusters), abs=1e-10)
    purity = sum(np.bincount(LABELS[clusters == c]).max() for c in set(clusters.tolist())) / len(LABELS)
    assert result.purity == pytest.approx(purity)


def test_separate_clusters_tell_everything():
    labels = np.repeat(np.arange(8), 50)
    x = 100.0 * np.eye(8)[labels] + np.random.default_rng(0).normal(size=(400, 8))
    result = mutual_information(x, x, labels, n_clusters=8)
    assert result.bits == pytest.approx(3)
    assert result.normalized == result.purity == pytest.approx(1)
    assert result.adjusted == pytest.approx(1)


def test_correction_removes_most_of_the_bias_for_unrelated_labels():
    rng = np.random.default_rng(0)
    results = [mutual_information(TRAIN, EVALUATION, rng.integers(0, 12, 2000), n_clusters=20) for _ in range(5)]
    raw, corrected = np.mean([r.bits for r in results]), np.mean([r.corrected for r in results])
    assert raw == pytest.approx(19 * 11 / (2 * 2000 * np.log(2)), rel=0.2), "first-order bias"
    assert abs(corrected) < 0.2 * raw
    assert abs(np.mean([r.adjusted for r in results])) < 0.02


def test_baseline_is_what_shuffled_labels_give():
    result = mutual_information(TRAIN, EVALUATION, LABELS, n_clusters=40)
    clusters = fit_kmeans(TRAIN, 40).predict(EVALUATION)
    rng = np.random.default_rng(7)
    entropy = mutual_info_score(LABELS, LABELS)
    values = [mutual_info_score(rng.permutation(LABELS), clusters) / entropy for _ in range(50)]
    assert result.baseline == pytest.approx(np.mean(values), abs=5 * np.std(values))


def test_one_clustering_serves_several_sets_of_labels():
    both = mutual_informations(
        TRAIN, EVALUATION, {"phones": LABELS, "words": LABELS // 3}, n_clusters=40, seeds=(0, 1), resample_by=SPEAKERS
    )
    for name, labels in [("phones", LABELS), ("words", LABELS // 3)]:
        alone = mutual_information(TRAIN, EVALUATION, labels, n_clusters=40, seeds=(0, 1), resample_by=SPEAKERS)
        assert both[name].runs == alone.runs
        assert both[name].interval == alone.interval
    assert len(both["phones"].runs) == 2
    assert both["phones"].bits == pytest.approx(np.mean([run.bits for run in both["phones"].runs]))


def test_replicates_are_the_figures_of_resampled_rows():
    result = mutual_information(TRAIN, EVALUATION, LABELS, n_clusters=40, resample_by=SPEAKERS, replicates=3)
    clusters = fit_kmeans(TRAIN, 40).predict(EVALUATION)
    draws = np.random.default_rng([0, 30]).multinomial(30, np.full(30, 1 / 30), size=3)
    names = [int(unit) for unit in result.bootstrap.clusters]
    for replicate, draw in zip(result.bootstrap.replicates, draws, strict=True):
        rows = np.concatenate(
            [np.flatnonzero(s == SPEAKERS) for s, m in zip(names, draw, strict=True) for _ in range(m)]
        )
        y = LABELS[rows]
        assert replicate == pytest.approx(mutual_info_score(y, clusters[rows]) / mutual_info_score(y, y), abs=1e-10)
    assert result.interval[0] < result.score < result.interval[1]


def test_paired_comparison():
    near = EVALUATION + 0.01
    a, b = (mutual_information(TRAIN, e, LABELS, n_clusters=40, resample_by=SPEAKERS) for e in (EVALUATION, near))
    low, high = compare_replicates(a.score - b.score, a.bootstrap.replicates, b.bootstrap.replicates)
    assert low <= a.score - b.score <= high
    assert high - low < a.interval[1] - a.interval[0]


def test_same_seed_same_numbers():
    a, b, c = (mutual_information(TRAIN, EVALUATION, LABELS, n_clusters=40, seeds=(s,)) for s in (5, 5, 6))
    assert a.runs == b.runs
    assert a.bits != c.bits


def test_reduction_is_said_and_recorded():
    with pytest.warns(UserWarning, match=r"encoder\.0\.3: train: 500 clusters were reduced to 200: 2000 training rows"):
        result = mutual_information(TRAIN, EVALUATION, LABELS, name="encoder.0.3")
    assert (result.n_clusters, result.requested, result.n, result.n_train) == (200, 500, 2000, 2000)


@pytest.mark.parametrize("dim", [3, 100])
def test_no_more_clusters_than_different_rows(dim):
    x = np.random.default_rng(0).normal(size=(5, dim))[np.arange(500) % 5]
    with pytest.warns(UserWarning, match="reduced to 5"):
        model = fit_kmeans(x, 20)
    assert model.n_clusters == 5
    assert model.inertia == pytest.approx(0, abs=1e-4)


def test_inertia_is_as_good_as_full_k_means():
    ours = np.mean([fit_kmeans(TRAIN, 60, seed=seed).inertia for seed in range(4)])
    theirs = np.mean([SklearnKMeans(60, n_init=1, random_state=s).fit(TRAIN).inertia_ for s in range(4)]) / len(TRAIN)
    assert ours <= 1.015 * theirs


@pytest.mark.slow
def test_as_good_as_mini_batch_k_means():
    train, _, _ = speech_like(n=12_000, seed=3, labels=39)
    evaluation, labels, _ = speech_like(n=6_000, seed=4, labels=39)
    ours, theirs = (
        mutual_information(train, evaluation, labels, n_clusters=200, seeds=(0, 1, 2), method=m)
        for m in ("lloyd", "minibatch")
    )
    assert ours.bits >= theirs.bits - 0.01
    assert np.mean([r.inertia for r in ours.runs]) <= np.mean([r.inertia for r in theirs.runs])


def in_pieces(x, sizes):
    parts = np.split(x, np.cumsum(sizes)[:-1])
    return Pieces([partial(np.copy, part) for part in parts], sizes, x.shape[1], LOCAL)


@pytest.mark.parametrize("dim", [32, 100])
@pytest.mark.parametrize("lost", [0, 6])
def test_rows_in_pieces_give_the_clusters_of_all_rows(monkeypatch, dim, lost):
    """Also where centers lose all their rows, and start again from the rows that are farthest away."""
    seed_centers = kmeans._seed_centers

    def some_far_away(*arguments):
        centers = seed_centers(*arguments).clone()
        centers[:lost] += 1e4
        return centers

    monkeypatch.setattr(kmeans, "_seed_centers", some_far_away)
    train, _, _ = speech_like(n=3_000, dim=dim, seed=1)
    evaluation, labels, speakers = speech_like(n=1_000, dim=dim, seed=2)
    pieces = in_pieces(train, [700, 1, 1_299, 0, 1_000])
    whole, read = fit_kmeans(train, 40, seed=5), fit_kmeans(pieces, 40, seed=5)
    np.testing.assert_allclose(read.origin, whole.origin, atol=1e-12)
    np.testing.assert_allclose(read.centers, whole.centers, atol=1e-4)
    assert read.inertia == pytest.approx(whole.inertia, rel=1e-6)
    other = in_pieces(evaluation, [400, 600])
    np.testing.assert_array_equal(read.predict(other), whole.predict(evaluation))
    settings = {"n_clusters": 40, "seeds": (5,), "resample_by": speakers}
    results = [mutual_information(*data, labels, **settings) for data in ((train, evaluation), (pieces, other))]
    assert results[0].runs[0].bits == pytest.approx(results[1].runs[0].bits, abs=1e-12)
    assert results[0].interval == pytest.approx(results[1].interval, abs=1e-12)
    assert (results[1].n, results[1].n_train) == (1_000, 3_000)


def test_what_pieces_cannot_do_is_said():
    pieces = in_pieces(TRAIN, [1_000, 1_000])
    with pytest.raises(MultiresError, match="minibatch holds all rows: use lloyd"):
        fit_kmeans(pieces, 10, method="minibatch")
    with pytest.raises(MultiresError, match="x has 32 columns: the clusters have 20"):
        fit_kmeans(TRAIN[:, :20], 10).predict(pieces)
    spoiled = TRAIN.copy()
    spoiled[1_500, 3] = np.nan
    with pytest.raises(MultiresError, match=r"middle: x has NaN or infinity in row 500 \(1 rows"):
        fit_kmeans(in_pieces(spoiled, [1_000, 1_000]), 10, name="middle")


def test_prediction_is_the_nearest_center():
    model = fit_kmeans(TRAIN, 30)
    centers = model.centers.numpy() + model.origin
    distances = ((EVALUATION[:, None] - centers) ** 2).sum(-1)
    assert (model.predict(EVALUATION) == distances.argmin(1)).mean() > 0.999


def test_offsets_single_and_half_precision():
    plain = fit_kmeans(TRAIN, 30).predict(TRAIN)
    np.testing.assert_array_equal(fit_kmeans(TRAIN + 1e5, 30).predict(TRAIN + 1e5), plain)
    half = TRAIN.astype(np.float16)
    np.testing.assert_array_equal(
        fit_kmeans(half, 30).predict(half), fit_kmeans(half.astype(np.float32), 30).predict(half)
    )


def test_labels_seen_once():
    labels = np.where(np.arange(2000) < 5, 1000 + np.arange(2000), LABELS)
    assert np.isfinite(mutual_information(TRAIN, EVALUATION, labels, n_clusters=40).corrected)


def test_random_state_outside_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    fit_kmeans(TRAIN, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_clear_errors():
    bad = EVALUATION.copy()
    bad[7, 3] = np.nan
    for call, message in [
        (
            lambda: mutual_information(TRAIN, bad, LABELS, n_clusters=9, name="middle.1"),
            "middle.1: evaluation: x has NaN",
        ),
        (lambda: mutual_information(bad, EVALUATION, LABELS, n_clusters=9), "train: x has NaN or infinity in row 7"),
        (lambda: mutual_information(TRAIN, EVALUATION, LABELS * 0, n_clusters=9), "at least two"),
        (lambda: mutual_information(TRAIN, EVALUATION, LABELS[:-1], n_clusters=9), "one label for each of the 2000"),
        (lambda: mutual_information(TRAIN, EVALUATION[:, :5], LABELS, n_clusters=9), "5 columns: the clusters have 32"),
        (lambda: mutual_information(TRAIN, EVALUATION, LABELS, seeds=()), "seeds is empty"),
        (lambda: mutual_information(TRAIN, EVALUATION, LABELS, n_clusters=0), "n_clusters is 0"),
        (lambda: mutual_information(TRAIN, EVALUATION, LABELS, method="em"), "unknown method 'em'"),
        (lambda: fit_kmeans(TRAIN[:0], 3), "rows is 0"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
