"""Checkpoints: fairseq's as published, and our own in safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from multires.errors import MultiresError
from multires.models.config import ModelConfig
from multires.models.fairseq import fairseq_config, translate
from multires.models.mr_hubert import MultiResHubert, parameter_shapes
from multires.models.tensors import check_names, check_shapes
from multires.models.unpickling import check_readable, read_fairseq, reason

FORMAT = "multires"
"""Stands in the header of our own files."""


def load_checkpoint(path: Path, *, key: str | None = None, description: str | None = None) -> MultiResHubert:
    """The model in a file, fairseq's or our own, in float32 and evaluation mode.

    Raises
    ------
    MultiresError
        Where the file cannot be read, asks for anything but data, is another kind of model, or does not hold exactly
        the tensors of its own configuration.
    """
    path = Path(path)
    if check_readable(path).suffix == ".safetensors":
        config, tensors, header = _read_own(path)
        key, description = key or header.get("key"), description or header.get("description")
        trained = header.get("trained", "true") == "true"
    else:
        state = read_fairseq(path)
        config = fairseq_config(state, path)
        tensors = translate(state["model"], config, path)
        trained = True
    if description is None:
        description = f"{'MR-HuBERT' if config.ratios else 'HuBERT'} from {path.name}"
    with torch.device("meta"):
        model = MultiResHubert(config, seed=None, key=key or path.stem, description=description, trained=trained)
    check_shapes(tensors, parameter_shapes(config), path)
    model.load_state_dict({name: tensor.float().clone() for name, tensor in tensors.items()}, assign=True)
    return model.requires_grad_(True).eval()


def save_model(model: MultiResHubert, target: Path, **facts: str) -> Path:
    """Write a model as safetensors, with its configuration and `facts` in the header, in one step.

    Raises
    ------
    MultiresError
        Where the file cannot be written; nothing is left behind.
    """
    target = Path(target)
    header = {
        **facts,
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict(), sort_keys=True),
        "key": model.key,
        "description": model.description,
        "trained": "true" if model.trained else "false",
    }
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata=header)
        os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise MultiresError(f"cannot write {target}: {reason(error)}; choose another place or make room") from error
    return target


def read_header(path: Path) -> dict[str, str]:
    """What stands beside the tensors in a file of ours.

    Raises
    ------
    MultiresError
        Where the file is not of our format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise MultiresError(f"cannot read {path} as safetensors: {reason(error)}; write or fetch it again") from error
    if header.get("format") != FORMAT or "config" not in header:
        raise MultiresError(f"{path} holds no multires model: make one with `multires convert`")
    return header


def read_config(path: Path) -> tuple[dict[str, str], ModelConfig]:
    """The header of a file of ours, and the configuration in it.

    Raises
    ------
    MultiresError
        Where either cannot be read.
    """
    header = read_header(path)
    try:
        return header, ModelConfig.from_dict(json.loads(header["config"]))
    except (json.JSONDecodeError, AttributeError) as error:
        raise MultiresError(f"cannot read the configuration in {path}: {reason(error)}; write it again") from error


def convert(source: Path, target: Path) -> Path:
    """Write the model of a checkpoint as safetensors with the configuration in the header.

    Raises
    ------
    MultiresError
        As `load_checkpoint` and `save_model`, or where `target` is not named ``*.safetensors``.
    """
    if Path(target).suffix != ".safetensors":
        raise MultiresError(f"the converted file {target} must be named *.safetensors")
    return save_model(load_checkpoint(Path(source)), Path(target), source=Path(source).name)


def _read_own(path: Path) -> tuple[ModelConfig, dict[str, Tensor], dict[str, str]]:
    header, config = read_config(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise MultiresError(f"cannot read {path}: {reason(error)}; write or fetch it again") from error
    check_names(set(tensors), parameter_shapes(config), path)
    return config, tensors, header
