"""The arithmetic of a large run against a count by hand."""

import pytest

from multires.book.large import large_run, measured
from multires.efficiency.counting import count_total
from multires.models.registry import published

RATES = {
    "base_operations_per_second": 5e10, "worker_mb": 412.3, "two_workers_ratio": 1.83, "max_abs_difference": 3e-13,
    "memory_growth": 1.04, "memory_utterances": 100_000, "merge_4_shards_s": 0.21, "merge_16_shards_s": 0.83,
    "speech_seconds_per_second": 130.0, "speech_seconds_per_second_local": 140.0,
    "base_speech_seconds_per_second": 6.1, "machine": "a machine", "cores": 2,
}  # fmt: skip


UNITS = {"hours": 1 / 24, "days": 1.0, "years": 365.25, "MB": 1e-3, "GB": 1.0, "TB": 1e3}
"""In days, and in gigabytes."""


def number(amount):
    value, unit = amount.split()
    return float(value) * UNITS[unit]


def amounts(**changes):
    return large_run(RATES, **changes).set_index("what")["amount"]


def test_time_is_operations_over_the_measured_rate():
    configs = [entry.config for entry in published().values() if entry.config and entry.config.ratios]
    operations = sum(2 * count_total(config, 12.3) for config in configs) * 3_456_000 / 12.3
    found = amounts()
    assert found["checkpoints"].startswith(f"{len(configs)}, ")
    assert float(found["operations"]) == pytest.approx(operations, rel=0.05)
    days = number(found["time on 8 GPUs, each 300 times the core"])
    assert days == pytest.approx(operations / 5e10 / 300 / 8 / 86400, rel=0.06)


def test_half_the_speech_takes_half_as_much():
    whole, half = amounts(), amounts(hours=480.0, frames=90_000)
    for what in ("vectors of all phones and words", "audio read by the workers"):
        assert number(half[what]) == pytest.approx(number(whole[what]) / 2, rel=0.05)
    assert half["CCA statistics that come back"] == whole["CCA statistics that come back"]


def test_what_was_measured_is_said_in_words():
    found = measured(RATES).set_index("what")["result"]
    assert found["two workers over one, throughput"] == "1.83 times"
    assert found["peak memory of a worker at 100,000 utterances over that at 1,000"] == "1.040"
    assert found["merging the statistics of shards on two workers"] == "0.21 s for 4, 0.83 s for 16"
