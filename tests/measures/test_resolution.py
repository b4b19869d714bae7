import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.measures.resolution import Frames, frame_spans, match_resolution


def ramp(frames, period=0.02, first=None):
    """Frames that hold the time of their own center."""
    first = period / 2 if first is None else first
    return Frames(first + period * np.arange(frames, dtype=np.float64)[:, None], period, first)


@given(frames=st.integers(0, 40), factor=st.integers(1, 5))
def test_averaged_frames_are_means_of_successive_frames(frames, factor):
    fine = Frames(np.random.default_rng(frames).normal(size=(frames, 3)), 0.02, 0.01)
    expected = [fine.values[i : i + factor].mean(axis=0) for i in range(0, frames, factor)]
    found = match_resolution(fine, "averaged", 0.02 * factor)
    np.testing.assert_allclose(found.values, np.array(expected).reshape(-1, 3))


@pytest.mark.parametrize("matching", ["averaged", "decimated", "grid"])
@pytest.mark.parametrize("period", [0.04, 0.08])
def test_matched_frames_know_their_place(matching, period):
    found = match_resolution(ramp(40), matching, period)
    assert len(found) == round(0.8 / period)
    tolerance = 0.011 if matching == "decimated" and period == 0.04 else 1e-9
    assert np.abs(found.values[:, 0] - found.centers).max() < tolerance
    assert np.diff(found.centers) == pytest.approx(period)


def test_layers_of_different_periods_and_offsets_share_the_grid():
    fine, coarse = ramp(100, 0.02, 0.0125), ramp(50, 0.04, 0.0225)
    a, b = (match_resolution(frames, "grid", 0.08) for frames in (fine, coarse))
    assert len(a) == len(b) == 25
    np.testing.assert_allclose(a.centers, b.centers)
    assert np.abs(a.values - b.values).max() <= 0.01 + 1e-9


@given(
    period=st.sampled_from([0.01, 0.02, 0.04]), grid=st.sampled_from([0.04, 0.08, 0.05]),
    first=st.integers(-100, 1000).map(lambda ticks: ticks * 1e-4), frames=st.integers(1, 60),
)  # fmt: skip
def test_grid_windows_are_means_of_the_frames_inside(period, grid, first, frames):
    fine = ramp(frames, period, first)
    found = match_resolution(fine, "grid", grid)
    for index, value in enumerate(found.values[:, 0]):
        inside = fine.values[(fine.centers >= index * grid - 1e-7) & (fine.centers < (index + 1) * grid - 1e-7), 0]
        if len(inside):
            assert value == pytest.approx(inside.mean())
        else:
            distance = np.abs(fine.centers - grid * (index + 0.5))
            assert np.abs(value - grid * (index + 0.5)) == pytest.approx(distance.min(), abs=1e-9)


def test_native_frames_and_precision_stay():
    half = Frames(np.ones((5, 2), np.float16), 0.02, 0.01)
    assert match_resolution(half, "native") is half
    assert match_resolution(half, "averaged", 0.04).values.dtype == np.float32
    assert match_resolution(half, "grid", 0.04).values.dtype == np.float32


@given(
    start=st.integers(0, 500), length=st.integers(0, 80), period=st.sampled_from([0.01, 0.02, 0.04, 0.08]),
)  # fmt: skip
def test_spans_hold_the_centers_inside(start, length, period):
    start, end = start / 1000, (start + length) / 1000
    frames = 80
    first, past = frame_spans(start, end, period, frames)[0]
    centers = period * (np.arange(frames) + 0.5)
    inside = np.flatnonzero((centers >= start - 1e-7) & (centers <= end + 1e-7))
    if len(inside):
        assert (first, past) == (inside[0], inside[-1] + 1)
    else:
        assert past == first + 1
        assert abs(centers[first] - (start + end) / 2) == pytest.approx(np.abs(centers - (start + end) / 2).min())


def test_spans_stay_in_the_utterance():
    assert frame_spans([0.0, 9.0], [0.001, 9.5], 0.08, 4, offset=100).tolist() == [[100, 101], [103, 104]]
    assert frame_spans([0.1], [0.2], 0.02, 50, first_center=0.0125).tolist() == [[5, 10]]


def test_clear_errors():
    fine = ramp(5)
    for call, message in [
        (lambda: match_resolution(fine, "averaged", 0.05), "no whole multiple"),
        (lambda: match_resolution(fine, "grid"), "period is None"),
        (lambda: match_resolution(fine, "pooled", 0.04), "unknown matching"),
        (lambda: Frames(np.ones(5), 0.02, 0.01), "matrix"),
        (lambda: Frames(np.ones((5, 1)), 0.0, 0.01), "period is 0"),
        (lambda: frame_spans([0], [1], 0.02, 0), "no frame"),
        (lambda: frame_spans([1], [0], 0.02, 5), "no end before"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
