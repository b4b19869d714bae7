"""Time over duration: known coefficients are recovered."""

import numpy as np
import pandas as pd
import pytest

from multires.efficiency import duration_fit
from multires.errors import MultiresError


def _synthetic(coefficients: dict[str, tuple[float, float, float]], noise: float, repeats: int = 9) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for duration in (1.0, 2.0, 5.0, 10.0, 20.0, 60.0):
        for repeat in range(repeats):
            for name, (a, b, c) in coefficients.items():
                seconds = (a + b * duration + c * duration**2) * rng.lognormal(0.0, noise)
                rows.append((name, repeat, seconds, duration))
    return pd.DataFrame(rows, columns=["name", "repeat", "seconds", "duration"])


def test_fit_recovers_known_coefficients():
    fit = duration_fit.fit_duration(_synthetic({"x": (0.05, 0.2, 0.001)}, 0.0))["x"]
    np.testing.assert_allclose(fit.coefficients, [0.05, 0.2, 0.001], rtol=1e-9)
    np.testing.assert_allclose(fit.at(np.array([30.0]))[0], 0.05 + 6 + 0.9, rtol=1e-9)


def test_fit_intervals_hold_the_truth_under_noise():
    fit = duration_fit.fit_duration(_synthetic({"x": (0.05, 0.2, 0.001)}, 0.02))["x"]
    for truth, (low, high) in zip((0.05, 0.2, 0.001), fit.interval(), strict=True):
        assert low <= truth <= high


def test_where_downsampling_starts_to_pay():
    """0.1 s more overhead, 0.02 s less a second: it pays from 5 s on."""
    fits = duration_fit.fit_duration(_synthetic({"cheap": (0.2, 0.18, 0.001), "dear": (0.1, 0.20, 0.001)}, 0.0))
    value, low, high = duration_fit.pays_from(fits["cheap"], fits["dear"])
    assert value == pytest.approx(5.0, rel=1e-4)
    assert low <= value * (1 + 1e-6)
    assert high >= value * (1 - 1e-6)
    assert duration_fit.pays_from(fits["dear"], fits["cheap"])[0] == np.inf
    ratio = duration_fit.fitted_ratio(fits["cheap"], fits["dear"], np.array([5.0]))
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-6)


def test_always_cheaper_pays_from_the_start():
    fits = duration_fit.fit_duration(_synthetic({"cheap": (0.1, 0.1, 0.001), "dear": (0.1, 0.2, 0.001)}, 0.0))
    assert duration_fit.pays_from(fits["cheap"], fits["dear"])[0] == pytest.approx(0.0, abs=1e-6)


def test_too_few_durations():
    with pytest.raises(MultiresError, match="at least 3"):
        duration_fit.fit_duration(pd.DataFrame({"duration": [1.0, 2.0]}))
