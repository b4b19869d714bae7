"""Interleaved timing with a clock of known speed."""

import time

import pytest
import torch
from torch import nn

from multires.efficiency import estimates, timing
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
    assert estimates.summarize(times)["slow"].withheld


def test_sleeping_callables_are_timed_in_seconds():
    times = timing.time_interleaved({"nap": lambda: time.sleep(0.02)}, repeats=5, warmup=0)
    assert (times["seconds"] >= 0.02).all()
    assert times["seconds"].median() < 1.0


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


def test_no_repeats():
    with pytest.raises(MultiresError, match="repeats is 0"):
        timing.time_interleaved({}, repeats=0)
