"""Work in this process, and how an engine is named."""

import operator

import numpy as np
import pytest

from multires.errors import MultiresError
from multires.measures.statistics import CCAStatistics
from multires.runtime.engine import LOCAL, Engine, open_engine


def parts(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).standard_normal((50, 6)) + 100 for seed in range(count)]


def statistics(part: np.ndarray) -> CCAStatistics:
    return CCAStatistics(4, 2).update(part[:, :4], part[:, 4:])


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_merged_statistics_are_those_of_all_rows(count):
    merged = LOCAL.merge(statistics, parts(count), operator.add)
    whole = statistics(np.concatenate(parts(count)))
    assert merged.count[0] == whole.count[0]
    np.testing.assert_allclose(merged.xx, whole.xx, rtol=1e-11)
    np.testing.assert_allclose(merged.xy["y"], whole.xy["y"], rtol=1e-9, atol=1e-9)


def test_the_tree_holds_few_branches_at_once():
    alive, most = [0], [0]

    class Part:
        def __init__(self, names):
            self.names = names
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self):
            alive[0] -= 1

    merged = LOCAL.merge(lambda name: Part([name]), list(range(1000)), lambda one, other: Part(one.names + other.names))
    assert merged.names == list(range(1000))
    assert most[0] < 16
    with pytest.raises(MultiresError, match="nothing to merge"):
        LOCAL.merge(len, [], operator.add)


def test_an_engine_is_local_an_address_or_a_client():
    assert open_engine("local") is open_engine(None) is LOCAL
    assert open_engine(LOCAL) is LOCAL
    with pytest.raises(MultiresError, match="unknown engine 'slurm': give local, the address of a Dask scheduler"):
        open_engine("slurm")
    assert isinstance(LOCAL, Engine)
    assert not LOCAL.remote
