"""Effective context of frames: the stretch of input that their gradients depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, Bootstrap, ratio_bootstrap
from multires.measures.statistics import prefixed

SHARE = 0.9
"""Share of the squared gradient in the effective context."""


@dataclass(frozen=True)
class ContextResult:
    """Effective context, means over frames.

    Attributes
    ----------
    back, forward
        Seconds before and after the center of a frame that hold `share` of the squared gradient on that side.
    total
        Seconds of the shortest symmetric window around the center that holds `share` of the whole squared gradient.
    baseline
        `total` of a uniform gradient over the same inputs: the largest value that inputs of this length allow.
    bootstrap
        Intervals by name (``back``, ``forward``, ``total``) over clusters.
    share
        Share of the squared gradient.
    n
        Number of frames.
    """

    back: float
    forward: float
    total: float
    baseline: float
    bootstrap: dict[str, Bootstrap] = field(repr=False)
    share: float
    n: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of the context back, forward and in total, in seconds, and the baseline."""
        rows = []
        for measure in ("back", "forward", "total"):
            low, high = self.bootstrap[measure].interval
            rows.append(
                {
                    **columns,
                    "measure": f"context {measure}",
                    "value": getattr(self, measure),
                    "low": low,
                    "high": high,
                    "n": self.n,
                }
            )
        return [*rows, {**columns, "measure": "context total (uniform)", "value": self.baseline, "n": self.n}]


def effective_context(
    gradients: Float[np.ndarray, "frames inputs"],
    centers: npt.ArrayLike,
    input_period: float,
    *,
    first_input: float = 0.0,
    clusters: npt.ArrayLike | None = None,
    share: float = SHARE,
    seed: int = 0,
    replicates: int = 1000,
    level: float = LEVEL,
    name: str = "",
) -> ContextResult:
    """Seconds of the input that frames depend on, from the gradients of frames with respect to the input.

    Input gradients measure the effective receptive field (Luo et al. 2016, arXiv 1701.04128), which is usually much
    smaller than the theoretical one.

    Parameters
    ----------
    gradients
        Norm, or any real-valued gradient, of one scalar function of each frame with respect to each input position,
        shape (frames, inputs); it is squared here. Sum squares over channels, and take the root, beforehand.
    centers
        Time of the center of each frame, in seconds.
    input_period
        Seconds from one input position to the next: 1 / 16000 for samples.
    first_input
        Time of the first input position.
    clusters
        Utterance or speaker of each frame, for the intervals; frames if None.
    share
        Share of the squared gradient that defines the context.
    seed, replicates, level
        Seed, number of resamples and nominal coverage of the bootstrap.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If shapes differ, a gradient is not finite, or a frame has no gradient.

    Examples
    --------
    >>> gradients = np.array([[0, 1.0, 1.0, 1.0, 0, 0, 0]])
    >>> found = effective_context(gradients, [0.3], input_period=0.1, share=0.9)
    >>> round(found.back, 2), round(found.forward, 2)
    (0.2, 0.0)
    """
    squares = np.asarray(gradients, dtype=np.float64) ** 2
    centers = np.asarray(centers, dtype=np.float64)
    if squares.ndim != 2 or centers.shape != (len(squares),) or not len(squares):
        raise MultiresError(
            f"{prefixed(name)}gradients have shape {squares.shape}: give (frames, inputs) and one center per frame"
        )
    if not (0 < share <= 1 and input_period > 0):
        raise MultiresError(
            f"{prefixed(name)}share is {share} and input_period {input_period}: give a share in (0, 1] and seconds"
        )
    if not np.isfinite(squares).all() or not (squares.sum(axis=1) > 0).all():
        raise MultiresError(f"{prefixed(name)}a frame has no finite gradient: it does not depend on the input")
    times = first_input + input_period * np.arange(squares.shape[1])
    offset = times[None] - centers[:, None]
    before = _reach(squares * (offset < 0), -offset, share)
    after = _reach(squares * (offset > 0), offset, share)
    total = 2 * _reach(squares, np.abs(offset), share)
    uniform = 2 * _reach(np.ones_like(squares), np.abs(offset), share)
    found = {
        measure: ratio_bootstrap(values, np.ones(len(values)), clusters, seed=seed, replicates=replicates, level=level)
        for measure, values in (("back", before), ("forward", after), ("total", total))
    }
    return ContextResult(
        float(before.mean()),
        float(after.mean()),
        float(total.mean()),
        float(uniform.mean()),
        found,
        share,
        len(squares),
    )


def _reach(
    squares: Float[np.ndarray, "frames inputs"], distance: Float[np.ndarray, "frames inputs"], share: float
) -> Float[np.ndarray, " frames"]:
    """Smallest distance within which each frame has a share of its squares; 0 for a frame without squares."""
    order = np.argsort(distance, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(squares, order, axis=1), axis=1)
    place = (sums >= share * sums[:, -1:] * (1 - 1e-12)).argmax(axis=1)
    index = np.take_along_axis(order, place[:, None], axis=1)
    reach = np.take_along_axis(distance, index, axis=1)[:, 0]
    return np.where(sums[:, -1] > 0, reach, 0.0)
