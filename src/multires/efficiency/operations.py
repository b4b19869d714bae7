"""Rows of operation counts: parameters and multiply-accumulates of every configuration, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from multires.efficiency.bench import Bench
from multires.efficiency.configurations import CONTROL, FACTORS, what_if
from multires.efficiency.counting import count, count_total
from multires.models.config import ModelConfig

COUNTED_DURATIONS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)
"""Seconds at which every architecture is counted."""

REFERENCE_DURATION = 10.0
"""Seconds at which parts and what-ifs are counted; about a LibriSpeech utterance."""


def add_counts(bench: Bench, configs: Mapping[str, ModelConfig]) -> None:
    """Parameters and multiply-accumulates of every configuration, by closed form."""
    for name, config in configs.items():
        options = what_if(config)
        common = {"source": "closed form", **options}
        for seconds in sorted({REFERENCE_DURATION, bench.reference}):
            for row in count(config, seconds, piece=bench.piece).to_dict("records"):
                if row["macs"]:
                    place = {key: row[key] for key in ("part", "block", "frame_period")}
                    at = {"duration": seconds, "batch": 1, "unit": "multiply-accumulates"}
                    bench.add(name, "macs", row["macs"], **at, **place, **common)
        parts = count(config, REFERENCE_DURATION)
        for part, parameters in parts.groupby("part", sort=False)["parameters"].sum().items():
            if parameters:
                bench.add(name, "parameters", int(parameters), part=part, unit="parameters", **common)
        bench.add(name, "parameters_total", int(parts["parameters"].sum()), unit="parameters", **common)
        for seconds in sorted({*COUNTED_DURATIONS, *bench.durations}):
            total = count_total(config, seconds, piece=bench.piece)
            at = {"duration": seconds, "batch": 1, **common}
            bench.add(name, "macs_total", total, unit="multiply-accumulates", **at)
            for against in ("mono", "hubert"):
                reference = count_total(configs[against], seconds, piece=bench.piece)
                bench.add(name, "macs_ratio", total / reference, view=against, unit="ratio", **at)
        for measure, value in zip(
            ("macs_ratio_linear", "macs_ratio_quadratic"), _limits(config, configs[CONTROL]), strict=True
        ):
            bench.add(name, measure, value, view=CONTROL, unit="ratio", **common)
    _count_all_low(bench, configs)


def _count_all_low(bench: Bench, configs: Mapping[str, ModelConfig]) -> None:
    """Counts of what cannot be built: no layer after the low resolution, or none before it either."""
    base = configs["multi"]
    layers = sum(base.depths)
    for factor in FACTORS:
        config = replace(base, ratios=((1, factor),))
        for low in (layers - 1, layers):
            depths = (layers - low, low, 0)
            options = {"factor": factor, "low_layers": low, "layers_total": layers, "source": "closed form"}
            for seconds in sorted({*COUNTED_DURATIONS, *bench.durations}):
                total = count_total(config, seconds, piece=bench.piece, depths=depths)
                reference = count_total(configs[CONTROL], seconds, piece=bench.piece)
                at = {"duration": seconds, "batch": 1, **options}
                name = f"downsample {factor}, {low} low"
                bench.add(name, "macs_total", total, unit="multiply-accumulates", **at)
                bench.add(name, "macs_ratio", total / reference, view=CONTROL, unit="ratio", **at)


def _limits(config: ModelConfig, reference: ModelConfig) -> tuple[float, float]:
    """Ratio of work that grows with the audio, and of work that grows with its square, for long audio."""
    (linear, quadratic), (base_linear, base_quadratic) = _long(config), _long(reference)
    return linear / base_linear, quadratic / base_quadratic


@cache
def _long(config: ModelConfig) -> tuple[int, int]:
    """The work of an hour that grows with the audio, and that which grows with its square."""
    parts = count(config, 3600.0).groupby("part")["macs"].sum()
    quadratic = int(parts["attention, quadratic"])
    return int(parts.sum()) - quadratic, quadratic
