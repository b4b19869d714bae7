"""Masked unit prediction (HuBERT, arXiv 2106.07447; MR-HuBERT, arXiv 2310.02720), resumable to the bit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError, choose
from multires.models.acoustic import BANDS
from multires.models.checkpoint import read_config, read_header, save_model
from multires.models.config import ModelConfig, shape_name
from multires.models.encoder import Regularization
from multires.models.mr_hubert import MultiResHubert, TrainingOutputs
from multires.runtime.storage import making, replace_file
from multires.training.distributed import Processes
from multires.training.targets import HOP, WINDOW, Cepstra, Speech, Units

LOG_COLUMNS = (
    "step", "part", "resolution", "frame_period", "loss", "accuracy", "rate", "learning_rate", "unmasked_loss",
    "unmasked_accuracy",
)  # fmt: skip
"""Columns of the training log.

`part` is train or held out, `rate` is audio-seconds per second, `loss` (nats per frame) and `accuracy` are of masked
frames; the last two are of the other frames, NaN where these have no weight in the loss.
"""

_GRID = 4
"""Frames: crops begin on the grid of the coarsest resolution in use (80 ms), in every condition."""

_SAVE_SECONDS = 60


@dataclass(frozen=True)
class Recipe:
    """How to train; the same for all conditions of an experiment.

    Attributes
    ----------
    steps, batch_seconds, crop_seconds
        Optimiser steps, audio a step, and the longest stretch taken of an utterance.
    learning_rate, warmup, schedule
        The peak, reached linearly after a share `warmup` of the steps, then ``linear`` or ``cosine`` to zero.
    weight_decay, betas, clip
        Of AdamW, and the largest gradient norm. Vectors (norms, offsets) do not decay.
    mask_span, mask_probability
        Frames a span, and the share of frames that spans would cover if none overlapped.
    feature_penalty, feature_gradient
        Weight of the mean square of the waveform encoder's output; share of the gradient that reaches it. With 0 it
        stays as the warm start left it, and its frames are computed once, over whole utterances.
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
        Units, and the neighbours stacked for them (see `cepstral_units`).
    warm_steps, warm_learning_rate
        Steps in which the waveform encoder first learns to predict cepstra; none where 0.
    precision
        ``float32``, ``bfloat16`` (autocast), or ``auto``: bfloat16 where the hardware computes in it.
    log_every, held_out_batches
        Steps from row to row of the log; batches of held-out speech scored in each.
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


def mask_spans(
    batch: int, frames: int, *, span: int, probability: float, rng: np.random.Generator
) -> Bool[np.ndarray, "batch frames"]:
    """Masked frames: spans at random places, which may overlap, as many frames in each row.

    ``probability * frames / span`` spans a row (rounded at random, at least 2), their starts drawn without
    repetition; rows with more masked frames than the fewest lose some at random (HuBERT, arXiv 2106.07447,
    section 2.2, as its public code computes it).

    Raises
    ------
    MultiresError
        Where a row has no room for two spans.
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


@dataclass(frozen=True)
class Batch:
    """One step's crops, all of one length.

    Attributes
    ----------
    utterances, first_frames
        Which, and where in each the crop begins.
    frames
        20 ms frames of every crop.
    """

    utterances: np.ndarray
    first_frames: np.ndarray
    frames: int

    @property
    def seconds(self) -> float:
        """Of audio in all."""
        return len(self.utterances) * self.frames * HOP / SAMPLE_RATE


class Batches:
    """Crops of similar length by step: a pure function of the speech, the recipe and the seed.

    Each epoch takes every utterance once. Utterances are sorted by their length (at most `crop_seconds`) times a
    random factor within 5 % of one, filled up to `batch_seconds`, and all cut to the shortest in the batch at a
    random place; then the batches are shuffled. Utterances too short for two masked spans are left out (`left_out`).
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
            groups[-2] += groups.pop()  # a step on a handful of utterances would be noise
        plan = []
        for members in (groups[i] for i in rng.permutation(len(groups))):
            frames = int(min(longest, self.lengths[members].min()))
            room = (self.lengths[members] - frames) // _GRID
            plan.append(Batch(np.array(members), rng.integers(0, room + 1) * _GRID, frames))
        return plan


