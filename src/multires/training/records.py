"""Training metadata in a model's header: the log, and checks of how it was trained."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.models.checkpoint import read_config, read_header
from multires.models.config import ModelConfig
from multires.training.recipe import Recipe
from multires.training.speech import Speech
from multires.training.targets import Units

LOG_COLUMNS = (
    "step", "part", "resolution", "frame_period", "loss", "accuracy", "rate", "learning_rate", "unmasked_loss",
    "unmasked_accuracy",
)  # fmt: skip
"""Columns of the training log.

`part` is train or held out, `rate` is audio-seconds per second, `loss` (nats per frame) and `accuracy` are of masked
frames; the last two are of the other frames, NaN where these have no weight in the loss.
"""


def training_log(path: str | Path) -> pd.DataFrame:
    """The training log in a pretrained model's header, as a table with `LOG_COLUMNS`.

    Raises
    ------
    MultiresError
        If the file is not a multires model or holds no log.
    """
    header = read_header(Path(path))
    if "log" not in header:
        raise MultiresError(f"{path} holds no training log: it was not made by `multires pretrain`")
    rows = json.loads(header["log"])
    filled = [[*row, *[math.nan] * (len(LOG_COLUMNS) - len(row))] for row in rows]  # the last columns came later
    return pd.DataFrame(filled, columns=list(LOG_COLUMNS))


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


def short(value: float | str) -> float | str | None:
    """A value of the log with five digits; None where it is not finite, since JSON has no such number."""
    return (float(f"{value:.5g}") if math.isfinite(value) else None) if isinstance(value, float) else value
