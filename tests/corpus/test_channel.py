import numpy as np
import pytest

from multires.corpus.channel import Conditions, microphone, record

QUIET = Conditions(color=0, reverberation=0.05, noise=(200, 200), level=(-20, -20))


def spoken(seed=0, count=16_000):
    return np.random.default_rng(seed).normal(0, 0.1, count)


def recorded(speech, conditions, seed=0):
    rng = np.random.default_rng(seed)
    return record(speech, microphone(rng, conditions), rng, conditions)


def test_the_level_is_the_one_drawn():
    wave = recorded(spoken(), QUIET)
    assert 20 * np.log10(np.sqrt(np.mean(wave**2))) == pytest.approx(-20)


def test_the_noise_is_at_the_ratio_drawn():
    loud = Conditions(color=0, reverberation=0.05, noise=(10, 10), level=(-20, -20))
    with_noise, without = recorded(spoken(), loud), recorded(spoken(), QUIET)
    scale = np.dot(with_noise, without) / np.dot(without, without)
    noise = with_noise - scale * without
    assert 10 * np.log10(np.mean((scale * without) ** 2) / np.mean(noise**2)) == pytest.approx(10, abs=1.0)


def test_times_stay_true_under_all_conditions():
    for seed in range(10):
        speech = spoken(seed)
        wave = recorded(speech, Conditions(noise=(10, 20)), seed)
        lags = np.correlate(wave, speech[200:-200])
        assert np.argmax(np.abs(lags)) == 200


def test_a_recording_stays_within_full_scale_and_depends_on_the_generator_alone():
    loud = Conditions(level=(10, 10))
    first, second = recorded(spoken(), loud, 3), recorded(spoken(), loud, 3)
    assert np.abs(first).max() <= 1
    assert np.array_equal(first, second)
    assert not np.array_equal(first, recorded(spoken(), loud, 4))


def test_silence_stays_finite():
    assert np.isfinite(recorded(np.zeros(8_000), Conditions())).all()
