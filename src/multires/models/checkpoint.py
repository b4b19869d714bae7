"""Checkpoints: fairseq's as published, and our own in safetensors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from multires.errors import MultiresError
from multires.models.condition import Targets
from multires.models.config import ModelConfig
from multires.models.fairseq import fairseq_config, read_fairseq, translate
from multires.models.fairseq_options import Options
from multires.models.mr_hubert import MultiResHubert, parameter_shapes
from multires.models.tensors import check_names, check_shapes, check_storage, check_values
from multires.models.unpickling import check_readable, reason
from multires.runtime.temporary import temporary_file

FORMAT = "multires"
"""Stands in the header of our own files."""

_LONGEST_CONFIG = 65_536
"""Characters of a configuration."""


def load_checkpoint(path: Path, *, key: str | None = None, description: str | None = None) -> MultiResHubert:
    """The model in a file, fairseq's or our own, in float32 and evaluation mode.

    Raises
    ------
    MultiresError
        If the file cannot be read, asks for anything but data, is another kind of model, or does not hold exactly
        the tensors of its own configuration.
    """
    path = Path(path)
    targets = None
    if check_readable(path).suffix == ".safetensors":
        config, tensors, header = _read_own(path)
        key, description = key or header.get("key"), description or header.get("description")
        trained, targets = header.get("trained", "true") == "true", _targets(header, path)
    else:
        state = read_fairseq(path)
        config = fairseq_config(state, path)
        tensors = translate(state["model"], config, path)
        targets = Options(state, path).targets()
        trained = True
    if description is None:
        description = f"{'MR-HuBERT' if config.ratios else 'HuBERT'} from {path.name}"
    with torch.device("meta"):
        model = MultiResHubert(config, seed=None, key=key or path.stem, description=description, trained=trained)
    check_shapes(tensors, parameter_shapes(config), path)
    check_values(tensors, path)
    model.targets = targets
    model.load_state_dict({name: tensor.float().clone() for name, tensor in tensors.items()}, assign=True)
    return model.requires_grad_(True).eval()


def save_model(model: MultiResHubert, target: Path, **facts: str) -> Path:
    """Write a model as safetensors, with its configuration and `facts` in the header, in one step.

    Raises
    ------
    MultiresError
        If the file cannot be written; nothing is left behind.
    """
    target = Path(target)
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    config = json.dumps(model.config.to_dict(), sort_keys=True)
    header = {
        **({} if model.targets is None else {"targets": json.dumps(asdict(model.targets))}),
        **facts,
        "format": FORMAT,
        "config": config,
        "digest": tensors_digest(tensors, config),
        "key": model.key,
        "description": model.description,
        "trained": "true" if model.trained else "false",
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(target) as partial:
            save_file(tensors, partial, metadata=header)
            os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        raise MultiresError(f"cannot write {target}: {reason(error)}; choose another place or make room") from error
    return target


def read_header(path: Path) -> dict[str, str]:
    """The metadata in a file of ours.

    Raises
    ------
    MultiresError
        If the file is not of our format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise MultiresError(f"cannot read {path} as safetensors: {reason(error)}; write or fetch it again") from error
    if header.get("format") != FORMAT or "config" not in header:
        raise MultiresError(f"{path} holds no multires model: {_instead(path)}")
    return header


def _instead(path: Path) -> str:
    """The remedy for a safetensors file without our header."""
    if (path.parent / "config.json").is_file():
        return f"it belongs to a model of transformers, so give transformers:{path.parent}"
    return (
        "give transformers:<folder> if it comes from transformers, with its config.json in the folder, or convert the "
        "fairseq checkpoint (.pt) with `multires convert`"
    )


def read_config(path: Path) -> tuple[dict[str, str], ModelConfig]:
    """The header of a file of ours, and the configuration in it.

    Raises
    ------
    MultiresError
        If either cannot be read.
    """
    header = read_header(path)
    if len(header["config"]) > _LONGEST_CONFIG:
        raise MultiresError(f"the configuration in {path} has {len(header['config'])} characters: it is no model's")
    try:
        return header, ModelConfig.from_dict(json.loads(header["config"]))
    except MultiresError as error:
        raise MultiresError(f"{path} describes a model that cannot be: {error}") from error
    except (ValueError, RecursionError) as error:
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
    check_storage(tensors, path)
    # Files written before 0.2 have no digest.
    if header.get("digest", found := tensors_digest(tensors, header["config"])) != found:
        raise MultiresError(
            f"{path} is damaged: its weights do not have the digest in its header; write or fetch it again"
        )
    return config, tensors, header


def _targets(header: Mapping[str, str], path: Path) -> Targets | None:
    if "targets" not in header:
        return None
    try:
        values = json.loads(header["targets"][:_LONGEST_CONFIG])
        labels, rate, folder = values["labels"], float(values["rate"]), str(values["folder"])
        return Targets(tuple(str(label) for label in labels), rate, folder)
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise MultiresError(f"cannot read the targets in {path}: {reason(error)}; write it again") from error


def tensors_digest(tensors: Mapping[str, Tensor], config: str) -> str:
    """SHA-256 of a configuration and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(config.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
