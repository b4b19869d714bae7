"""Masked unit prediction (HuBERT, arXiv 2106.07447; MR-HuBERT, arXiv 2310.02720), resumable to the bit."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from multires.errors import MultiresError
from multires.models.checkpoint import save_model
from multires.models.config import ModelConfig, shape_name
from multires.models.encoder import Regularization
from multires.models.mr_hubert import MultiResHubert
from multires.runtime.processes import noted_interrupts
from multires.runtime.storage import making, replace_file
from multires.training.batches import Batch, Batches, cut, frame_places, mask_bands, mask_spans
from multires.training.distributed import Processes
from multires.training.front_end import local_frames, log_mel_frames
from multires.training.loss import Score, masked_prediction, mean_scores, score_sums
from multires.training.recipe import Recipe, autocast_type
from multires.training.records import LOG_COLUMNS, check_finished, short
from multires.training.reproducible import repr_digest, reproducible, stream_number
from multires.training.speech import HOP, WINDOW, Speech
from multires.training.targets import Units

_SAVE_SECONDS = 60


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
    """Train one model and write it, with its training metadata, as safetensors.

    Every random choice is a function of the seed and the step, so that conditions share data order and masks, and a
    run that was interrupted continues from ``<out>.checkpoint`` to the same weights. Ctrl-C finishes the step, writes
    that file, and raises KeyboardInterrupt. Runs on the device that holds the speech; started by ``torchrun``, each
    process takes its share of every batch (see `multires.training.distributed`).

    Parameters
    ----------
    config
        Model configuration; its `classes` must equal the units'.
    speech, units
        Training data; `held_out`, the same for other speakers, is scored in the log.
    out
        The safetensors file. If it exists and was trained in the same way, it is kept.
    key
        Name of the model in tables and figures.
    warm
        Initial values by parameter name from `warm_start`, replacing those of the seed.
    report
        Called after every step with the number of steps done and the audio-seconds of the step.
    stop_after
        Number of steps after which to write the checkpoint and return without a model, for tests and timings.

    Returns
    -------
    pathlib.Path
        `out`, or the checkpoint if `stop_after` came first.

    Raises
    ------
    MultiresError
        If the configuration does not fit the units, or `out` or its checkpoint belongs to another training.
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
    team = Processes(speech.device)
    alone = making(out) if team.first else contextlib.nullcontext()
    with alone, reproducible(speech.device), noted_interrupts() as interrupted:
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
    """A model, its optimizer and its log at some step."""

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
        self.device = speech.device
        # All processes compute in one type, though each may have measured the speed itself.
        reduced = team.any(autocast_type(recipe.precision, self.device) is torch.bfloat16)
        self.dtype = torch.bfloat16 if reduced else torch.float32
        regularization = Regularization(
            dropout=recipe.dropout, layerdrop=recipe.layerdrop, feature_gradient=recipe.feature_gradient
        )
        self.model = MultiResHubert(config, regularization=regularization, seed=seed)
        if warm:
            self.model.load_state_dict(dict(warm), strict=False)
        self.model.to(self.device).train()
        self.optimizer = torch.optim.AdamW(
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
            self.frames = {part.fingerprint: log_mel_frames(self.model, part) for part in parts}
        elif recipe.feature_gradient == 0.0:
            self.frames = {part.fingerprint: local_frames(self.model, part) for part in parts}
        self.step = 0
        self.batch_seconds = 0.0
        self.log: list[dict[str, float | str]] = []
        self._sums: list[Tensor] = []
        self._seconds, self._since = 0.0, time.monotonic()
        warmed = (
            "" if warm is None else repr_digest({name: value.cpu().numpy().tobytes() for name, value in warm.items()})
        )
        other = None if held_out is None else (held_out[0].fingerprint, held_out[1].fingerprint)
        self.identity = repr_digest(
            [config.to_dict(), asdict(recipe), seed, speech.fingerprint, units.fingerprint, warmed, other]
        )

    def advance(self) -> dict[str, str]:
        """Run one step; return the values that the progress bar shows."""
        recipe = self.recipe
        batch = self.batches[self.step]
        torch.manual_seed(stream_number(self.seed, 2, self.step) + self.team.rank)
        rows, share = self.team.share(len(batch.utterances))
        masked, others, penalty = self._predict(self.speech, self.units, batch, [self.seed, 3, self.step], rows)
        found = [score_sums(masked), score_sums(others)] if others else [score_sums(masked)]
        # Sums over all processes of (count, loss, hits) by kind and resolution; the loss itself is this process's part.
        totals = self.team.summed(torch.stack(found).detach() * float(share > 0))
        frames = totals[:, 0, 0].sum()
        weights = torch.ones(len(masked))
        weights[1:] = recipe.auxiliary_weight
        loss = recipe.feature_penalty * penalty * share
        for kind, weight in zip(found, (recipe.masked_weight, recipe.unmasked_weight), strict=False):
            loss = loss + weight * float(share > 0) * (kind[:, 1] * weights.to(kind.device)).sum() / frames
        self.optimizer.zero_grad()
        loss.backward()
        self.team.sum_gradients(self.model)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        rate = recipe.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
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
                there = self.frames[speech.fingerprint]
                frames = there[at.to(there.device)].to(self.device).float()
                labels = units.labels[at].long()
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
        means = {"train": mean_scores(torch.stack(self._sums).sum(0))}
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
        """Score fixed crops and masks of the held-out speech."""
        batches = Batches(speech, self.recipe, seed=0)
        self.model.eval()
        with torch.no_grad():
            scored = [self._predict(speech, units, batches[i], [5, i])[:2] for i in range(self.recipe.held_out_batches)]
        self.model.train()
        return mean_scores(
            torch.stack([torch.stack([score_sums(kind) for kind in kinds if kind]) for kinds in scored]).sum(0)
        )

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, atomically."""
        if not self.team.first:
            return
        state = {
            "identity": self.identity, "step": self.step, "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "log": self.log, "sums": self._sums,
            "reduced": self.dtype is torch.bfloat16,
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
        # Checkpoints of earlier versions spell the key in British English.
        self.optimizer.load_state_dict(state["optimizer" if "optimizer" in state else "optimiser"])  # codespell:ignore
        self.step, self.log, self._sums = state["step"], state["log"], state["sums"]
        # A run keeps its precision on any machine; checkpoints of earlier versions do not hold it.
        self.dtype = torch.bfloat16 if state.get("reduced", self.dtype is torch.bfloat16) else torch.float32

    def finished(self, key: str) -> MultiResHubert:
        """The trained model in float16."""
        description = f"{shape_name(self.config)}, {self.step} steps on {self.speech.name} (seed {self.seed})"
        model = MultiResHubert(self.config, seed=None, key=key, description=description, trained=True)
        model.load_state_dict(self.model.state_dict())
        return model.half()

    def facts(self) -> dict[str, str]:
        """Training metadata for the file's header."""
        return {
            "recipe": json.dumps(asdict(self.recipe)),
            "seed": str(self.seed),
            "corpus": self.speech.name,
            "corpus_fingerprint": self.speech.fingerprint,
            "corpus_seconds": f"{self.speech.seconds:.1f}",
            "units": self.units.source,
            "units_fingerprint": self.units.fingerprint,
            "left_out": str(self.batches.left_out),
            "log": json.dumps([[short(row[column]) for column in LOG_COLUMNS] for row in self.log]),
        }
