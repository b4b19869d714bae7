"""Estimated cost of an experiment, from the time of a few steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from multires.experiment.conditions import Size, condition_config
from multires.experiment.material import Material
from multires.models.mr_hubert import MultiResHubert
from multires.training.pretrain import pretrain
from multires.training.targets import Units


def estimate(material: Material, size: Size, conditions: Sequence[str], seeds: Sequence[int], device: str) -> str:
    """Models, parameters, megabytes and hours, from the time of a few steps of the largest condition."""
    config = condition_config("multi+aux", size)
    parameters = sum(p.numel() for p in MultiResHubert(config, seed=None).parameters())
    blank = torch.zeros(int(material.speech.frame_starts[-1]), dtype=torch.int32, device=material.speech.device)
    units = Units(blank, size.recipe.classes, "none", "")
    with tempfile.TemporaryDirectory() as folder:

        def run_to(step: int) -> float:
            begin = time.perf_counter()
            pretrain(config, material.speech, units, size.recipe, seed=0, out=Path(folder) / "m.safetensors", key="rate",
                     progress=False, stop_after=step)  # fmt: skip
            return time.perf_counter() - begin

        first, more = run_to(1), min(5, size.recipe.steps - 1)
        # The first step takes longer, and is left out where there is another.
        seconds = max(run_to(1 + more) - min(first, 0.5), 1e-3) / more if more else first
    trained = len(conditions) * len(seeds)
    steps = trained * size.recipe.steps + len(seeds) * size.recipe.warm_steps
    return (
        f"{trained} models of about {parameters / 1e6:.2f} million parameters ({2 * parameters / 1e6:.1f} MB each), "
        f"{size.recipe.steps} steps of {size.recipe.batch_seconds:g} s of speech each, from "
        f"{material.speech.seconds / 3600:.2f} h; {seconds:.2f} s a step on {device} "
        f"({size.recipe.batch_seconds / seconds:.0f} audio-seconds per second): about {duration(steps * seconds)} of "
        "training, then the evaluation"
    )


def duration(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{max(seconds / 60, 0.1):.1f} minutes"
