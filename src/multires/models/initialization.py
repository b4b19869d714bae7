"""Initial parameters, drawn from a seed and each parameter's place."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn

from multires.models.config import ModelConfig
from multires.models.encoder import PositionalConvolution


def initialize(model: nn.Module, config: ModelConfig, seed: int) -> None:
    """Draw every parameter from `seed` and the place where it stands.

    A Transformer layer's place is its depth counted over all blocks, so that the k-th layer of HuBERT and of every
    U-shaped model starts from the same values; other parts go by their name.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            digest = hashlib.sha256(f"{seed}/{_place(name, config)}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            _draw(name, parameter, generator)
        for module in model.modules():
            if isinstance(module, PositionalConvolution):
                module.weight_g.copy_(module.weight_v.norm(dim=(0, 1), keepdim=True))


def _place(name: str, config: ModelConfig) -> str:
    for block, first in zip(config.blocks, _first_layers(config.depths), strict=True):
        kind, _, index = block.partition(".")
        prefix = f"{kind}s.{index}.layers." if index else "middle.layers."
        if name.startswith(prefix):
            layer, _, rest = name[len(prefix) :].partition(".")
            return f"layer.{first + int(layer)}.{rest}"
    return name


def _first_layers(depths: tuple[int, ...]) -> list[int]:
    return [sum(depths[:i]) for i in range(len(depths))]


def _draw(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """The initial distributions of fairseq's HuBERT."""
    if name == "mask_embedding" or name.startswith("units."):
        parameter.uniform_(0.0, 1.0, generator=generator)
    elif parameter.ndim == 1:
        parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    elif name.startswith("waveform_encoder."):
        parameter.normal_(0.0, math.sqrt(2.0 / parameter[0].numel()), generator=generator)
    elif name.endswith("weight_v"):
        parameter.normal_(0.0, math.sqrt(4.0 / (parameter.shape[2] * parameter.shape[0])), generator=generator)
    elif ".layers." in name:
        parameter.normal_(0.0, 0.02, generator=generator)
    else:
        bound = 1.0 / math.sqrt(parameter[0].numel())
        parameter.uniform_(-bound, bound, generator=generator)
