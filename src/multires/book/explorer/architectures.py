"""Every model of the registry with its blocks, parameters and costs, for the model explorer."""

from __future__ import annotations

from typing import Any

from multires.efficiency.counting import count
from multires.models.acoustic import ACOUSTIC
from multires.models.checkpoint import read_config
from multires.models.config import ModelConfig, preset
from multires.models.registry import published, shipped, untrained
from multires.report.names import architecture_name

DURATIONS = (2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds of speech for which costs are given."""


def registry() -> list[dict[str, Any]]:
    """Every model that has a key: what it is, its blocks, its parameters and its costs.

    Returns
    -------
    list of dict
        key, kind (shipped, published, untrained, acoustic), description, data, reference, known_from, and where the
        architecture is known: width, blocks (name, layers, frame period in ms, parameters), parameters (without the
        prediction heads) and macs, by duration and block, of one forward pass.
    """
    rows = []
    for key, path in shipped().items():
        header, config = read_config(path)
        rows.append({"key": key, "kind": "shipped", "description": header.get("description", ""), "data": "",
                     "reference": "this companion", "known_from": "its file", **_architecture(config)})  # fmt: skip
    for entry in published().values():
        known = "papers and training configurations" if entry.config else "the checkpoint alone, once it is loaded"
        row = {"key": entry.key, "kind": "published", "description": entry.description, "data": entry.data,
               "reference": entry.reference, "known_from": known}  # fmt: skip
        rows.append({**row, **(_architecture(entry.config) if entry.config else {})})
    for key in untrained():
        architecture, _, size = key.partition("/")[2].partition("-")
        rows.append({"key": key, "kind": "untrained", "description": f"{_named(architecture)}, {size}, random weights",
                     "data": "none", "reference": "this companion", "known_from": "its preset",
                     **_architecture(preset(architecture, size))})  # fmt: skip
    for key, kind in ACOUSTIC.items():
        model = kind()
        (layer,) = model.layers
        block = {"name": key, "layers": [layer.label], "period": 1000 * layer.frame_period, "parameters": 0}
        rows.append({"key": key, "kind": "acoustic", "description": model.description, "data": "none", "reference": "",
                     "known_from": "code", "width": layer.dim, "parameters": 0, "blocks": [block]})  # fmt: skip
    return rows


def _named(architecture: str) -> str:
    return "MR-HuBERT with three resolutions" if architecture == "multi3" else architecture_name(architecture)


def _architecture(config: ModelConfig) -> dict[str, Any]:
    tables = {seconds: count(config, seconds) for seconds in DURATIONS}
    table = tables[DURATIONS[0]]
    table = table[table["part"] != "prediction heads"]
    first = config.first_layer
    blocks = [{"name": first, "layers": [first], "period": 1000 * config.frame_periods[0]}]
    counts = {"encoder": 0, "middle": 0, "decoder": 0}
    for name, depth, level in zip(config.blocks, config.depths, config.block_resolutions, strict=True):
        kind = name.partition(".")[0]
        labels = [f"{kind[0].upper()}{counts[kind] + index + 1}" for index in range(depth)]
        counts[kind] += depth
        blocks.append({"name": name, "layers": labels, "period": 1000 * config.frame_periods[level]})
    parameters = table.groupby(table["block"].map(lambda name: _block(name, first)))["parameters"].sum()
    for block in blocks:
        block["parameters"] = int(parameters[str(block["name"])])
    macs = {
        f"{seconds:g}": {
            str(name): int(value)
            for name, value in each.groupby(each["block"].map(lambda name: _block(name, first)))["macs"].sum().items()
            if value
        }
        for seconds, each in tables.items()
    }
    return {"width": config.width, "parameters": int(table["parameters"].sum()), "blocks": blocks, "macs": macs}


def _block(name: str, first: str) -> str:
    """Samplers are together, whichever blocks they stand between; what precedes the Transformer has its layer's name."""
    return {"up": "samplers", "down": "samplers", "conv": first}.get(name.partition(".")[0], name)
