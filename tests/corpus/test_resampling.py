import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from multires.corpus.resampling import Resampler


def in_blocks(signal, rate, sizes):
    resampler, parts, place = Resampler(rate, 16_000), [], 0
    for size in sizes:
        parts.append(resampler.push(signal[place : place + size]))
        place += size
    return np.concatenate([*parts, resampler.push(signal[place:]), resampler.finish()])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 17_389])
def test_blocks_are_resampled_as_the_whole_is(rate):
    signal = np.random.default_rng(0).normal(size=700_000).astype(np.float32)
    up, down = 16_000 // np.gcd(rate, 16_000), rate // np.gcd(rate, 16_000)
    expected = resample_poly(signal, up, down)
    made = in_blocks(signal, rate, [100_000, 1, 300_000, 0, 250_000])
    assert made.dtype == np.float32
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=6), st.integers(1, 3_000))
def test_any_lengths_give_all_samples(sizes, rest):
    signal = np.ones(sum(sizes) + rest, np.float32)
    assert len(in_blocks(signal, 44_100, sizes)) == -(-len(signal) * 160 // 441)


def test_the_same_rate_changes_nothing():
    signal = np.arange(10, dtype=np.float32)
    assert np.array_equal(in_blocks(signal, 16_000, [3]), signal)
