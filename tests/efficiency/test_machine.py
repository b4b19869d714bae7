"""The machine: matrix products, energy counters, threads."""

import pytest
import torch

from multires.efficiency import machine
from multires.errors import MultiresError


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


def test_no_threads():
    with pytest.raises(MultiresError, match="threads is 0"):
        machine.threads(0).__enter__()
