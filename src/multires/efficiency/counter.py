"""Multiply-accumulates of a model's forward pass, part by part, from torch's operation counter."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from multires.efficiency.counting import samples_of
from multires.errors import MultiresError
from multires.models.mr_hubert import MultiResHubert
from multires.runtime.products import plain_products

_LINEAR = (torch.ops.aten.addmm, torch.ops.aten.mm)
_CPU_ATTENTION: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def count_measured(model: MultiResHubert, seconds: float, *, batch: int = 1, seed: int = 0) -> pd.DataFrame:
    """Multiply-accumulates by part and block of a forward pass that really runs, from torch's own counter.

    Returns
    -------
    DataFrame
        part, block and macs, of the parts that have any; agrees exactly with `count`.

    Raises
    ------
    MultiresError
        If `seconds` holds no frame.
    """
    samples = samples_of(model.config, seconds)
    parameter = next(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    waveforms = torch.randn(batch, samples, generator=generator).to(parameter.device, parameter.dtype)
    counter = FlopCounterMode(display=False, custom_mapping={_CPU_ATTENTION: _attention_flops})
    # The counter knows PyTorch's own products, not oneDNN's.
    with torch.inference_mode(), plain_products(), counter:
        model(waveforms)
    counted: dict[tuple[str, str], int] = {}
    leaves = _leaves(model)
    for name, operations in counter.get_flop_counts().items():
        path = name.partition(".")[2]
        if path not in leaves:
            continue
        part, block = leaves[path]
        # The linear layers within attention have rows of their own.
        flops = sum(n for op, n in operations.items() if part != "attention, quadratic" or op not in _LINEAR)
        counted[part, block] = counted.get((part, block), 0) + flops
    total = counter.get_total_flops()
    if total != sum(counted.values()):
        raise MultiresError(f"{total - sum(counted.values())} operations of the model belong to no known part")
    return pd.DataFrame(
        [{"part": part, "block": block, "macs": flops // 2} for (part, block), flops in counted.items() if flops]
    )


def modules_by_part(model: MultiResHubert) -> dict[str, tuple[str, str, float]]:
    """The modules that a forward pass spends its time in: module name to (part, block, frame period); none overlap."""
    resolutions = model.config.frame_periods
    found = {
        "waveform_encoder": ("waveform encoder", "conv", resolutions[0]),
        "projection": ("projection", "conv", resolutions[0]),
        "encoders.0.position": ("positional convolution", "encoder.0", resolutions[0]),
    }
    for block, level, module in _blocks(model):
        for index, layer in enumerate(module.layers):
            prefix = f"{_module_name(block)}.layers.{index}"
            period = resolutions[level]
            found[f"{prefix}.attention"] = ("attention", block, period)
            for name, child in layer.named_children():
                if isinstance(child, nn.Linear):
                    found[f"{prefix}.{name}"] = ("feed-forward", block, period)
    depth = len(model.config.ratios)
    for index in range(depth):
        found[f"downsamplers.{index}"] = ("samplers", f"down.{index}", resolutions[index + 1])
        found[f"upsamplers.{index}"] = ("samplers", f"up.{index}", resolutions[depth - 1 - index])
    return found


def _attention_flops(query: Any, key: Any, value: Any, *_args: Any, **_kwargs: Any) -> int:
    """Two products, two operations a multiply-accumulate; torch's counter does not know the processor's kernel."""
    batch, heads, queries, dim = query
    return 2 * batch * heads * queries * key[2] * (dim + value[3])


def _leaves(model: MultiResHubert) -> dict[str, tuple[str, str]]:
    """Disjoint modules, and within attention also its linear layers, by name: (part, block)."""
    leaves: dict[str, tuple[str, str]] = {}
    for name, (part, block, _) in modules_by_part(model).items():
        if part == "attention":
            leaves[name] = ("attention, quadratic", block)
            for child, module in model.get_submodule(name).named_children():
                if isinstance(module, nn.Linear):
                    leaves[f"{name}.{child}"] = ("attention, linear", block)
        else:
            leaves[name] = (part, block)
    return leaves


def _blocks(model: MultiResHubert) -> list[tuple[str, int, Any]]:
    config = model.config
    modules: list[Any] = [*model.encoders, *([model.middle] if model.middle is not None else []), *model.decoders]
    return list(zip(config.blocks, config.block_resolutions, modules, strict=True))


def _module_name(block: str) -> str:
    kind, _, index = block.partition(".")
    return f"{kind}s.{index}" if index else kind
