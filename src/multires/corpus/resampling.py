"""Resampling in blocks, equal to resampling the whole signal."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_BLOCK = 1 << 18
"""Samples that are at least collected before a block is resampled."""


class Resampler:
    """Resamples a signal that arrives in blocks with the polyphase filter of `scipy.signal.resample_poly`.

    Each block is filtered with enough of its neighbors on both sides that its samples are those of the whole signal.

    Parameters
    ----------
    rate, target
        Hertz.
    """

    def __init__(self, rate: int, target: int) -> None:
        shared = math.gcd(rate, target)
        self._up, self._down = target // shared, rate // shared
        reach = math.ceil(10 * max(self._up, self._down) / self._up) + 1
        self._context = math.ceil(reach / self._down) * self._down
        self._kept: list[np.ndarray] = []
        self._size = 0
        self._left = 0  # samples at the start of what is kept that are context only

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples, float32; returns those of the result that are now known."""
        if self._up == self._down:
            return block
        self._kept.append(block)
        self._size += len(block)
        if self._size < self._left + 2 * self._context + max(_BLOCK, self._down):
            return np.zeros(0, np.float32)
        kept = np.concatenate(self._kept)
        ready = (len(kept) - self._left - self._context) // self._down * self._down
        made = self._resampled(kept[: self._left + ready + self._context])
        first, last = (place * self._up // self._down for place in (self._left, self._left + ready))
        begin = max(0, self._left + ready - self._context)
        self._left = self._left + ready - begin
        self._kept, self._size = [kept[begin:]], len(kept) - begin
        return made[first:last]

    def finish(self) -> np.ndarray:
        """The rest of the result, once all samples were given."""
        if not self._size:
            return np.zeros(0, np.float32)
        return self._resampled(np.concatenate(self._kept))[self._left * self._up // self._down :]

    def _resampled(self, signal: np.ndarray) -> np.ndarray:
        from scipy.signal import resample_poly  # takes half a second to load, and most corpora are at 16 kHz

        filtered = resample_poly(signal, self._up, self._down, window=_window(self._up, self._down))
        return filtered.astype(np.float32, copy=False)


@lru_cache(maxsize=4)
def _window(up: int, down: int) -> np.ndarray:
    """The filter that `resample_poly` designs by itself."""
    from scipy.signal import firwin

    most = max(up, down)
    return firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0)).astype(np.float32)
