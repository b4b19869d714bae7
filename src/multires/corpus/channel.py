"""Recording conditions: a microphone's color, a room, noise and level, all drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from multires.corpus.utterance import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Conditions:
    """Variability of recordings.

    Attributes
    ----------
    color
        Standard deviation, in decibels, of a microphone's response around flat.
    reverberation
        Longest reverberation time, seconds.
    noise
        Lowest and highest signal-to-noise ratio, decibels.
    level
        Lowest and highest level of the speech, decibels below full scale.
    """

    color: float = 3.5
    reverberation: float = 0.4
    noise: tuple[float, float] = (10.0, 40.0)
    level: tuple[float, float] = (-32.0, -18.0)


def microphone(rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """A smooth random response in decibels at 12 frequencies spread evenly over the mel scale, shape (12,)."""
    return rng.normal(0, conditions.color, 12)


def record(speech: np.ndarray, response: np.ndarray, rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """Clean speech as a recording: colored, in a room, with noise, at a level.

    The direct sound keeps its place, so times stay true. The result stays within [-1, 1].

    Parameters
    ----------
    speech
        Shape (samples,), at 16 kHz.
    response
        Of `microphone`.
    """
    room = _room(rng, conditions)
    size = next_fast_len(len(speech) + len(room), real=True)
    frequency = rfftfreq(size, 1 / SAMPLE_RATE)
    noise = _noise_spectrum(frequency, rng) * np.sqrt(_power(speech) / 10 ** (rng.uniform(*conditions.noise) / 10))
    heard = (rfft(speech, size) * rfft(room, size) + noise) * _gains(frequency, response)
    wave = irfft(heard, size)[: len(speech)]
    wave *= 10 ** (rng.uniform(*conditions.level) / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-9)
    return wave / max(1.0, float(np.abs(wave).max(initial=0.0)))


def _power(speech: np.ndarray) -> float:
    """Mean square of speech without its pauses."""
    loudness = np.abs(speech)
    sounding = speech[loudness > 1e-3 * loudness.max(initial=1e-9)]
    return float(np.mean(sounding**2)) if len(sounding) else 1e-12


def _gains(frequency: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Gain at each frequency of a response in decibels at points spread evenly over the mel scale; its phase is zero."""
    mel = np.log1p(frequency / 700)
    return 10 ** (np.interp(mel, np.linspace(0, mel[-1], len(response)), response) / 20)


def _room(rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """An impulse response: the direct sound, then exponentially decaying noise, with 60 dB lost in the time drawn."""
    time = rng.uniform(0.05, conditions.reverberation)
    wet = rng.uniform(0.0, 0.6)
    count = int(time * SAMPLE_RATE)
    tail = rng.normal(size=count) * np.exp(-6.9 * np.arange(count) / count)
    tail[: SAMPLE_RATE // 500] = 0
    tail *= wet / max(float(np.linalg.norm(tail)), 1e-9)
    tail[0] = 1.0
    return tail


def _noise_spectrum(frequency: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spectrum of noise of unit power that falls by a random slope, from white to steeper than pink."""
    fall = np.maximum(frequency, 50.0) ** -rng.uniform(0.0, 0.8)
    spectrum = rng.normal(size=(2, len(frequency))) * fall
    size = 2 * (len(frequency) - 1)
    unit = size / np.sqrt(2 * np.sum(spectrum**2))  # Parseval: the wave's mean square becomes one
    return unit * (spectrum[0] + 1j * spectrum[1])
