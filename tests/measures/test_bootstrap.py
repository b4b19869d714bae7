import numpy as np
import pytest

from multires.errors import MultiresError
from multires.measures.bootstrap import (
    MIN_CLUSTERS,
    code_clusters,
    compare_replicates,
    draw_blocks,
    draw_weights,
    ratio_bootstrap,
    resampling_clusters,
    summarize,
)


def test_interval_matches_the_normal_interval_of_cluster_means():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.3, 0.9, 40)
    correct = (rng.random((40, 500)) < rates[:, None]).astype(float)
    clusters = np.repeat(np.arange(40), 500)
    low, high = ratio_bootstrap(correct.ravel(), np.ones(correct.size), clusters, seed=0, replicates=4000).interval
    error = correct.mean(1).std(ddof=1) / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    single = ratio_bootstrap(correct.ravel(), np.ones(correct.size), seed=0, replicates=200)
    assert single.high - single.low < (high - low) / 3


@pytest.mark.parametrize("clusters", [1, MIN_CLUSTERS - 1])
def test_too_few_clusters_give_no_interval(clusters):
    member = np.arange(70) % clusters
    found = ratio_bootstrap(np.arange(70.0), np.ones(70), member, seed=0)
    assert np.isnan(found.interval).all()
    assert np.isfinite(found.replicates).all()
    assert np.isfinite(ratio_bootstrap(np.arange(70.0), np.ones(70), np.arange(70) % MIN_CLUSTERS, seed=0).low)


def test_replicates_are_ratios_of_resampled_items():
    rng = np.random.default_rng(1)
    member = rng.integers(0, 9, 60)
    top, bottom = rng.random(60), rng.integers(1, 4, 60)
    found = ratio_bootstrap(top, bottom, member, seed=5, replicates=20)
    for replicate, draw in zip(found.replicates, draw_weights(9, 20, 5), strict=True):
        items = np.concatenate([np.flatnonzero(member == c) for c in range(9) for _ in range(int(draw[c]))])
        assert replicate == pytest.approx(top[items].sum() / bottom[items].sum())


def test_blocks_of_draws_do_not_change_them():
    whole = draw_weights(600_000, 3, seed=2)
    rng = np.random.default_rng([2, 600_000])
    np.testing.assert_array_equal(whole, rng.multinomial(600_000, np.full(600_000, 1 / 600_000), size=3))
    assert len(list(draw_blocks(600_000, 3, 2))) == 3


def test_bias_of_resampling_is_shifted_away():
    found = summarize(1.0, np.linspace(2, 3, 1001), np.arange(10), seed=0, level=0.9)
    assert found.interval == pytest.approx((0.55, 1.45))


def test_nominal_coverage():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        speakers = np.repeat(np.arange(40), 8)
        values = (rng.normal(size=40)[:, None] + rng.normal(size=(40, 8))).ravel()
        found = ratio_bootstrap(values, np.ones(320), speakers, seed=seed, replicates=300)
        hits += found.low <= 0 <= found.high
    assert 0.89 <= hits / 300 <= 0.98


def test_speakers_are_resampled_if_there_are_enough():
    utterances = np.arange(60)
    assert resampling_clusters(np.arange(60) % 20, utterances)[1] == "speaker"
    assert resampling_clusters(np.arange(60) % 19, utterances)[1] == "utterance"


def test_clear_errors():
    for call, message in [
        (lambda: compare_replicates(0.0, np.zeros(3), np.zeros(4)), "cannot be paired"),
        (lambda: summarize(0.0, np.zeros(3), np.arange(9), 0, level=95), "level is 95"),
        (lambda: code_clusters(np.zeros(3), 4, "layer"), "layer: clusters to resample have shape"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
