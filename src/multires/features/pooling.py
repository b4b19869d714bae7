"""Means of frames over segments of time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from multires.models.layers import Layer

_EDGE = 1e-6  # of a frame: keeps 0.06 / 0.02 from becoming frame 2


def frame_range(
    start: Float[np.ndarray, " segments"], end: Float[np.ndarray, " segments"], frame_period: float, frames: int
) -> tuple[Int[np.ndarray, " segments"], Int[np.ndarray, " segments"]]:
    """First frame and one past the last frame of each segment: floor(start / period) to ceil(end / period).

    Every segment has at least one frame, and none past the last. This is how layer-wise analysis (Pasad et al.,
    arXiv 2107.04734) reads segments.

    Parameters
    ----------
    start, end
        Seconds.
    frame_period
        Seconds per frame.
    frames
        Number of frames of the utterance.

    Examples
    --------
    >>> first, past = frame_range(np.array([0.05]), np.array([0.13]), 0.02, 50)
    >>> int(first[0]), int(past[0])
    (2, 7)
    """
    first = np.floor(np.asarray(start) / frame_period + _EDGE).astype(int)
    past = np.ceil(np.asarray(end) / frame_period - _EDGE).astype(int)
    first = np.clip(first, 0, frames - 1)
    return first, np.clip(past, first + 1, frames)


def pool(
    frames: Float[np.ndarray, "frames dim"],
    start: Float[np.ndarray, " segments"],
    end: Float[np.ndarray, " segments"],
    frame_period: float,
) -> Float[np.ndarray, "segments dim"]:
    """The mean of each segment's frames (see `frame_range`), in float32.

    Parameters
    ----------
    frames
        Frames of one utterance at one layer.
    start, end
        Seconds, one pair for each segment.
    frame_period
        Seconds per frame.

    Examples
    --------
    >>> ramp = np.arange(10, dtype=np.float32)[:, None]
    >>> pool(ramp, np.array([0.0, 0.1]), np.array([0.04, 0.2]), 0.02).ravel()
    array([0.5, 7. ], dtype=float32)
    """
    first, past = frame_range(start, end, frame_period, len(frames))
    sums = np.zeros((frames.shape[1], len(frames) + 1))
    np.cumsum(frames.T, axis=1, dtype=np.float64, out=sums[:, 1:])  # along rows: half the time of down the columns
    sums = np.ascontiguousarray(sums.T)
    return ((sums[past] - sums[first]) / (past - first)[:, None]).astype(np.float32)


def serves(layer: Layer, unit: str) -> bool:
    """True if the frames of a layer are fine enough for a kind of segment: a 40 ms layer has no 20 ms frames."""
    return not unit.startswith("frame") or layer.frame_period <= int(unit.removeprefix("frame")) / 1000 + 1e-9