def cut(
    speech: Speech, units: Units, batch: Batch
) -> tuple[Float[Tensor, "batch samples"], Int[Tensor, "batch frames"]]:
    """The waveforms of a batch and the unit of each of their 20 ms frames, on the speech's device."""
    device = speech.samples.device
    begin = speech.starts[batch.utterances] + batch.first_frames * HOP
    size = (batch.frames - 1) * HOP + WINDOW
    at = torch.from_numpy(begin).to(device)[:, None] + torch.arange(size, device=device)
    return speech.samples[at].float() / 32768, units.labels[frame_places(speech, batch)].long()


def frame_places(speech: Speech, batch: Batch) -> Int[Tensor, "batch frames"]:
    """Where a batch's 20 ms frames stand in a stream of the frames of all utterances."""
    device = speech.samples.device
    first = torch.from_numpy(speech.frame_starts[batch.utterances] + batch.first_frames).to(device)
    return first[:, None] + torch.arange(batch.frames, device=device)


@torch.no_grad()
def local_frames(model: MultiResHubert, speech: Speech, *, progress: bool = False) -> Float[Tensor, "frames channels"]:
    """The front end's frames of all utterances, end to end as in `Speech.frame_starts`; log-mel ones in float16."""
    parameterless = model.config.front_end == "log_mel"
    channels = model.config.convolutions[-1][0]
    dtype = torch.float16 if parameterless else torch.float32
    frames = torch.empty(int(speech.frame_starts[-1]), channels, dtype=dtype, device=speech.samples.device)
    bar = tqdm(speech.frame_starts[:-1].tolist(), desc="front end", unit="utterance", disable=not progress)
    for index, start in enumerate(bar):
        found = model.waveform_encoder(speech.utterance(index)[None], None)[0]
        frames[start : start + len(found)] = found
    return frames


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


