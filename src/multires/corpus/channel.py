"""Recording conditions: a microphone's colour, a room, noise and level, all drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from multires.corpus.utterance import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Conditions:
    """How much recordings vary.

    Attributes
    ----------
    colour
        Standard deviation, in decibels, of a microphone's response around flat.
    reverberation
        Longest reverberation time, seconds.
    noise
        Lowest and highest signal-to-noise ratio, decibels.
    level
        Lowest and highest level of the speech, decibels below full scale.
    """

    colour: float = 4.0
    reverberation: float = 0.4
    noise: tuple[float, float] = (8.0, 35.0)
    level: tuple[float, float] = (-32.0, -18.0)


def microphone(rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """A smooth random response in decibels at 12 frequencies spread evenly over the mel scale, shape (12,)."""
    return rng.normal(0, conditions.colour, 12)


def record(speech: np.ndarray, response: np.ndarray, rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
    """Clean speech as a recording: coloured, in a room, with noise, at a level.

    The direct sound keeps its place, so times stay true. The result stays within [-1, 1].

    Parameters
    ----------
    speech
        Shape (samples,), at 16 kHz.
    response
        Of `microphone`.
    """
    wet = oaconvolve(speech, _room(rng, conditions))[: len(speech)]
    active = np.abs(speech) > 1e-3 * np.abs(speech).max(initial=1e-9)
    power = float(np.mean(wet[active] ** 2)) if active.any() else 1e-12
    noise = _noise(len(speech), rng)
    noise *= np.sqrt(power / 10 ** (rng.uniform(*conditions.noise) / 10))
    heard = _filter(wet + noise, response)
    level = 10 ** (rng.uniform(*conditions.level) / 20)
    heard *= level / max(float(np.sqrt(np.mean(heard**2))), 1e-9)
    return heard / max(1.0, float(np.abs(heard).max(initial=0.0)))


def _filter(wave: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Zero-phase filtering with a response in decibels at points spread evenly over the mel scale."""
    size = 1 << (len(wave) + 512).bit_length()
    mel = np.log1p(np.fft.rfftfreq(size, 1 / SAMPLE_RATE) / 700)
    decibels = np.interp(mel, np.linspace(0, mel[-1], len(response)), response)
    return np.fft.irfft(np.fft.rfft(wave, size) * 10 ** (decibels / 20), size)[: len(wave)]


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


def _noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power whose spectrum falls by a random slope, from white to steeper than pink."""
    size = 1 << count.bit_length()
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    fall = np.maximum(frequency, 50.0) ** -rng.uniform(0.0, 0.8)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=size)) * fall, size)[:count]
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)
