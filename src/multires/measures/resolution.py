"""Resolution matching: frames of a layer natively, decimated, averaged, or on a common grid of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from multires.errors import MultiresError

Matching = Literal["native", "decimated", "averaged", "grid"]
"""Treatment of frames; see `match_resolution`."""

COMMON_PERIODS = (0.04, 0.08)
"""Periods of common grids, in seconds."""

_EDGE = 1e-6
"""Tolerance, in frames, of times that fall on an edge: 0.06 / 0.02 is not exactly 3."""


@dataclass(frozen=True)
class Frames:
    """Frames of one utterance with their position in time.

    Attributes
    ----------
    values
        Shape (frames, dim).
    period
        Seconds from one frame to the next.
    first_center
        Time, in seconds, of the center of the first frame.
    """

    values: Float[np.ndarray, "frames dim"]
    period: float
    first_center: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise MultiresError(f"frames have shape {self.values.shape}: give a matrix (frames, dim)")
        if not self.period > 0:
            raise MultiresError(f"period is {self.period}: give the seconds from one frame to the next")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def centers(self) -> Float[np.ndarray, " frames"]:
        """Times of the centers, in seconds."""
        return self.first_center + self.period * np.arange(len(self.values))


def match_resolution(frames: Frames, matching: Matching, period: float | None = None) -> Frames:
    """Frames at another resolution, to compare layers at equal frame rates.

    A comparison of a layer at full resolution with one at low resolution confounds the resolution with the frame rate.
    Compare the low-resolution layer with the other one both ``decimated`` (same number of frames, no more context) and
    ``averaged`` (same number of frames, all the information), or both on a common ``grid``.

    Parameters
    ----------
    frames
        One utterance.
    matching
        ``native``
            Frames as they are; `period` is not used.
        ``decimated``
            Every k-th frame, with k the ratio of `period` to the frame period: the first one is the frame whose center
            is nearest to that of the averaged window.
        ``averaged``
            Means of k successive frames from the first frame on. The last window may have fewer frames.
        ``grid``
            Windows [i * period, (i + 1) * period) from time 0 on: the mean of the frames whose centers are in the
            window, or the frame nearest to the middle of the window if there is none. Layers with different periods
            and offsets share the grid.
    period
        Period after matching, in seconds; a whole multiple of the frame period unless `matching` is ``grid``.

    Raises
    ------
    MultiresError
        If the period is missing or not a multiple of the frame period, or the matching is unknown.

    Examples
    --------
    >>> fine = Frames(np.arange(5.0)[:, None], period=0.02, first_center=0.01)
    >>> match_resolution(fine, "averaged", 0.04).values.ravel().tolist()
    [0.5, 2.5, 4.0]
    >>> match_resolution(fine, "decimated", 0.04).values.ravel().tolist()
    [0.0, 2.0, 4.0]
    >>> match_resolution(fine, "grid", 0.04).centers.round(3).tolist()
    [0.02, 0.06, 0.1]
    """
    if matching not in get_args(Matching):
        raise MultiresError(f"unknown matching {matching!r}: choose one of {', '.join(get_args(Matching))}")
    if matching == "native":
        return frames
    if period is None or not period > 0:
        raise MultiresError(f"period is {period}: give the period of the matched frames in seconds")
    if matching == "grid":
        return _on_grid(frames, period)
    factor = _factor(frames.period, period)
    if matching == "decimated":
        offset = min((factor - 1) // 2, max(len(frames) - 1, 0))
        return Frames(frames.values[offset::factor], period, frames.first_center + offset * frames.period)
    center = frames.first_center + (factor - 1) / 2 * frames.period
    return Frames(_means(frames.values, np.arange(0, len(frames), factor)), period, center)


def frame_spans(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    frame_period: float,
    frames: int,
    *,
    first_center: float | None = None,
    offset: int = 0,
) -> Int[np.ndarray, "segments 2"]:
    """First frame and one past the last frame of each segment: the frames whose centers are in [start, end].

    This is the convention of the ZeroSpeech ABX tasks. A segment without such a frame has the frame nearest to its
    middle, so that no segment is lost at a low frame rate.

    Parameters
    ----------
    start, end
        Times in seconds, shape (segments,).
    frame_period
        Seconds from one frame to the next.
    frames
        Number of frames of the utterance.
    first_center
        Time of the center of the first frame; half a frame period if None.
    offset
        Added to all indices: the position of the utterance in an array of several utterances.

    Raises
    ------
    MultiresError
        If there is no frame, or a segment ends before it starts.

    Examples
    --------
    >>> frame_spans([0.0, 0.05], [0.06, 0.055], 0.02, frames=10).tolist()
    [[0, 3], [2, 3]]
    """
    start, end = np.atleast_1d(np.asarray(start, np.float64)), np.atleast_1d(np.asarray(end, np.float64))
    if frames < 1:
        raise MultiresError("there is no frame: leave out utterances that are shorter than a frame")
    if start.shape != end.shape or (end < start).any():
        raise MultiresError("start and end must have one time per segment, with no end before its start")
    first_center = frame_period / 2 if first_center is None else first_center
    first = np.ceil((start - first_center) / frame_period - _EDGE).astype(np.int64)
    past = np.floor((end - first_center) / frame_period + _EDGE).astype(np.int64) + 1
    first, past = first.clip(0, frames), past.clip(0, frames)
    middle = np.rint(((start + end) / 2 - first_center) / frame_period).astype(np.int64).clip(0, frames - 1)
    empty = past <= first
    return offset + np.stack([np.where(empty, middle, first), np.where(empty, middle + 1, past)], axis=1)


def _factor(fine: float, coarse: float) -> int:
    factor = round(coarse / fine)
    if factor < 1 or abs(factor * fine - coarse) > 1e-6 * coarse:
        raise MultiresError(f"period {coarse} s is no whole multiple of the frame period {fine} s: use a grid instead")
    return factor


def _on_grid(frames: Frames, period: float) -> Frames:
    if not len(frames):
        return Frames(frames.values, period, period / 2)
    centers = frames.centers
    window = np.floor(centers / period + _EDGE * frames.period / period).astype(np.int64)
    count = max(int(window[-1]) + 1, 1)
    middles = period * (np.arange(count) + 0.5)
    nearest = np.rint((middles - frames.first_center) / frames.period).astype(np.int64).clip(0, len(frames) - 1)
    values = _wide(frames.values)[nearest]
    inside = window >= 0
    present, starts = np.unique(window[inside], return_index=True)
    values[present] = _means(frames.values[inside], starts)
    return Frames(values, period, period / 2)


def _means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Means of the runs of rows that begin at `starts`."""
    wide = _wide(values)
    if not len(wide):
        return wide
    sizes = np.diff(np.append(starts, len(wide)))
    return np.add.reduceat(wide, starts, axis=0) / sizes.astype(wide.dtype)[:, None]


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)
