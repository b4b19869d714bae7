"""Energy and pitch of speech in windows: continuous targets of probes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torchaudio.functional import detect_pitch_frequency

from multires.corpus.utterance import SAMPLE_RATE

_QUIET = 1e-10
"""Mean square below which a window counts as this quiet: -100 dB."""

_SMOOTHED = 7
"""Windows over which the median of pitch is taken."""

_LOWEST, _HIGHEST = 60, 400
"""Range of pitch, in hertz."""


def log_energy(samples: Float[np.ndarray, " samples"], period: float) -> Float[np.ndarray, " windows"]:
    """Energy of each whole window in decibels relative to a full-scale square wave.

    Examples
    --------
    >>> log_energy(np.full(640, 0.1, dtype=np.float32), 0.02).round(3).tolist()
    [-20.0, -20.0]
    """
    size = round(period * SAMPLE_RATE)
    whole = len(samples) // size
    windows = samples[: whole * size].astype(np.float64).reshape(whole, size)
    return 10 * np.log10(np.maximum((windows**2).mean(axis=1), _QUIET))


def log_pitch(samples: Float[np.ndarray, " samples"], period: float) -> Float[np.ndarray, " windows"]:
    """Base-2 logarithm of the fundamental frequency, in hertz, of each window: torchaudio's tracker.

    It gives a value in every window, also in those without a voice: look at voiced sounds only. Differences are octaves.
    Empty if there are fewer samples than the tracker needs.
    """
    if len(samples) < 2 * SAMPLE_RATE // _LOWEST + round(period * SAMPLE_RATE):
        return np.zeros(0)
    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))[None]
    found = detect_pitch_frequency(
        waveform, SAMPLE_RATE, frame_time=period, win_length=_SMOOTHED, freq_low=_LOWEST, freq_high=_HIGHEST
    )
    return np.log2(found[0].numpy().astype(np.float64).clip(_LOWEST))
