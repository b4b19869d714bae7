"""Means of frames over segments of time."""

from __future__ import annotations

import numpy as np
import torch
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
    sums = np.zeros((len(frames) + 1, frames.shape[1]))
    sums[1:] = frames
    torch.from_numpy(sums[1:]).cumsum_(0)  # the same sums as NumPy's, in half the time
    return ((sums[past] - sums[first]) / (past - first)[:, None]).astype(np.float32)


def serves(layer: Layer, unit: str) -> bool:
    """True if the frames of a layer are fine enough for a kind of segment: a 40 ms layer has no 20 ms frames."""
    return not unit.startswith("frame") or layer.frame_period <= int(unit.removeprefix("frame")) / 1000 + 1e-9


class StreamingPool:
    """`pool` for frames that come in consecutive parts, in memory that does not grow with the number of frames.

    Parameters
    ----------
    start, end
        Seconds, one pair for each segment.
    frame_period
        Seconds per frame.

    Examples
    --------
    >>> ramp = np.arange(10, dtype=np.float32)[:, None]
    >>> means = StreamingPool(np.array([0.0, 0.1]), np.array([0.04, 0.2]), 0.02)
    >>> means.add(ramp[:7])
    (array([0]), array([[0.5]], dtype=float32))
    >>> means.add(ramp[7:])
    (array([1]), array([[7.]], dtype=float32))
    """

    def __init__(
        self, start: Float[np.ndarray, " segments"], end: Float[np.ndarray, " segments"], frame_period: float
    ) -> None:
        # Nothing is clipped to the last frame yet: how many there are is known at the end.
        self._first, self._past = frame_range(start, end, frame_period, np.iinfo(np.int64).max)
        self._open: dict[int, np.ndarray] = {}
        self._last: np.ndarray | None = None
        self._frames = 0

    def add(
        self, frames: Float[np.ndarray, "frames dim"]
    ) -> tuple[Int[np.ndarray, " complete"], Float[np.ndarray, "complete dim"]]:
        """Take the next frames; returns the segments that they complete, by index, and their means."""
        if not len(frames):
            return np.zeros(0, np.int64), np.zeros((0, frames.shape[1]), np.float32)
        begin, stop = self._frames, self._frames + len(frames)
        sums = np.zeros((len(frames) + 1, frames.shape[1]))
        np.cumsum(frames, axis=0, dtype=np.float64, out=sums[1:])
        at = np.flatnonzero((self._first < stop) & (self._past > begin))
        first, past = self._first[at], self._past[at]
        part = sums[np.minimum(past, stop) - begin] - sums[np.maximum(first, begin) - begin]
        for place, index in enumerate(at.tolist()):
            if first[place] < begin:
                part[place] += self._open.pop(index)
            if past[place] > stop:
                self._open[index] = part[place].copy()
        complete = past <= stop
        self._last, self._frames = frames[-1].copy(), stop
        return at[complete], (part[complete] / (past - first)[complete, None]).astype(np.float32)

    def finish(self) -> tuple[Int[np.ndarray, " rest"], Float[np.ndarray, "rest dim"]]:
        """The remaining segments: those that end past the last frame have the mean of the frames there are, or the last."""
        if self._last is None:
            raise ValueError("no frames were added")
        beyond = np.flatnonzero(self._first >= self._frames)
        rest = {index: total / (self._frames - self._first[index]) for index, total in self._open.items()}
        rows = np.array([*rest, *beyond.tolist()], dtype=np.int64)
        means = np.zeros((len(rows), len(self._last)), np.float32)
        for place, mean in enumerate(rest.values()):
            means[place] = mean
        means[len(rest) :] = self._last
        return rows, means
