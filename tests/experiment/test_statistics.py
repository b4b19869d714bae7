"""Intervals of contrasts over crossed seeds and speakers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from multires.errors import MultiresError
from multires.experiment.statistics import (
    crossed_bootstrap,
    crossed_interval,
    mixed_model,
    pseudo_values,
    seed_interval,
)


def cells(tables=1, seeds=6, speakers=114, *, of_seeds=0.1, of_speakers=0.1, of_items=1.0, rng=None, equal=False):
    """Contrasts of correct items with mean zero, and totals."""
    rng = rng or np.random.default_rng(0)
    totals = np.full((tables, speakers), 90.0) if equal else rng.poisson(90, (tables, speakers)) + 5.0
    if not equal:
        totals[:, :7] *= 6
    rates = rng.normal(0, of_seeds, (tables, seeds, 1)) + rng.normal(0, of_speakers, (tables, 1, speakers))
    rates = rates + rng.normal(0, of_items, (tables, seeds, speakers)) / np.sqrt(totals)[:, None]
    return rates * totals[:, None], totals


def test_without_speakers_variation_it_is_students_interval_over_seeds():
    of_seeds = np.array([0.1, 0.3, 0.2, 0.15, 0.4, 0.25])
    totals = np.full(20, 10.0)
    found = crossed_interval(of_seeds[:, None] * totals, totals)
    low, high = stats.t.interval(0.95, 5, of_seeds.mean(), stats.sem(of_seeds))
    assert (found.value, found.low, found.high) == pytest.approx((of_seeds.mean(), low, high))
    assert found.df == pytest.approx(5)
    alone = seed_interval(of_seeds)
    assert (alone.low, alone.high) == pytest.approx((low, high))


def test_without_seed_variation_it_is_students_interval_over_speakers():
    of_speakers = np.random.default_rng(0).normal(0.2, 0.1, 30)
    totals = np.full(30, 10.0)
    expected = stats.t.interval(0.95, 29, of_speakers.mean(), stats.sem(of_speakers))
    for seeds in (1, 4):
        found = crossed_interval(np.tile(of_speakers * totals, (seeds, 1)), totals)
        assert (found.low, found.high) == pytest.approx(expected)
    assert np.isnan(crossed_interval(of_speakers[None] * totals, totals).p_seeds)


@pytest.mark.parametrize(("of_seeds", "of_speakers"), [(0.01, 0.01), (0.01, 0.1), (0.1, 0.0), (0.1, 0.1), (0.02, 0.02)])
def test_intervals_cover_as_often_as_they_say(of_seeds, of_speakers):
    found = crossed_interval(*cells(3000, of_seeds=of_seeds, of_speakers=of_speakers))
    assert 0.93 < ((found.low < 0) & (found.high > 0)).mean() < 0.97


def test_the_percentile_bootstrap_is_too_narrow_where_seeds_vary_which_is_why_it_is_a_check_only():
    drawn, totals = cells(200, of_seeds=0.1, of_speakers=0.01)
    replicates = crossed_bootstrap(drawn, totals, draws=300)
    low, high = np.quantile(replicates, [0.025, 0.975], axis=-1)
    assert ((low < 0) & (high > 0)).mean() < 0.93
    found = crossed_interval(drawn, totals)
    # With 6 seeds resampling leaves out a sixth of their variance.
    assert np.median(replicates.std(-1) / found.error) == pytest.approx(np.sqrt(5 / 6), abs=0.05)


def test_the_mixed_model_agrees():
    drawn, totals = cells(1, speakers=40, of_seeds=0.05, of_speakers=0.05, equal=True)
    found = crossed_interval(drawn[0], totals[0])
    value, error = mixed_model(drawn[0], totals[0])
    assert value == pytest.approx(float(found.value), abs=1e-6)
    assert error == pytest.approx(float(found.error), rel=0.03)


def test_the_exact_p_counts_all_flips_of_signs():
    totals = np.full(10, 1.0)
    for seeds in (3, 4, 6):
        values = np.linspace(0.1, 0.3, seeds)[:, None] * totals
        assert crossed_interval(values, totals).p_seeds == pytest.approx(2 / 2**seeds)
    values = np.array([0.3, -0.1, 0.2, 0.05])
    flips = np.array(np.meshgrid(*[(-1, 1)] * 4)).reshape(4, -1)
    expected = (np.abs(values @ flips) >= abs(values.sum()) - 1e-12).mean()
    assert seed_interval(values).p_seeds == pytest.approx(expected)


def test_pseudo_values_of_a_share_are_the_speakers_shares():
    rng = np.random.default_rng(0)
    totals = rng.integers(3, 50, 12).astype(float)
    right = rng.binomial(totals.astype(int), 0.6)
    without = (right.sum() - right) / (totals.sum() - totals)
    found = pseudo_values(right.sum() / totals.sum(), without, totals)
    np.testing.assert_allclose(found, right / totals)


def test_pseudo_values_give_a_correlations_standard_error():
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(80):
        x = rng.normal(size=(40, 5))
        y = x + rng.normal(size=x.shape)
        whole = np.corrcoef(x.ravel(), y.ravel())[0, 1]
        kept = [np.corrcoef(np.delete(x, k, 0).ravel(), np.delete(y, k, 0).ravel())[0, 1] for k in range(40)]
        pseudo = pseudo_values(whole, kept, np.full(40, 5.0))
        values.append(pseudo.mean())
        errors.append(float(crossed_interval(pseudo[None] * 5, np.full(40, 5.0)).error))
    assert np.mean(values) == pytest.approx(np.sqrt(0.5), abs=0.005)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


@given(st.integers(2, 6), st.integers(8, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_interval_does_not_depend_on_order_or_unit(seeds, speakers, seed):
    rng = np.random.default_rng(seed)
    drawn, totals = cells(1, seeds, speakers, rng=rng)
    found = crossed_interval(drawn[0], totals[0])
    order = rng.permutation(speakers)
    moved = crossed_interval(drawn[0][rng.permutation(seeds)][:, order], totals[0][order])
    assert [float(moved.value), float(moved.low)] == pytest.approx([float(found.value), float(found.low)])
    assert float(moved.df) == pytest.approx(float(found.df))
    scaled = crossed_interval(-3 * drawn[0], totals[0])
    assert [float(scaled.low), float(scaled.high)] == pytest.approx([-3 * float(found.high), -3 * float(found.low)])
    assert scaled.p_seeds == pytest.approx(float(found.p_seeds))


@pytest.mark.parametrize(
    ("values", "totals", "words"),
    [(np.zeros((2, 9)), np.ones(8), "shape"), (np.full((2, 9), np.nan), np.ones(9), "not finite"),
     (np.zeros((2, 9)), np.zeros(9), "no speaker")],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_refused(values, totals, words):
    with pytest.raises(MultiresError, match=words):
        crossed_interval(values, totals)


def test_too_few_speakers_or_one_seed_give_no_interval():
    assert np.isnan(crossed_interval(np.zeros((3, 7)), np.ones(7)).low)
    assert np.isnan(seed_interval([0.5]).low)