def pretrain(
    config: ModelConfig,
    speech: Speech,
    units: Units,
    recipe: Recipe,
    *,
    seed: int,
    out: str | Path,
    key: str,
    held_out: tuple[Speech, Units] | None = None,
    warm: Mapping[str, Tensor] | None = None,
    progress: bool = True,
    stop_after: int | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Path:
    """Train one model and write it, with how it came about, as safetensors.

    Every random choice is a function of the seed and the step, so that conditions share data order and masks, and a
    run that was interrupted continues from ``<out>.checkpoint`` to the same weights. Ctrl-C finishes the step, writes
    that file, and raises KeyboardInterrupt. Runs on the device that holds the speech; started by ``torchrun``, each
    process takes its share of every batch (see `multires.training.distributed`).

    Parameters
    ----------
    config
        Its `classes` must equal the units'.
    speech, units
        To train on; `held_out`, the same of other speakers, is scored in the log.
    out
        The safetensors file. Where it is there already, made by the same recipe, nothing is done.
    key
        The name under which the model will be known.
    warm
        Initial values by parameter name from `warm_start`, in place of those of the seed.
    report
        Called after every step with the number of steps done and the audio-seconds of the step.
    stop_after
        Steps after which to write the checkpoint and return without a model, for tests and for measuring speed.

    Returns
    -------
    pathlib.Path
        `out`, or the checkpoint where `stop_after` came first.

    Raises
    ------
    MultiresError
        Where the configuration does not fit the units, or `out` or its checkpoint belongs to another training.
    """
    out = Path(out)
    if out.exists():
        check_finished(out, config, speech, units, recipe, seed)
        return out
    if set(config.classes) != {units.classes} or config.hop != HOP or config.receptive_field != WINDOW:
        raise MultiresError(
            f"the model predicts {config.classes} units of {config.hop} samples, the targets are {units.classes} of {HOP}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = out.with_name(out.name + ".checkpoint")
    end = recipe.steps if stop_after is None else min(stop_after, recipe.steps)
    team = Processes(speech.samples.device)
    alone = making(out) if team.first else contextlib.nullcontext()
    with alone, _reproducible(speech.samples.device), _interrupts() as interrupted:
        if team.count == 1 and out.exists():  # another process was at it
            check_finished(out, config, speech, units, recipe, seed)
            return out
        training = _Training(config, speech, units, recipe, seed, held_out, warm, team)
        if checkpoint.exists():
            training.load(checkpoint)
        saved = time.monotonic()
        shown = progress and team.first
        with tqdm(total=recipe.steps, initial=training.step, desc=key, unit="step", disable=not shown) as bar:
            while training.step < end and not team.any(interrupted.is_set()):
                bar.set_postfix(training.advance(), refresh=False)
                bar.update()
                if report is not None:
                    report(training.step, training.batch_seconds)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    training.save(checkpoint)
                    saved = time.monotonic()
        if training.step < recipe.steps:
            training.save(checkpoint)
            if interrupted.is_set():
                raise KeyboardInterrupt(f"stopped after step {training.step}; run again to continue from {checkpoint}")
            return checkpoint
        if team.first:
            save_model(training.finished(key), out, **training.facts())
            checkpoint.unlink(missing_ok=True)
        team.wait()
    return out


class _Training:
    """A model, its optimiser and its log at some step."""

    def __init__(
        self,
        config: ModelConfig,
        speech: Speech,
        units: Units,
        recipe: Recipe,
        seed: int,
        held_out: tuple[Speech, Units] | None,
        warm: Mapping[str, Tensor] | None,
        team: Processes,
    ) -> None:
        self.config, self.speech, self.units, self.recipe, self.seed = config, speech, units, recipe, seed
        self.team = team
        self.device = speech.samples.device
        self.dtype = autocast_type(recipe.precision, self.device)
        regularization = Regularization(
            dropout=recipe.dropout, layerdrop=recipe.layerdrop, feature_gradient=recipe.feature_gradient
        )
        self.model = MultiResHubert(config, regularization=regularization, seed=seed)
        if warm:
            self.model.load_state_dict(dict(warm), strict=False)
        self.model.to(self.device).train()
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in self.model.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
                {"params": [p for p in self.model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
            ],
            betas=recipe.betas,
            eps=1e-6,
            fused=True,
        )
        self.batches = Batches(speech, recipe, seed)
        self.held_out = held_out
        self.frames: dict[str, Tensor] = {}
        parts = [speech] if held_out is None else [speech, held_out[0]]
        if config.front_end == "log_mel":
            self.frames = {part.fingerprint: _log_mel_frames(self.model, part) for part in parts}
        elif recipe.feature_gradient == 0.0:
            self.frames = {part.fingerprint: local_frames(self.model, part) for part in parts}
        self.step = 0
        self.batch_seconds = 0.0
        self.log: list[dict[str, float | str]] = []
        self._sums: list[Tensor] = []
        self._seconds, self._since = 0.0, time.monotonic()
        warmed = "" if warm is None else _digest({name: value.cpu().numpy().tobytes() for name, value in warm.items()})
        other = None if held_out is None else (held_out[0].fingerprint, held_out[1].fingerprint)
        self.identity = _digest(
            [config.to_dict(), asdict(recipe), seed, speech.fingerprint, units.fingerprint, warmed, other]
        )

    def advance(self) -> dict[str, str]:
        """One step; what the progress bar shows."""
        recipe = self.recipe
        batch = self.batches[self.step]
        torch.manual_seed(_number(self.seed, 2, self.step) + self.team.rank)
        rows, share = self.team.share(len(batch.utterances))
        masked, others, penalty = self._predict(self.speech, self.units, batch, [self.seed, 3, self.step], rows)
        found = [_sums(masked), _sums(others)] if others else [_sums(masked)]
        # Sums over all processes of (count, loss, hits) by kind and resolution; the loss itself is this process's part.
        totals = self.team.summed(torch.stack(found).detach() * float(share > 0))
        frames = totals[:, 0, 0].sum()
        weights = torch.ones(len(masked))
        weights[1:] = recipe.auxiliary_weight
        loss = recipe.feature_penalty * penalty * share
        for kind, weight in zip(found, (recipe.masked_weight, recipe.unmasked_weight), strict=False):
            loss = loss + weight * float(share > 0) * (kind[:, 1] * weights.to(kind.device)).sum() / frames
        self.optimiser.zero_grad()
        loss.backward()
        self.team.sum_gradients(self.model)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        rate = recipe.rate_at(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self._sums.append(totals)
        self.batch_seconds = batch.seconds
        self._seconds += batch.seconds
        self.step += 1
        if self.step % recipe.log_every == 0 or self.step == recipe.steps:
            self._write_rows([score.frame_period for score in masked], rate)
        return (
            {"loss": f"{self.log[-1]['loss']:.3f}", "accuracy": f"{self.log[-1]['accuracy']:.3f}"} if self.log else {}
        )

    def _predict(
        self, speech: Speech, units: Units, batch: Batch, stream: list[int], rows: np.ndarray | slice = slice(None)
    ) -> tuple[list[Score], list[Score], Tensor]:
        """The scores of some rows of a batch, whose mask is drawn for all of it; bands are masked in training only."""
        rng = np.random.default_rng(stream)
        mask = mask_spans(
            len(batch.utterances), batch.frames,
            span=self.recipe.mask_span, probability=self.recipe.mask_probability, rng=rng,
        )  # fmt: skip
        masked = torch.from_numpy(mask[rows]).to(self.device)
        batch = replace(batch, utterances=batch.utterances[rows], first_frames=batch.first_frames[rows])
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            if self.frames:
                at = frame_places(speech, batch)
                frames, labels = self.frames[speech.fingerprint][at].float(), units.labels[at].long()
                if self.recipe.band_masks and self.model.training:
                    rng = np.random.default_rng([*stream, 6])
                    frames = mask_bands(
                        frames, masks=self.recipe.band_masks, width=self.recipe.band_mask_width, rng=rng
                    )
                outputs = self.model.predict_from(frames, masked)
            else:
                waveforms, labels = cut(speech, units, batch)
                outputs = self.model.predict(waveforms, mask=masked)
            return masked_prediction(self.model, outputs, labels, unmasked=self.recipe.unmasked_weight > 0)

    def _write_rows(self, periods: list[float], rate: float) -> None:
        means = {"train": _means(torch.stack(self._sums).sum(0))}
        speed = self._seconds / max(time.monotonic() - self._since, 1e-9)
        if not all(math.isfinite(values[0]) for values in means["train"]):
            raise MultiresError(f"the loss is not finite after step {self.step}: lower the recipe's learning_rate")
        if self.held_out is not None and self.recipe.held_out_batches:
            means["held out"] = self._score_held_out(*self.held_out)
        for part, rows in means.items():
            for resolution, ((loss, hit, *other), period) in enumerate(zip(rows, periods, strict=True)):
                row = (self.step, part, resolution, period, loss, hit, speed, rate, *(other or (math.nan, math.nan)))
                self.log.append(dict(zip(LOG_COLUMNS, row, strict=True)))
        self._sums, self._seconds, self._since = [], 0.0, time.monotonic()

    def _score_held_out(self, speech: Speech, units: Units) -> list[list[float]]:
        """The same crops and masks each time."""
        batches = Batches(speech, self.recipe, seed=0)
        self.model.eval()
        with torch.no_grad():
            scored = [self._predict(speech, units, batches[i], [5, i])[:2] for i in range(self.recipe.held_out_batches)]
        self.model.train()
        return _means(torch.stack([torch.stack([_sums(kind) for kind in kinds if kind]) for kinds in scored]).sum(0))

    def save(self, path: Path) -> None:
        """Everything that the next step depends on, in one file, replaced in one step."""
        if not self.team.first:
            return
        state = {
            "identity": self.identity, "step": self.step, "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(), "log": self.log, "sums": self._sums,
        }  # fmt: skip
        replace_file(path, lambda file: torch.save(state, file))

    def load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            identity = state["identity"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise MultiresError(f"cannot read the checkpoint {path}: delete it to start again") from error
        if identity != self.identity:
            raise MultiresError(
                f"{path} belongs to another configuration, recipe, seed or corpus: delete it or move it"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.log, self._sums = state["step"], state["log"], state["sums"]

    def finished(self, key: str) -> MultiResHubert:
        """The model in float16, as it is shipped."""
        description = f"{shape_name(self.config)}, {self.step} steps on {self.speech.name} (seed {self.seed})"
        model = MultiResHubert(self.config, seed=None, key=key, description=description, trained=True)
        model.load_state_dict(self.model.state_dict())
        return model.half()

    def facts(self) -> dict[str, str]:
        """How the model came about, for the file's header."""
        return {
            "recipe": json.dumps(asdict(self.recipe)),
            "seed": str(self.seed),
            "corpus": self.speech.name,
            "corpus_fingerprint": self.speech.fingerprint,
            "corpus_seconds": f"{self.speech.seconds:.1f}",
            "units": self.units.source,
            "units_fingerprint": self.units.fingerprint,
            "left_out": str(self.batches.left_out),
            "log": json.dumps([[_short(row[column]) for column in LOG_COLUMNS] for row in self.log]),
        }


def check_finished(path: Path, config: ModelConfig, speech: Speech, units: Units, recipe: Recipe, seed: int) -> None:
    """Check that a model was trained as asked: its configuration, recipe, seed, speech and units.

    Raises
    ------
    MultiresError
        Naming what differs.
    """
    header, made = read_config(path)
    try:
        then = Recipe(**{name: _as_tuple(value) for name, value in json.loads(header["recipe"]).items()})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise MultiresError(f"{path} does not say how it was trained: move it, or choose another folder") from error
    different = [
        f"{name} {getattr(then, name)!r} instead of {getattr(recipe, name)!r}"
        for name in asdict(recipe)
        if getattr(then, name) != getattr(recipe, name)
    ]
    if made != config:
        different.append("another architecture")
    for name, wanted in (("seed", str(seed)), ("corpus_fingerprint", speech.fingerprint)):
        if header.get(name) != wanted:
            different.append(f"{name} {header.get(name)!r} instead of {wanted!r}")
    if header.get("units_fingerprint", units.fingerprint) != units.fingerprint:
        different.append("other units to predict")
    if different:
        raise MultiresError(
            f"{path} was trained otherwise ({'; '.join(different[:4])}): move it, or choose another folder"
        )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def warm_start(
    config: ModelConfig, speech: Speech, recipe: Recipe, *, seed: int, progress: bool = True
) -> dict[str, Tensor]:
    """Values of the waveform encoder after it has learnt to predict each frame's cepstra, by parameter name.

    It starts from the seed's own initial values and sees the batches that the first steps of training will see;
    all conditions of a seed share it. Empty where the recipe has no `warm_steps`.
    """
    if not recipe.warm_steps:
        return {}
    with _reproducible(speech.samples.device):
        return _predict_cepstra(config, speech, recipe, seed, progress)


def _predict_cepstra(
    config: ModelConfig, speech: Speech, recipe: Recipe, seed: int, progress: bool
) -> dict[str, Tensor]:
    device = speech.samples.device
    model = MultiResHubert(config, seed=seed)
    torch.manual_seed(_number(seed, 4, 0))
    head = torch.nn.Linear(config.convolutions[-1][0], 20).to(device)
    kept = torch.nn.ModuleDict({"waveform_encoder": model.waveform_encoder, "feature_norm": model.feature_norm})
    kept.to(device).train()
    cepstra = Cepstra(20, deltas=False).to(device)
    parameters = [*kept.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.0, betas=recipe.betas, eps=1e-6)
    plan = replace(
        recipe, steps=recipe.warm_steps, learning_rate=recipe.warm_learning_rate, schedule="cosine", warmup=0.05
    )
    batches = Batches(speech, plan, seed)
    empty = Units(torch.zeros(int(speech.frame_starts[-1]), dtype=torch.int32, device=device), 1, "none", "")
    dtype = autocast_type(recipe.precision, device)
    bar = tqdm(range(plan.steps), desc="warm start", unit="step", disable=not progress)
    for step in bar:
        waveforms, _ = cut(speech, empty, batches[step])
        target = cepstra(waveforms)
        target = target / target.std((0, 1), keepdim=True)
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            features = model.waveform_encoder(waveforms, None)
            found = head(model.feature_norm(features)).float()
        loss = F.mse_loss(found, target) + recipe.feature_penalty * features.float().square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(step)
        optimiser.step()
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return {name: value.detach().cpu().clone() for name, value in kept.state_dict().items()}


def autocast_type(precision: str, device: torch.device) -> torch.dtype:
    """The type that matrix products compute in."""
    if precision == "auto":
        precision = "bfloat16" if _computes_bfloat16(device) else "float32"
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return device.type == "cpu" and "amx_bf16" in flags


def training_log(path: str | Path) -> pd.DataFrame:
    """The training log in a pretrained model's header, as a table with `LOG_COLUMNS`.

    Raises
    ------
    MultiresError
        Where the file is not a model of ours or holds no log.
    """
    header = read_header(Path(path))
    if "log" not in header:
        raise MultiresError(f"{path} holds no training log: it was not made by `multires pretrain`")
    rows = json.loads(header["log"])
    filled = [[*row, *[math.nan] * (len(LOG_COLUMNS) - len(row))] for row in rows]  # the last columns came later
    return pd.DataFrame(filled, columns=list(LOG_COLUMNS))


_FRAMES: dict[str, Tensor] = {}
"""Log-mel frames by the fingerprint of the speech: they depend on nothing that is trained."""


def keep_frames(speech: Speech, frames: Float[Tensor, "frames channels"]) -> None:
    """Use log-mel frames computed before, as `local_frames` gives them, for some speech in this process."""
    _FRAMES[speech.fingerprint] = frames


def _log_mel_frames(model: MultiResHubert, speech: Speech) -> Tensor:
    if speech.fingerprint not in _FRAMES:
        _FRAMES[speech.fingerprint] = local_frames(model, speech)
    return _FRAMES[speech.fingerprint]


def _sums(scores: list[Score]) -> Float[Tensor, "resolutions 3"]:
    """Count, loss and hits at each resolution."""
    return torch.stack([torch.stack([score.count.float(), score.loss, score.hits.float()]) for score in scores])


def _means(sums: Float[Tensor, "kinds resolutions 3"]) -> list[list[float]]:
    """For each resolution, loss and accuracy of each kind of frame."""
    count, loss, hits = sums.unbind(-1)
    return torch.stack([loss / count, hits / count], dim=-1).transpose(0, 1).flatten(1).tolist()


def _short(value: float | str) -> float | str | None:
    return (float(f"{value:.5g}") if math.isfinite(value) else None) if isinstance(value, float) else value


@contextlib.contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, and the caller's random state and settings put back afterwards."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Every tensor is written before it is read here; filling them first costs a twelfth of the time.
        filling: Any = torch.utils.deterministic
        filled, filling.fill_uninitialized_memory = filling.fill_uninitialized_memory, False
        try:
            yield
        finally:
            filling.fill_uninitialized_memory = filled
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, where the caller is the main thread."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _number(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
