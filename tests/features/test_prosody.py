"""Energy and pitch of signals whose energy and pitch are known."""

import numpy as np
import pytest

from multires.features.prosody import log_energy, log_pitch

TIME = np.arange(16_000) / 16_000


def test_energy_of_sines_and_of_silence():
    loud = np.sin(2 * np.pi * 400 * TIME).astype(np.float32)
    np.testing.assert_allclose(log_energy(loud, 0.02), 10 * np.log10(0.5), atol=1e-3)
    np.testing.assert_allclose(log_energy(loud / 10, 0.04), 10 * np.log10(0.5) - 20, atol=1e-3)
    assert log_energy(np.zeros(350, np.float32), 0.02).tolist() == [-100]


@pytest.mark.parametrize("pitch", [90, 160, 290])
def test_pitch_of_a_harmonic_sound(pitch):
    sound = sum(np.sin(2 * np.pi * pitch * k * TIME) / k for k in range(1, 8)).astype(np.float32)
    found = log_pitch(sound, 0.02)
    assert len(found) > 40
    np.testing.assert_allclose(found[3:-3], np.log2(pitch), atol=0.03)


def test_a_sound_shorter_than_the_longest_period_has_no_pitch():
    assert len(log_pitch(np.ones(400, np.float32), 0.02)) == 0
