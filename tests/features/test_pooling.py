"""Pooling against a brute-force mean."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.features.pooling import StreamingPool, frame_range, pool, serves
from tests.features.ramp import Ramp

PERIODS = st.sampled_from([0.01, 0.02, 0.04, 0.08])


@given(st.floats(0, 30), st.floats(0.001, 3), PERIODS, st.integers(1, 2000))
def test_frame_range_covers_the_segment_and_is_never_empty(start, length, period, frames):
    first, past = frame_range(np.array([start]), np.array([start + length]), period, frames)
    assert 0 <= first[0] < past[0] <= frames
    if past[0] < frames and first[0] < frames - 1:
        assert first[0] * period <= start + 1e-6
        assert past[0] * period >= start + length - 1e-6


def test_frame_range_on_multiples_of_the_period_is_exact():
    starts = np.arange(500) * 0.02
    for period, width in ((0.01, 2), (0.02, 1)):
        first, past = frame_range(starts, starts + 0.02, period, 10_000)
        assert (past - first == width).all()
        assert (first == np.arange(500) * width).all()


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(1, 5), PERIODS, st.integers(0, 2**32 - 1))
def test_pool_is_the_mean_of_the_frames(frames, dim, period, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((frames, dim)).astype(np.float32) * 100
    start = rng.uniform(0, frames * period, 7)
    end = start + rng.uniform(0.001, 0.5, 7)
    first, past = frame_range(start, end, period, frames)
    expected = np.stack([values[a:b].astype(np.float64).mean(0) for a, b in zip(first, past, strict=True)])
    np.testing.assert_allclose(pool(values, start, end, period), expected, rtol=1e-5, atol=1e-5)


def test_a_coarse_layer_has_no_fine_frames():
    conv, middle = Ramp().layers
    assert serves(conv, "frame20")
    assert not serves(middle, "frame20")
    assert serves(middle, "frame40")
    assert serves(middle, "phone")


@settings(deadline=None)
@given(st.integers(1, 80), st.lists(st.integers(0, 80), max_size=5), PERIODS, st.integers(0, 2**32 - 1))
def test_frames_in_parts_have_the_means_of_all_at_once(frames, cuts, period, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((frames, 3)).astype(np.float32)
    start = rng.uniform(0, 1.2 * frames * period, 9)
    end = start + rng.uniform(0.001, 2.0, 9)
    means = StreamingPool(start, end, period)
    found = np.full((9, 3), np.nan, np.float32)
    given = []
    for part in np.split(values, sorted(cuts)):
        rows, x = means.add(part)
        found[rows], given = x, [*given, *rows]
    rows, x = means.finish()
    found[rows], given = x, [*given, *rows]
    assert sorted(given) == list(range(9)), "each segment once"
    np.testing.assert_allclose(found, pool(values, start, end, period), rtol=1e-5, atol=1e-6)
