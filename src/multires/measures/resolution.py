"""Resolution control: the same frames at a coarser frame period."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from multires.errors import MultiresError


def coarsen(frames: Float[np.ndarray, "frames dim"], factor: int) -> Float[np.ndarray, "coarse dim"]:
    """Average each `factor` successive frames of one utterance, so that layers are compared at one frame period.

    Parameters
    ----------
    frames
        Of one utterance, in order of time; any real type.
    factor
        Coarse frame period over fine: 2 takes 20 ms frames to 40 ms.

    Returns
    -------
        Shape (ceil(frames / factor), dim). The last frame is the mean of those that are left. float64 for float64 and
        integers, float32 otherwise.

    Raises
    ------
    MultiresError
        Where the factor is not a whole number of at least 1 or frames are not a matrix.
    """
    frames = np.asarray(frames)
    if frames.ndim != 2:
        raise MultiresError(f"frames have shape {frames.shape}: give a matrix (frames, dim)")
    if int(factor) != factor or factor < 1:
        raise MultiresError(f"factor is {factor}: give a whole number of at least 1")
    wide = frames.astype(np.result_type(frames.dtype, np.float32), copy=False)
    if len(wide) == 0:
        return wide
    starts = np.arange(0, len(wide), int(factor))
    sizes = np.minimum(starts + int(factor), len(wide)) - starts
    return np.add.reduceat(wide, starts, axis=0) / sizes.astype(wide.dtype)[:, None]
