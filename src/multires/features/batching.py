"""Batches of utterances of similar length, and their waveforms as one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Item = TypeVar("Item")


def batches(items: Iterable[Item], duration: Callable[[Item], float], seconds: float) -> Iterator[list[Item]]:
    """Items of similar duration together, the longest first, so that a shortage of memory shows at once.

    Parameters
    ----------
    items
        Utterances, or whatever stands for them.
    duration
        Returns an item's seconds.
    seconds
        Maximum of a batch with its padding; a longer item is a batch of its own.

    Examples
    --------
    >>> list(batches([1.0, 3.0, 2.0, 1.5], lambda seconds: seconds, 5.0))
    [[3.0], [2.0, 1.5], [1.0]]
    """
    batch: list[Item] = []
    for item in sorted(items, key=duration, reverse=True):
        if batch and duration(batch[0]) * (len(batch) + 1) > seconds:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def runs(items: Iterable[Item], duration: Callable[[Item], float], seconds: float) -> Iterator[list[Item]]:
    """Consecutive items, in their order, of at least `seconds` together; the last run may be shorter.

    Examples
    --------
    >>> list(runs([1.0, 3.0, 2.0, 1.5], lambda seconds: seconds, 4.0))
    [[1.0, 3.0], [2.0, 1.5]]
    """
    run: list[Item] = []
    total = 0.0
    for item in items:
        run.append(item)
        total += duration(item)
        if total >= seconds:
            yield run
            run, total = [], 0.0
    if run:
        yield run


def pad(audio: Sequence[Float[np.ndarray, " samples"]]) -> tuple[Float[Tensor, "batch samples"], Int[Tensor, " batch"]]:
    """Waveforms as one tensor, zeros after the end of each, and their lengths in samples."""
    lengths = torch.tensor([len(samples) for samples in audio])
    waveforms = torch.zeros(len(audio), int(lengths.max()))
    for row, samples in enumerate(audio):
        waveforms[row, : len(samples)] = torch.from_numpy(samples)
    return waveforms, lengths
