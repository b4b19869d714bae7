"""The masked prediction loss at every resolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from multires.corpus.utterance import SAMPLE_RATE
from multires.models.mr_hubert import MultiResHubert, TrainingOutputs
from multires.training.speech import HOP


def targets_at(units: Int[Tensor, "batch fine"], frames: int, frame_period: float) -> Int[Tensor, "batch frames"]:
    """The 20 ms units read at a resolution's own rate: frame i of period p takes unit floor(i p / 20 ms)."""
    step = round(frame_period * SAMPLE_RATE) / HOP
    at = (torch.arange(frames, device=units.device) * step).long().clamp_max(units.shape[1] - 1)
    return units[:, at]


@dataclass(frozen=True)
class Score:
    """Sums over the frames of one kind (masked or not) at one resolution of a batch.

    Attributes
    ----------
    frame_period
        Seconds.
    count, loss, hits
        Frames, the sum of their cross-entropies (nats), and how many are recognized.
    """

    frame_period: float
    count: Int[Tensor, ""]
    loss: Float[Tensor, ""]
    hits: Int[Tensor, ""]


def masked_prediction(
    model: MultiResHubert,
    outputs: TrainingOutputs,
    units: Int[Tensor, "batch frames"],
    *,
    unmasked: bool = False,
) -> tuple[list[Score], list[Score], Float[Tensor, ""]]:
    """Scores of masked frames at each resolution that has a head, finest first; of other frames; the feature penalty.

    The second list is empty unless `unmasked`.
    """
    scores: tuple[list[Score], list[Score]] = ([], [])
    for head, resolution in enumerate(outputs.resolutions[: len(model.heads)]):
        assert resolution.mask is not None
        targets = targets_at(units, resolution.frames.shape[1], resolution.frame_period)
        for kind, chosen in zip(
            scores, (resolution.mask, ~resolution.mask) if unmasked else (resolution.mask,), strict=False
        ):
            target = targets[chosen]
            logits = model.logits(head, resolution.frames[chosen])
            loss = F.cross_entropy(logits, target, reduction="sum")
            kind.append(Score(resolution.frame_period, chosen.sum(), loss, (logits.argmax(1) == target).sum()))
    return *scores, outputs.feature_penalty


def score_sums(scores: list[Score]) -> Float[Tensor, "resolutions 3"]:
    """Count, loss and hits at each resolution."""
    return torch.stack([torch.stack([score.count.float(), score.loss, score.hits.float()]) for score in scores])


def mean_scores(sums: Float[Tensor, "kinds resolutions 3"]) -> list[list[float]]:
    """For each resolution, loss and accuracy of each kind of frame."""
    count, loss, hits = sums.unbind(-1)
    return torch.stack([loss / count, hits / count], dim=-1).transpose(0, 1).flatten(1).tolist()
