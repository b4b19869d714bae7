"""Batches of crops and their masks, as functions of the speech, the recipe and the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError
from multires.models.acoustic import BANDS
from multires.training.recipe import Recipe
from multires.training.speech import HOP, WINDOW, Speech
from multires.training.targets import Units

_GRID = 4
"""Frames. Crops begin on the grid of the coarsest resolution (80 ms), in every condition."""


@dataclass(frozen=True)
class Batch:
    """One step's crops, all of one length.

    Attributes
    ----------
    utterances, first_frames
        Index of each utterance, and the first frame of its crop.
    frames
        Number of 20 ms frames of every crop.
    """

    utterances: np.ndarray
    first_frames: np.ndarray
    frames: int

    @property
    def seconds(self) -> float:
        """Total seconds of audio."""
        return len(self.utterances) * self.frames * HOP / SAMPLE_RATE


class Batches:
    """Batches of crops of similar length by step, a pure function of the speech, the recipe and the seed.

    Each epoch takes every utterance once. Utterances are sorted by length (at most `crop_seconds`) times a random factor
    within 5 % of one, grouped into batches of up to `batch_seconds`, and cropped at a random place to the shortest of the
    batch; then the batches are shuffled. Utterances too short for two masked spans are left out and counted in
    `left_out`.
    """

    def __init__(self, speech: Speech, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self.lengths = speech.frames
        self.usable = np.flatnonzero(self.lengths >= 2 * recipe.mask_span)
        self.left_out = len(self.lengths) - len(self.usable)
        if not len(self.usable):
            raise MultiresError(f"no utterance of {speech.name} is as long as two masked spans: give longer speech")
        self._epoch, self._first, self._batches = -1, 0, list[Batch]()

    def __getitem__(self, step: int) -> Batch:
        if step < self._first:
            self._epoch, self._first, self._batches = -1, 0, []
        while step >= self._first + len(self._batches):
            self._first += len(self._batches)
            self._epoch += 1
            self._batches = self._plan(self._epoch)
        return self._batches[step - self._first]

    def _plan(self, epoch: int) -> list[Batch]:
        rng = np.random.default_rng([self.seed, 1, epoch])
        longest = round(self.recipe.crop_seconds * SAMPLE_RATE / HOP)
        budget = self.recipe.batch_seconds * SAMPLE_RATE / HOP
        clipped = np.minimum(self.lengths[self.usable], longest)
        order = self.usable[np.argsort(clipped * rng.uniform(0.95, 1.05, len(clipped)), kind="stable")]
        groups: list[list[int]] = [[]]
        shortest = longest
        for index in order.tolist():
            shortest = min(shortest, int(self.lengths[index]))
            if groups[-1] and shortest * (len(groups[-1]) + 1) > budget:
                groups.append([])
                shortest = min(longest, int(self.lengths[index]))
            groups[-1].append(index)
        if len(groups) > 1 and len(groups[-1]) < len(groups[-2]) / 2:
            last = groups.pop()  # a step on a handful of utterances would be noise
            groups[-1] += last
        plan = []
        for members in (groups[i] for i in rng.permutation(len(groups))):
            frames = int(min(longest, self.lengths[members].min()))
            room = (self.lengths[members] - frames) // _GRID
            plan.append(Batch(np.array(members), rng.integers(0, room + 1) * _GRID, frames))
        return plan


def cut(
    speech: Speech, units: Units, batch: Batch
) -> tuple[Float[Tensor, "batch samples"], Int[Tensor, "batch frames"]]:
    """The waveforms of a batch and the unit of each of their 20 ms frames, on the device that trains."""
    there = speech.samples.device
    begin = speech.starts[batch.utterances] + batch.first_frames * HOP
    size = (batch.frames - 1) * HOP + WINDOW
    at = torch.from_numpy(begin).to(there)[:, None] + torch.arange(size, device=there)
    return speech.samples[at].to(speech.device).float() / 32768, units.labels[frame_places(speech, batch)].long()


def frame_places(speech: Speech, batch: Batch) -> Int[Tensor, "batch frames"]:
    """Indices of a batch's 20 ms frames among the concatenated frames of all utterances."""
    device = speech.device
    first = torch.from_numpy(speech.frame_starts[batch.utterances] + batch.first_frames).to(device)
    return first[:, None] + torch.arange(batch.frames, device=device)


def mask_spans(
    batch: int, frames: int, *, span: int, probability: float, rng: np.random.Generator
) -> Bool[np.ndarray, "batch frames"]:
    """Draw masked frames: spans at random places, which may overlap; every row has the same number of masked frames.

    ``probability * frames / span`` spans a row (rounded at random, at least 2), their starts drawn without
    repetition; rows with more masked frames than the fewest lose some at random (HuBERT, arXiv 2106.07447,
    section 2.2, as its public code computes it).

    Raises
    ------
    MultiresError
        If a row has no room for two spans.
    """
    if frames < 2 * span:
        raise MultiresError(f"{frames} frames have no room for two masked spans of {span}: leave them out")
    mask = np.zeros((batch, frames), dtype=bool)
    count = max(2, int(probability * frames / span + rng.random()))
    for row in mask:
        starts = rng.choice(frames - span + 1, min(count, frames - span + 1), replace=False)
        row[(starts[:, None] + np.arange(span)).ravel()] = True
    fewest = int(mask.sum(1).min())
    for row in mask:
        masked = np.flatnonzero(row)
        row[rng.permutation(masked)[fewest:]] = False
    return mask


def mask_bands(
    frames: Float[Tensor, "batch frames channels"], *, masks: int, width: int, rng: np.random.Generator
) -> Float[Tensor, "batch frames channels"]:
    """Stacked log-mel frames with some bands of each crop set to their mean, zero (arXiv 1904.08779, section 2).

    Each of `masks` stretches covers 0 to `width` neighboring bands, in both of the stacked 10 ms frames.
    """
    keep = np.ones((len(frames), BANDS), dtype=np.float32)
    for row in keep:
        for _ in range(masks):
            size = int(rng.integers(0, width + 1))
            first = int(rng.integers(0, BANDS - size + 1))
            row[first : first + size] = 0.0
    return frames * torch.from_numpy(np.tile(keep, 2)).to(frames.device)[:, None]
