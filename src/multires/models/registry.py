"""What models there are, by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multires.errors import MultiresError
from multires.models.acoustic import ACOUSTIC
from multires.models.checkpoint import read_config
from multires.models.config import ARCHITECTURES, SIZES, ModelConfig, preset, shape_name
from multires.models.mr_hubert import MultiResHubert

_PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class Published:
    """A published checkpoint.

    Attributes
    ----------
    key, description
        Its name here, and one line for people.
    data, reference
        What it was trained on, and where it is described.
    url
        Where it is fetched from.
    config
        Its architecture as far as papers and published training configurations tell it, for tables only: loading goes
        by the checkpoint's own configuration. None where only the checkpoint knows.
    """

    key: str
    description: str
    data: str
    reference: str
    url: str
    config: ModelConfig | None


@cache
def published() -> dict[str, Published]:
    """The published checkpoints by key."""
    text = resources.files("multires.models").joinpath("published.csv").read_text(encoding="utf-8")
    return {row["key"]: _entry(row) for row in csv.DictReader(text.splitlines())}


def _entry(row: dict[str, str]) -> Published:
    config = None
    if row["size"]:
        depths = tuple(int(depth) for depth in row["depths"].split("-"))
        ratios = tuple((int(up), int(down)) for up, down in (pair.split(":") for pair in row["ratios"].split()))
        changes: dict[str, Any] = {"depths": depths, "ratios": ratios, "classes": (1,) * (len(ratios) + 1)}
        if row["options"] == "plain":
            changes["plain_samplers"] = True
        if row["options"] == "unnormalized":
            changes["normalize_input"] = False
        config = preset("multi" if ratios else "hubert", row["size"], **changes)
    return Published(row["key"], row["description"], row["data"], row["reference"], row["url"], config)


def shipped() -> dict[str, Path]:
    """The models that come with the package, by key: their file's place below ``pretrained`` without the suffix."""
    files = sorted(_PRETRAINED.rglob("*.safetensors")) if _PRETRAINED.is_dir() else []
    return {file.relative_to(_PRETRAINED).with_suffix("").as_posix(): file for file in files}


def untrained() -> list[str]:
    """Names of untrained models."""
    return [f"untrained/{architecture}-{size}" for architecture in ARCHITECTURES for size in SIZES]


def models_table() -> pd.DataFrame:
    """Every model that `load_model` knows by key: one a row.

    `parameters` leaves out the prediction heads, which no layer needs; `megabytes` are those of these parameters in
    float32 (a published file may hold the optimizer's state beside them and be three times as large); `known_from`
    says whether the architecture is told by papers and training configurations, or only by the checkpoint itself.
    """
    rows: list[dict[str, Any]] = []
    for key, path in shipped().items():
        header, config = read_config(path)
        steps = json.loads(header["recipe"])["steps"]
        told = f"{shape_name(config)}, {steps} steps on {header['corpus']} (seed {header['seed']})"
        rows.append(_row(key, told, "this companion", config, "file"))
    for entry in published().values():
        known = "paper" if entry.config is not None else "checkpoint"
        rows.append(_row(entry.key, f"{entry.description}; {entry.data}", entry.reference, entry.config, known))
    for name in untrained():
        architecture, _, size = name.partition("/")[2].partition("-")
        rows.append(_row(name, "random weights", "this companion", preset(architecture, size), "preset"))
    for name, kind in ACOUSTIC.items():
        model = kind()
        periods = f"{1000 * model.layers[0].frame_period:g}"
        rows.append(
            {"key": name, "description": model.description, "reference": "", "parameters": 0, "layers": "1",
             "frame_periods_ms": periods, "megabytes": 0.0, "known_from": "code"}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    return table.astype({"parameters": "Int64"})


def _row(key: str, description: str, reference: str, config: ModelConfig | None, known_from: str) -> dict[str, Any]:
    row = {"key": key, "description": description, "reference": reference}
    if config is None:
        return {
            **row,
            "parameters": pd.NA,
            "layers": "",
            "frame_periods_ms": "",
            "megabytes": None,
            "known_from": known_from,
        }
    count = parameter_count(config)
    return {
        **row,
        "parameters": count,
        "layers": "-".join(map(str, config.depths)),
        "frame_periods_ms": "/".join(f"{1000 * config.frame_periods[r]:g}" for r in config.block_resolutions),
        "megabytes": round(count * 4 / 1e6, 1),
        "known_from": known_from,
    }


def layers_of(keys: Sequence[str]) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """The layers of published models, and those that they predict units from; nothing is downloaded or computed.

    Returns
    -------
    pandas.DataFrame
        A row a layer: model, layer, label, block, depth and frame_period (ms).
    dict
        For each model what `LayeredModel.predicts_from` gives.

    Raises
    ------
    MultiresError
        For a model that is not published, or whose architecture only its checkpoint tells.
    """
    rows, predicts_from = [], {}
    for key in keys:
        entry = published().get(key)
        if entry is None or entry.config is None:
            raise MultiresError(f"no architecture is known here for {key!r}: see `multires models`")
        with torch.device("meta"):
            model = MultiResHubert(entry.config, seed=None)
        predicts_from[key] = model.predicts_from
        rows += [{"model": key, "layer": layer.name, "label": layer.label, "block": layer.block, "depth": layer.index,
                  "frame_period": 1000 * layer.frame_period} for layer in model.layers]  # fmt: skip
    return pd.DataFrame(rows), predicts_from


def parameter_count(config: ModelConfig) -> int:
    """Parameters without the prediction heads."""
    with torch.device("meta"):
        model = MultiResHubert(config, seed=None)
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith(("heads.", "units.")))


def unknown_model(name: str) -> MultiresError:
    """The error that says what there is."""
    known = [*shipped(), *ACOUSTIC, *published(), *untrained()]
    return MultiresError(
        f"unknown model {name!r}: choose one of {', '.join(known)}, torchaudio:<bundle>, transformers:<folder or name>, "
        "the path of a checkpoint, or its URL"
    )
