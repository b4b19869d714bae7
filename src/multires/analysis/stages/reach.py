"""Effective context of layers: the stretch of speech that a frame depends on, from input gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run, Subject
from multires.analysis.stages.gather import gather_rows, layer_columns, subject_columns
from multires.analysis.stages.grid import framed_layers
from multires.analysis.stages.rows import run_parameters
from multires.corpus.utterance import SAMPLE_RATE, Utterance
from multires.features.gradients import input_gradients
from multires.measures.context import effective_context
from multires.models.layers import Layer
from multires.models.mr_hubert import MultiResHubert
from multires.results import Result

_SPEAKERS = 10
"""Utterances, each by another speaker."""

_SECONDS = 4.0
"""Length of a clip, at most."""

_PLACES = (3 / 8, 5 / 8)
"""Frames that are looked at, as shares of a clip."""


@dataclass(frozen=True)
class _Work:
    """One model, and the clips that it hears: a piece of work."""

    subject: Subject
    clips: tuple[np.ndarray, ...]
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.columns["model"])


def context(run: Run) -> Result:
    """Seconds before and after a frame that hold 90 % of its squared gradient, by layer.

    Clips of at most 4 s by ten speakers of the evaluation splits; see `multires.measures.effective_context`, whose
    baseline is the context of a uniform gradient. Models of other libraries are left out.
    """

    def rows_of(work: _Work) -> list[dict[str, Any]]:
        model = run.model(work.subject.name, work.subject.seed)
        if not isinstance(model, MultiResHubert):
            return []
        return _context_rows(run, model.to(run.device).eval(), framed_layers(run, work.subject), work)

    def compute() -> pd.DataFrame:
        clips = tuple(spoken_clips(run.frame_sample, run.profile.evaluation))
        works = [_Work(subject, clips, subject_columns(run, subject)) for subject in run.subjects]
        return gather_rows(run, "context", works, rows_of, unit="model")

    return run.table("context", run_parameters(run, "evaluation", "frame_utterances", "resamples"), compute)


def spoken_clips(utterances: Sequence[Utterance], splits: Sequence[str]) -> list[np.ndarray]:
    """The beginnings, of equal length, of the longest utterances of some splits, each by another speaker."""
    chosen: dict[str, Utterance] = {}
    for utterance in sorted(utterances, key=lambda each: (-each.duration, each.id)):
        if utterance.split in splits:
            chosen.setdefault(utterance.speaker, utterance)
    audio = [utterance.audio for utterance in list(chosen.values())[:_SPEAKERS]]
    length = min([round(_SECONDS * SAMPLE_RATE), *map(len, audio)])
    return [samples[:length] for samples in audio]


def _context_rows(run: Run, model: MultiResHubert, layers: Sequence[Layer], work: _Work) -> list[dict[str, Any]]:
    if not work.clips:
        return []
    seconds = len(work.clips[0]) / SAMPLE_RATE
    frames = {
        layer.name: [round((share * seconds - layer.first_center) / layer.frame_period) for share in _PLACES]
        for layer in layers
    }
    found = [input_gradients(model, clip, frames, seed=run.seed, device=run.device) for clip in work.clips]
    first = model.layers[0]
    rows = []
    for layer in layers:
        result = effective_context(
            np.concatenate([gradients[layer.name] for gradients in found]),
            np.tile(layer.first_center + layer.frame_period * np.array(frames[layer.name]), len(found)),
            first.frame_period, first_input=first.first_center, clusters=np.repeat(np.arange(len(found)), len(_PLACES)),
            seed=run.seed, replicates=max(run.profile.resamples, 2), name=f"{work} {layer.name}",
        )  # fmt: skip
        rows += result.rows(**work.columns, **layer_columns(layer), view="input")
    return rows
