"""Moments gathered from blocks against those of the whole signal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.models.encoder import LogMelFrontEnd
from multires.models.moments import MomentsGatherer, standardized


@settings(deadline=None)
@given(
    st.integers(10, 400), st.lists(st.integers(0, 400), max_size=5), st.sampled_from([(10, 5), (3, 2), (1, 1), (2, 5)])
)
def test_moments_in_blocks_are_those_of_the_whole(size, cuts, shape):
    samples = (np.random.default_rng(size).standard_normal(size) + 3).astype(np.float32)
    gatherer = MomentsGatherer(*shape)
    for block in np.split(samples, sorted(cuts)):
        if len(block):
            gatherer.push(block)
    found = gatherer.finish()
    stretches = np.lib.stride_tricks.sliding_window_view(samples.astype(float), shape[0])[:: shape[1]]
    assert found.mean == pytest.approx(samples.astype(float).mean())
    assert found.variance == pytest.approx(samples.astype(float).var())
    np.testing.assert_allclose(found.taps, stretches.mean(0))
    np.testing.assert_allclose(
        found.covariance, np.cov(stretches.T, bias=True).reshape(found.covariance.shape), atol=1e-9
    )


def test_a_convolutions_channels_have_the_mean_and_variance_that_follow():
    samples = (np.random.default_rng(0).standard_normal(5000) + 1).astype(np.float32)
    gatherer = MomentsGatherer(10, 5)
    gatherer.push(samples)
    moments = gatherer.finish()
    convolution = torch.nn.Conv1d(1, 4, 10, 5)
    for given_, waveform in ((moments, samples), (moments.standardized(), standardized(samples, moments))):
        with torch.no_grad():
            channels = convolution(torch.from_numpy(waveform)[None, None])[0].double()
            mean, variance = given_.through(convolution)
        torch.testing.assert_close(mean, channels.mean(1), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(variance, channels.var(1, unbiased=False), atol=1e-6, rtol=1e-5)
    scaled = standardized(samples, moments)
    assert scaled.mean() == pytest.approx(0, abs=1e-6)
    assert scaled.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("size", [400, 719, 720, 721, 1039, 16_123])
@pytest.mark.parametrize("block", [100, 399, 5000])
def test_bands_in_blocks_are_normalized_by_the_moments_of_the_whole(size, block):
    samples = (np.random.default_rng(0).standard_normal(size) * 0.1).astype(np.float32)
    front_end = LogMelFrontEnd()
    gatherer = front_end.gatherer()
    for first in range(0, size, block):
        gatherer.push(samples[first : first + block])
    waveform = torch.from_numpy(samples)[None]
    torch.testing.assert_close(
        front_end(waveform, None, gatherer.finish()), front_end(waveform, None), atol=2e-3, rtol=1e-3
    )
