"""Choices of precision and jobs: measured once, kept, and stated."""

from __future__ import annotations

import json
import threading
import warnings

import pytest
import torch

from multires.errors import MultiresError
from multires.runtime import speed
from multires.runtime.speed import best_jobs, fastest_precision, in_jobs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path))
    return tmp_path / "speed.json"


def rates(monkeypatch, float32, bfloat16):
    calls = []
    monkeypatch.setattr(speed, "product_rates", lambda: calls.append(1) or {"float32": float32, "bfloat16": bfloat16})
    return calls


@pytest.mark.parametrize(("bfloat16", "expected"), [(300.0, "bfloat16"), (110.0, "float32"), (5.0, "float32")])
def test_auto_takes_the_faster_precision_and_measures_once(bfloat16, expected, cache, monkeypatch):
    calls = rates(monkeypatch, 100.0, bfloat16)
    assert [fastest_precision() for _ in range(3)] == [expected] * 3
    assert calls == [1]
    assert list(json.loads(cache.read_text()).values()) == [bfloat16 / 100.0]


def test_bfloat16_warns_with_the_factor_only_where_it_is_slower(monkeypatch):
    rates(monkeypatch, 100.0, 25.0)
    with pytest.warns(UserWarning, match=r"bfloat16 products take 4\.0 times as long"):
        assert fastest_precision("bfloat16") == "bfloat16"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fastest_precision("float32") == "float32"


def test_bfloat16_is_silent_where_it_is_faster(monkeypatch):
    rates(monkeypatch, 100.0, 250.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fastest_precision("bfloat16") == "bfloat16"


def test_an_unknown_precision_is_refused():
    with pytest.raises(MultiresError, match="float16"):
        fastest_precision("float16")


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"x": "y"}'])
def test_a_damaged_cache_is_measured_again(content, cache, monkeypatch):
    cache.write_text(content)
    calls = rates(monkeypatch, 100.0, 300.0)
    assert fastest_precision() == "bfloat16"
    assert fastest_precision() == "bfloat16"
    assert calls == [1]


def test_rates_are_measured():
    found = speed.product_rates(rounds=1)
    assert set(found) == {"float32", "bfloat16"}
    assert all(rate > 0 for rate in found.values())


def test_jobs_divide_the_threads_and_keep_the_order():
    before, seen = torch.get_num_threads(), set()

    def work(item):
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return item * item

    assert in_jobs(work, range(8), 2) == [item * item for item in range(8)]
    assert all(name != "MainThread" for name, _ in seen)
    assert {threads for _, threads in seen} == {max(before // 2, 1)}
    assert torch.get_num_threads() == before
    assert in_jobs(work, [3], 1) == [9]


def test_one_thread_has_one_job_and_the_choice_is_kept(cache, monkeypatch):
    assert best_jobs(1) == 1
    assert not cache.exists()
    monkeypatch.setattr(speed, "_sample", lambda number: None)
    first = best_jobs(2)
    assert first in (1, 2)
    monkeypatch.setattr(speed, "in_jobs", lambda *_: pytest.fail("measured again"))
    assert best_jobs(2) == first
