"""The recipe of a training: everything but the model's shape, the speech and the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError, choose
from multires.models.acoustic import BANDS
from multires.runtime.speed import fastest_precision
from multires.training.speech import HOP


@dataclass(frozen=True)
class Recipe:
    """Training settings, the same for all conditions of an experiment.

    Attributes
    ----------
    steps, batch_seconds, crop_seconds
        Optimizer steps, seconds of audio per step, and the longest crop of an utterance.
    learning_rate, warmup, schedule
        Peak learning rate, reached linearly in the share `warmup` of the steps; then ``linear`` or ``cosine`` decay to
        zero.
    weight_decay, betas, clip
        Of AdamW, and the largest gradient norm. Vectors (norms, biases) have no weight decay.
    mask_span, mask_probability
        Frames per masked span, and the share of frames that the spans would cover if none overlapped.
    feature_penalty, feature_gradient
        Weight of the mean square of the waveform encoder's output, and factor of the gradient that reaches the encoder.
        With 0 the encoder keeps its initial values and its frames are computed once, over whole utterances.
    masked_weight, unmasked_weight
        Weights of the loss on masked and on other frames (fairseq's `pred_masked_weight` and `pred_nomask_weight`).
        Losses are summed over frames and resolutions and divided by the number of frames of the finest resolution that
        have a weight, as fairseq's criterion does.
    auxiliary_weight
        Weight of the loss at each resolution below the finest, where there is one.
    band_masks, band_mask_width
        Stretches of mel bands set to their mean in each crop, and the largest width of one (SpecAugment,
        arXiv 1904.08779, frequency masking); with a log-mel front end only.
    dropout, layerdrop
        Of the Transformer.
    classes, context
        Number of units, and neighboring frames stacked before clustering (see `cepstral_units`).
    warm_steps, warm_learning_rate
        Steps in which the waveform encoder first learns to predict cepstra; 0 for none.
    precision
        ``float32``, ``bfloat16`` (autocast), or ``auto``: the faster one (see `multires.runtime.speed.fastest_precision`).
    log_every, held_out_batches
        Steps between rows of the log, and batches of held-out speech that are scored for each row.
    """

    steps: int = 4_000
    batch_seconds: float = 60.0
    crop_seconds: float = 6.0
    learning_rate: float = 2e-3
    warmup: float = 0.08
    schedule: str = "linear"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    mask_span: int = 10
    mask_probability: float = 0.8
    feature_penalty: float = 10.0
    feature_gradient: float = 0.1
    masked_weight: float = 1.0
    unmasked_weight: float = 0.0
    auxiliary_weight: float = 1.0
    band_masks: int = 0
    band_mask_width: int = 20
    dropout: float = 0.0
    layerdrop: float = 0.0
    classes: int = 100
    context: int = 0
    warm_steps: int = 400
    warm_learning_rate: float = 3e-3
    precision: str = "auto"
    log_every: int = 100
    held_out_batches: int = 2

    def __post_init__(self) -> None:
        choose("schedule", self.schedule, ("linear", "cosine"))
        choose("precision", self.precision, ("auto", "float32", "bfloat16"))
        for name in (
            "steps",
            "batch_seconds",
            "learning_rate",
            "clip",
            "mask_span",
            "classes",
            "log_every",
            "masked_weight",
        ):
            if not getattr(self, name) > 0:
                raise MultiresError(f"the recipe's {name} must be above 0, not {getattr(self, name)!r}")
        for name in ("unmasked_weight", "auxiliary_weight", "band_masks"):
            if not getattr(self, name) >= 0:
                raise MultiresError(f"the recipe's {name} must be at least 0, not {getattr(self, name)!r}")
        if not 1 <= self.band_mask_width <= BANDS:
            raise MultiresError(f"the recipe's band_mask_width must be 1 to {BANDS}, not {self.band_mask_width!r}")
        for name in ("warmup", "mask_probability", "feature_gradient", "dropout", "layerdrop"):
            if not 0 <= getattr(self, name) <= 1:
                raise MultiresError(f"the recipe's {name} must be between 0 and 1, not {getattr(self, name)!r}")
        if self.crop_seconds < 2 * self.mask_span * HOP / SAMPLE_RATE:
            raise MultiresError(f"the recipe's crop_seconds must hold two masked spans, not {self.crop_seconds!r}")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, round(self.warmup * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        left = 1 - (step - warm) / max(1, self.steps - warm)
        return self.learning_rate * (left if self.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left)))


def autocast_type(precision: str, device: torch.device) -> torch.dtype:
    """The type that matrix products compute in: for ``auto``, the faster one as measured on this machine."""
    chosen = fastest_precision("auto", device) if precision == "auto" else precision
    return torch.bfloat16 if chosen == "bfloat16" else torch.float32
