"""Estimated time, storage and network traffic of a large run, from rates measured on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd
import torch

from multires.analysis.plan import PHONES, PHONES_A_SECOND, WORDS_A_SECOND
from multires.efficiency.counting import count_total
from multires.features.extract import SHARD_SECONDS
from multires.features.pooling import serves
from multires.features.segments import FRAME_PERIODS
from multires.models.config import ModelConfig
from multires.models.layers import Layer
from multires.models.mr_hubert import MultiResHubert
from multires.models.registry import parameter_count, published

SPEEDS = (100, 300, 1000)
"""Assumed speed of a GPU, in multiples of one core of the measured machine."""

_FLAC_BYTES = 16_000  # a second of LibriSpeech: 960 h are about 55 GB
_UTTERANCE = 12.3  # seconds, the mean of LibriSpeech's training splits
_FOLDS = 10


def measured(rates: Mapping[str, Any]) -> pd.DataFrame:
    """Measurements in words: columns what, result."""
    merges = ", ".join(f"{rates[name]:.2g} s for {name.split('_')[1]}" for name in rates if name.startswith("merge_"))
    rows = [
        ("two workers over one, throughput", f"{rates['two_workers_ratio']:.2f} times"),
        ("largest difference of any number from the local run's", f"{rates['max_abs_difference']:.1e}"),
        (
            f"peak memory of a worker at {rates['memory_utterances']:,} utterances over that at 1,000",
            f"{rates['memory_growth']:.3f}",
        ),
        ("peak memory of that worker", f"{rates['worker_mb']:.0f} MB"),
        ("merging the statistics of shards on two workers", merges),
        ("speech a second, one worker, the small model", f"{rates['speech_seconds_per_second']:.3g} s"),
        ("the same without a cluster", f"{rates['speech_seconds_per_second_local']:.3g} s"),
        ("speech a second, one core, MR-HuBERT base", f"{rates['base_speech_seconds_per_second']:.3g} s"),
        ("machine", f"{rates['machine']}, {rates['cores']} cores"),
    ]
    return pd.DataFrame(rows, columns=["what", "result"])


def large_run(
    rates: Mapping[str, Any], *, hours: float = 960.0, gpus: int = 8, frames: int = 180_000, words: int = 500
) -> pd.DataFrame:
    """The arithmetic of a run of every published MR-HuBERT over LibriSpeech, a line of it a row.

    Parameters
    ----------
    rates
        What ``benchmarks.scale --keep`` wrote: ``base_operations_per_second`` of one core, ``worker_mb`` and others.
    hours, gpus
        Of speech, and to share the work.
    frames
        Sampled at each frame period.
    words
        Different words of the one-hot view.

    Returns
    -------
    DataFrame
        Columns what, amount (with its unit) and how it was reckoned.
    """
    seconds = 3600 * hours
    configs = [entry.config for name, entry in published().items() if entry.config is not None and entry.config.ratios]
    operations = sum(2 * count_total(config, _UTTERANCE) for config in configs) * seconds / _UTTERANCE
    core = rates["base_operations_per_second"]
    layers, vectors, statistics = 0, 0.0, 0.0
    counts = {"phone": PHONES_A_SECOND * seconds, "word": WORDS_A_SECOND * seconds, "utterance": seconds / _UTTERANCE}
    counts |= {f"frame{round(1000 * period)}": frames for period in FRAME_PERIODS}
    for config in configs:
        for layer in _layers(config):
            layers += 1
            vectors += sum(4 * layer.dim * count for unit, count in counts.items() if serves(layer, unit))
            statistics += 8 * _FOLDS * layer.dim * (layer.dim + PHONES + words)
    checkpoints = 12.0 * sum(parameter_count(config) for config in configs)  # as published: with the optimizer's state
    shards = seconds / SHARD_SECONDS
    rows = [
        ("checkpoints", f"{len(configs)}, {layers} layers", "every published MR-HuBERT in `multires models`"),
        ("speech", f"{hours:g} h, {shards:,.0f} shards a checkpoint", f"{SHARD_SECONDS:g} s of audio a shard"),
        ("operations", f"{operations:.2g}", f"counted layer by layer for utterances of {_UTTERANCE:g} s"),
        ("one core, as measured", f"{core / 1e9:.3g} GFLOP/s", "MR-HuBERT base in float32, ten seconds of speech"),
        ("time on one core", _time(operations / core), "operations over the measured rate"),
    ]
    for speed in SPEEDS:
        rows.append((
            f"time on {gpus} GPUs, each {speed} times the core",
            _time(operations / core / speed / gpus),
            f"the same over {gpus} x {speed}; shards are independent",
        ))  # fmt: skip
    rows += [
        ("vectors of all phones and words", _size(vectors), "float32, every layer; what sampling leaves out is saved"),
        ("one checkpoint's vectors", _size(vectors / len(configs)), "may be deleted when its tables are made"),
        ("audio read by the workers", _size(len(configs) * _FLAC_BYTES * seconds), "FLAC, once for each checkpoint"),
        ("checkpoints, to each machine", _size(checkpoints), "files as published"),
        ("CCA statistics that come back", _size(statistics), f"merged: {_FOLDS} folds of every layer, float64"),
        ("the same without merging", _size(statistics * shards), "if each shard sent its own"),
        (
            "memory of a worker",
            f"{rates['worker_mb']:.0f} MB",
            "measured with log-mel; a model's own weights come on top",
        ),
    ]
    return pd.DataFrame(rows, columns=["what", "amount", "how"])


@cache
def _layers(config: ModelConfig) -> tuple[Layer, ...]:
    with torch.device("meta"):
        return MultiResHubert(config, seed=None).layers


def _time(seconds: float) -> str:
    days = seconds / 86400
    return (
        f"{days / 365.25:.1f} years"
        if days > 730
        else f"{days:.1f} days"
        if days > 2
        else f"{seconds / 3600:.1f} hours"
    )


def _size(count: float) -> str:
    return (
        f"{count / 1e12:.1f} TB"
        if count >= 1e12
        else f"{count / 1e9:.1f} GB"
        if count >= 1e9
        else f"{count / 1e6:.0f} MB"
    )
