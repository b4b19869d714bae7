"""Medians with intervals, and refusal of noise."""

import numpy as np
import pandas as pd
import pytest

from multires.efficiency import estimates
from multires.errors import MultiresError


def test_interval_holds_the_median_of_noisy_repeats_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        found = estimates.estimate(rng.lognormal(0.0, 0.05, size=15), seed=seed, tolerance=np.inf)
        hits += found.low <= 1.0 <= found.high
    assert 0.90 <= hits / 200 <= 0.995


def test_noise_is_refused_with_its_reason():
    values = np.array([1.0, 3.0, 0.4, 2.0, 0.7, 5.0])
    found = estimates.estimate(values, tolerance=0.15)
    assert found.withheld
    assert np.isnan([found.median, found.low, found.high]).all()
    assert "too noisy" in found.note
    assert "15%" in found.note
    assert estimates.estimate(1 + 0.01 * values, tolerance=0.15).note == ""


def test_few_repeats_give_no_number():
    assert "too few" in estimates.estimate(np.ones(3), tolerance=1.0).note


def test_null_ratio_compares_a_model_with_itself():
    times = pd.DataFrame({"name": ["a"] * 6, "repeat": range(6), "seconds": [2.0] * 6})
    assert estimates.null_ratio(times, "a").median == 1.0


def test_a_name_that_was_not_timed():
    with pytest.raises(MultiresError, match="'b' was not timed"):
        estimates.ratios(pd.DataFrame({"name": ["a"], "repeat": [0], "seconds": [1.0]}), "b", "a")
