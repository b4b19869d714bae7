"""Statistics of a whole recording that its frames depend on, gathered from consecutive blocks in constant memory.

Models normalize over time: the waveform (zero mean, unit variance), the first convolution's channels (group norm), or
log-mel bands. A model that sees a part of a recording gives the frames that it gives within the whole only if these
statistics are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

Samples = TypeVar("Samples", np.ndarray, Tensor)

_PIECE = 1 << 18
"""Samples that are widened to float64 at a time."""


@dataclass(frozen=True)
class Moments:
    """First and second moments of a waveform and of the stretches of it that a convolution sees, in float64.

    Attributes
    ----------
    mean, variance
        Of the samples; the variance is divided by their number.
    taps, covariance
        Mean of the stretches, shape (kernel,), and their covariance, shape (kernel, kernel).
    """

    mean: float
    variance: float
    taps: Float[Tensor, " kernel"]
    covariance: Float[Tensor, "kernel kernel"]

    def standardized(self, epsilon: float = 1e-5) -> Moments:
        """The moments after `standardized`, the function, is applied to the waveform."""
        scale = (self.variance + epsilon) ** -0.5
        return Moments(
            0.0, self.variance * scale**2, (self.taps - self.mean) * scale, self.covariance * scale**2
        )  # fmt: skip

    def through(self, convolution: nn.Conv1d) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
        """Mean and variance over time of each channel of a convolution, its bias included, in float64."""
        weight = convolution.weight[:, 0].double()
        mean = weight @ self.taps.to(weight.device)
        variance = ((weight @ self.covariance.to(weight.device)) * weight).sum(1).clamp_min(0.0)
        return mean if convolution.bias is None else mean + convolution.bias.double(), variance


def standardized(waveforms: Samples, moments: Moments, epsilon: float = 1e-5) -> Samples:
    """Waveforms scaled to zero mean and unit variance over their whole recording; `epsilon` is added to the variance."""
    scale = (moments.variance + epsilon) ** -0.5
    return waveforms * scale - moments.mean * scale


class MomentsGatherer:
    """Gathers `Moments` from a waveform's blocks.

    Parameters
    ----------
    kernel, stride
        Of the convolution.

    Examples
    --------
    >>> gatherer = MomentsGatherer(2, 2)
    >>> for block in ([0.0, 1.0, 2.0], [3.0]):
    ...     gatherer.push(np.array(block, np.float32))
    >>> gatherer.finish().taps
    tensor([1., 2.], dtype=torch.float64)
    """

    def __init__(self, kernel: int = 1, stride: int = 1) -> None:
        self._kernel, self._stride = kernel, stride
        self._left = np.zeros(0, np.float32)
        self._skip = 0  # samples to come that lie between two stretches, where the stride exceeds the kernel
        self._samples, self._sum, self._squares = 0, 0.0, 0.0
        self._count = 0
        self._taps = np.zeros(kernel)
        self._products = np.zeros((kernel, kernel))
        # Sums are of differences from a first guess of the mean: they cancel less where there is an offset.
        self._offset: float | None = None

    def push(self, block: Float[np.ndarray, " samples"]) -> None:
        """Take the next samples."""
        for first in range(0, len(block), _PIECE):
            self._push(block[first : first + _PIECE])

    def _push(self, block: np.ndarray) -> None:
        if self._offset is None:
            self._offset = float(block.mean(dtype=np.float64))
        centered = block.astype(np.float64) - self._offset
        self._samples += len(block)
        self._sum += float(centered.sum())
        self._squares += float(centered @ centered)
        joined = np.concatenate([self._left, centered[self._skip :]])
        self._skip = max(self._skip - len(centered), 0)
        count = (len(joined) - self._kernel) // self._stride + 1
        if count > 0:
            windows = np.lib.stride_tricks.sliding_window_view(joined, self._kernel)[:: self._stride][:count]
            windows = np.ascontiguousarray(windows)
            self._taps += windows.sum(0)
            self._products += windows.T @ windows
            self._count += count
            self._skip = max(count * self._stride - len(joined), 0)
            joined = joined[count * self._stride :]
        self._left = joined

    def finish(self) -> Moments:
        """The moments of all samples given."""
        offset, samples, count = self._offset or 0.0, max(self._samples, 1), max(self._count, 1)
        mean, taps = self._sum / samples, self._taps / count
        return Moments(
            mean + offset,
            max(self._squares / samples - mean**2, 0.0),
            torch.from_numpy(taps + offset),
            torch.from_numpy(self._products / count - np.outer(taps, taps)),
        )


@dataclass(frozen=True)
class BandMoments:
    """Mean and standard deviation of each log-mel band over a whole recording, shape (bands,)."""

    mean: Float[Tensor, " bands"]
    deviation: Float[Tensor, " bands"]


class BandGatherer:
    """Gathers `BandMoments` of a `multires.models.encoder.LogMelFrontEnd` from a waveform's blocks.

    Parameters
    ----------
    log_mel
        Log-mel frames of 400 samples, every 160, of waveforms ``(batch, samples)``.
    margin
        Samples of silence assumed before the first and after the last.
    """

    def __init__(self, log_mel: Callable[[Tensor], Tensor], margin: int) -> None:
        self._log_mel, self._margin = log_mel, margin
        self._left = np.zeros(margin, np.float32)
        self._samples = self._count = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def push(self, block: Float[np.ndarray, " samples"]) -> None:
        """Take the next samples."""
        for first in range(0, len(block), _PIECE):
            part = block[first : first + _PIECE]
            self._samples += len(part)
            self._take(np.concatenate([self._left, part]))

    def _take(self, samples: np.ndarray) -> None:
        # A recording's last frames belong to no pair, and none is known to be one until its pair is complete.
        own = max(2 * ((self._samples - 400) // 320 + 1), 0) - self._count
        count = min((len(samples) - 400) // 160 + 1, own)
        if count > 0:
            with torch.inference_mode():
                frames = self._log_mel(torch.from_numpy(samples[None, : (count - 1) * 160 + 400]))[0].double()
            self._sum = self._sum + frames.sum(0)
            self._squares = self._squares + frames.square().sum(0)
            self._count += count
            samples = samples[count * 160 :]
        self._left = samples

    def finish(self) -> BandMoments:
        """The moments of all frames of the samples given."""
        self._take(np.concatenate([self._left, np.zeros(self._margin, np.float32)]))
        mean = torch.as_tensor(self._sum) / max(self._count, 1)
        variance = torch.as_tensor(self._squares) / max(self._count, 1) - mean.square()
        return BandMoments(mean.float(), variance.clamp_min(0.0).sqrt().float())
