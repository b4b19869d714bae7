"""A part of a run: some of its models, for measures that would cost too much on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from multires.analysis.run import ACOUSTIC, Run

PAIRS = (("mono+aux", "multi+aux"), ("mono", "multi"))
"""Conditions that differ in downsampling alone, those with the auxiliary loss first."""

_SHARED = ("corpus", "shared_speakers", "segments", "frame_sample", "_shared_segments")
"""Data of a run that is read once and does not depend on its models."""


def part_of(run: Run, models: Sequence[str], **settings: Any) -> Run:
    """The same run with some of its models only.

    Parameters
    ----------
    run
        What it has read, loaded and extracted so far serves the part too.
    models
        Names among those of the run.
    settings
        Further fields of the profile to replace, of those that corpus and segments do not depend on.
    """
    part = replace(run, profile=replace(run.profile, models=tuple(models), **settings))
    shared = [name for name in _SHARED if name in run.__dict__]
    if "frame_utterances" in settings and "frame_sample" in shared:
        shared.remove("frame_sample")
    part.__dict__.update({name: run.__dict__[name] for name in shared})
    return part


def resolution_pair(run: Run) -> tuple[str, ...]:
    """Two trained models of a run that differ in downsampling alone, that with downsampling first.

    Where the run has no such pair, its first two models with layers to compare.
    """
    subjects = [subject for subject in run.subjects if subject.name not in ACOUSTIC]
    trained = {run.condition(each): each.name for each in subjects if run.model(each.name, each.seed).trained}
    for fine, coarse in PAIRS:
        if fine in trained and coarse in trained:
            return trained[coarse], trained[fine]
    return tuple(dict.fromkeys(subject.name for subject in subjects))[:2] or tuple(run.profile.models[:2])
