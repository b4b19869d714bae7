import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from multires.efficiency import duration_fit, estimates, machine, timing
from multires.errors import MultiresError


class FakeClock:
    """A machine whose speed drifts: a call costs its own seconds times a factor that grows from call to call."""

    def __init__(self, costs: dict[str, float], drift: float = 1.0) -> None:
        self.costs, self.drift, self.factor = costs, drift, 1.0
        self.order: list[str] = []

    def callables(self) -> dict:
        return {name: (lambda name=name: self.order.append(name)) for name in self.costs}

    def __call__(self, call) -> float:
        call()
        self.factor *= self.drift
        return self.costs[self.order[-1]] * self.factor


def test_calls_take_turns_and_warmup_is_left_out():
    clock = FakeClock({"a": 1.0, "b": 2.0, "c": 3.0})
    times = timing.time_interleaved(clock.callables(), repeats=3, warmup=2, clock=clock)
    assert clock.order == ["a", "b", "c"] * 5
    assert times["name"].tolist() == ["a", "b", "c"] * 3
    assert times["repeat"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_rounds_go_on_until_the_time_is_spent():
    clock = FakeClock({"a": 1.0, "b": 2.0})
    assert timing.time_interleaved(clock.callables(), repeats=2, seconds=10.0, clock=clock)["repeat"].max() == 3


def test_pairing_takes_out_a_drift_that_times_alone_cannot_survive():
    clock = FakeClock({"slow": 1.0, "fast": 0.9}, drift=1.05)
    times = timing.time_interleaved(clock.callables(), repeats=30, clock=clock)
    ratio = estimates.paired_ratio(times, "fast", "slow")
    assert ratio.median == pytest.approx(0.9 * 1.05)
    assert ratio.high - ratio.low < 1e-9
    assert estimates.summarise(times)["slow"].withheld


def test_sleeping_callables_are_timed_in_seconds():
    times = timing.time_interleaved({"nap": lambda: time.sleep(0.02)}, repeats=5, warmup=0)
    assert (times["seconds"] >= 0.02).all()
    assert times["seconds"].median() < 1.0


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


def test_modules_share_the_time_of_a_call():
    class Napping(nn.Module):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds

        def forward(self, x):
            time.sleep(self.seconds)
            return x

    model = nn.Sequential(Napping(0.05), Napping(0.01), Napping(0.0))
    found = timing.time_modules(model, ["0", "1"], lambda: model(torch.zeros(1)))
    assert found["0"] >= 0.05
    assert found["1"] >= 0.01
    assert set(found) == {"0", "1"}
    assert not model[0]._forward_hooks


def test_matrix_products_are_counted_per_second():
    rate = machine.matrix_product_rate(seconds=0.05, size=64)
    assert rate.withheld or 1e6 < rate.median < 1e15


def test_energy_wraps_around(tmp_path):
    domain = tmp_path / "intel-rapl:0"
    domain.mkdir()
    (domain / "max_energy_range_uj").write_text("9999999\n")
    counter = domain / "energy_uj"
    counter.write_text("9000000\n")
    joules = machine.measure_energy(lambda: counter.write_text("3000000\n"), [counter], calls=2)
    assert joules == pytest.approx(2.0)


def test_energy_says_why_there_is_none():
    counters, reason = machine.energy_counters()
    assert bool(counters) != bool(reason)


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with machine.threads(1) as used:
        assert used == torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: timing.time_interleaved({}, repeats=0), "repeats is 0"),
        (lambda: machine.threads(0).__enter__(), "threads is 0"),
        (lambda: duration_fit.fit_duration(pd.DataFrame({"duration": [1.0, 2.0]})), "at least 3"),
        (
            lambda: estimates.ratios(pd.DataFrame({"name": ["a"], "repeat": [0], "seconds": [1.0]}), "b", "a"),
            "was not timed",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(MultiresError, match=words):
        call()
