"""Registry of models by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
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
from multires.models.condition import check_published, condition_of
from multires.models.config import ARCHITECTURES, PRESETS, ModelConfig, preset, shape_name
from multires.models.layers import LayeredModel
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
        Address that it is downloaded from.
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
        options = row["options"].split()
        if "plain" in options:
            changes["plain_samplers"] = True
        if "unnormalized" in options:
            changes["normalize_input"] = False
        if "single" in options:
            changes |= {"single_prediction": True, "classes": (1,)}
        config = preset("multi" if ratios else "hubert", row["size"], **changes)
    return Published(row["key"], row["description"], row["data"], row["reference"], row["url"], config)


def shipped() -> dict[str, Path]:
    """The models that come with the package, by key: their file's place below ``pretrained`` without the suffix."""
    files = sorted(_PRETRAINED.rglob("*.safetensors")) if _PRETRAINED.is_dir() else []
    return {file.relative_to(_PRETRAINED).with_suffix("").as_posix(): file for file in files}


def untrained() -> list[str]:
    """Names of untrained models."""
    return [f"untrained/{architecture}-{size}" for architecture in ARCHITECTURES for size in PRESETS]


def models_table() -> pd.DataFrame:
    """Every model that `load_model` knows by key: one a row.

    `cell` is the cell of the experiment (downsampling x auxiliary loss) that a model belongs to. For a published
    checkpoint it is the one expected from the papers, and `confirmed_by` names the options in the file's own
    configuration that confirm it: a loaded model's `condition` goes by them. `parameters` leaves out the prediction heads, which no layer needs; `megabytes` are those of these parameters in
    float32 (a published file may hold the optimizer's state beside them and be three times as large); `known_from`
    says whether the architecture is known from papers and training configurations, or only from the checkpoint.
    """
    rows: list[dict[str, Any]] = []
    for key, path in shipped().items():
        header, config = read_config(path)
        steps = json.loads(header["recipe"])["steps"]
        description = f"{shape_name(config)}, {steps} steps on {header['corpus']} (seed {header['seed']})"
        cell = condition_of(config).cell
        rows.append(
            {**_row(key, description, "this companion", config, "file"), "cell": cell, "confirmed_by": "its header"}
        )
    for entry in published().values():
        known = "paper" if entry.config is not None else "checkpoint"
        row = _row(entry.key, f"{entry.description}; {entry.data}", entry.reference, entry.config, known)
        rows.append({**row, **_expectation(entry)})
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
    return table.fillna({"cell": "", "confirmed_by": ""}).astype({"parameters": "Int64"})


def expected_cells() -> dict[str, str]:
    """The cell that each published checkpoint is expected in, where papers and pull requests say."""
    return {e.key: condition_of(e.config).cell for e in published().values() if e.config is not None}


def _expectation(entry: Published) -> dict[str, str]:
    if entry.config is None:
        return {"cell": "", "confirmed_by": "label_rate_ratios and use_single_prediction in its cfg"}
    if not entry.config.ratios:
        return {"cell": "hubert", "confirmed_by": "a cfg of the model hubert"}
    ratios = [rate for pair in entry.config.ratios for rate in pair]
    single = "true" if entry.config.single_prediction else "false"
    return {
        "cell": f"{condition_of(entry.config).cell} (expected)",
        "confirmed_by": f"label_rate_ratios {ratios} and use_single_prediction {single} in its cfg",
    }


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
    """The error for an unknown name, with the names that exist."""
    known = [*shipped(), *ACOUSTIC, *published(), *untrained()]
    return MultiresError(
        f"unknown model {name!r}: choose one of {', '.join(known)}, torchaudio:<bundle>, transformers:<folder or name>, "
        "features:<folder>, "
        "the path of a checkpoint, or its URL"
    )


def check_cells(models: Mapping[str, LayeredModel]) -> None:
    """Refuse published checkpoints whose own configuration is not what the comparison among them expects.

    Raises
    ------
    MultiresError
        As `multires.models.condition.check_published`.
    """
    found = {
        name: (model.condition, model.config.classes)
        for name, model in models.items()
        if isinstance(model, MultiResHubert)
    }
    check_published(found, expected_cells())
