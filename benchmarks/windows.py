"""Recordings in windows against the same recordings as a whole: how much frames differ, and what memory each takes.

Recordings are utterances of a folder, or synthetic ones, one after another. The difference of a frame is the norm of
its difference from the frame of the whole, over the root mean square norm of the layer's frames; log-mel in windows is
that of the whole by construction, and is the check of the comparison. Memory is that of a process of its own::

    python -m benchmarks.windows --json
    python -m benchmarks.windows --data ../shared/librispeech-mini --model my-model.safetensors --seconds 900
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.machine import print_machine
from multires.analysis.data import speech_profile
from multires.corpus import load_corpus
from multires.corpus.utterance import SAMPLE_RATE, Utterance
from multires.features import windows
from multires.features.windows import run_windows
from multires.models import load_model
from multires.models.layers import LayeredModel

BLOCK = 60 * SAMPLE_RATE


@dataclass(frozen=True)
class Joined:
    """Samples read in blocks, as from a file."""

    samples: np.ndarray

    def __call__(self) -> np.ndarray:
        """Shape (samples,)."""
        return self.samples

    def blocks(self) -> Iterator[np.ndarray]:
        """The same in blocks of a minute."""
        for first in range(0, len(self.samples), BLOCK):
            yield self.samples[first : first + BLOCK]


@dataclass(frozen=True)
class Repeated:
    """A minute of noise, again and again; never held as a whole."""

    seconds: float

    def __call__(self) -> np.ndarray:
        """Shape (samples,)."""
        return np.concatenate(list(self.blocks()))

    def blocks(self) -> Iterator[np.ndarray]:
        """Blocks of a minute."""
        minute = np.random.default_rng(0).normal(0, 0.05, BLOCK).astype(np.float32)
        left = round(self.seconds * SAMPLE_RATE)
        while left > 0:
            yield minute[:left]
            left -= BLOCK


def joined(data: str | None, seconds: float) -> Utterance:
    """Utterances of a corpus, shuffled and one after another."""
    if data is None:
        corpus = load_corpus("synthetic", hours=2 * seconds / 3600, progress=False)
    else:
        profile = speech_profile("synthetic", data)
        corpus = load_corpus(profile.corpus, data, splits=(*profile.train, *profile.evaluation), progress=False)
    order = np.random.default_rng(0).permutation(len(corpus))
    parts, left = [], round(seconds * SAMPLE_RATE)
    for index in order:
        if left <= 0:
            break
        parts.append(corpus.utterances[int(index)].audio[:left])
        left -= len(parts[-1])
    samples = np.concatenate(parts)
    return Utterance("joined", "several", "train", len(samples) / SAMPLE_RATE, Joined(samples))


def frames_in_windows(
    model: LayeredModel, utterance: Utterance, seconds: float, context: float
) -> dict[str, torch.Tensor]:
    """The frames of every layer, joined."""
    parts: dict[str, list[torch.Tensor]] = {layer.name: [] for layer in model.layers}
    with patch.object(windows, "LONG_SECONDS", seconds), patch.object(windows, "CONTEXT_SECONDS", context):
        for found in run_windows({"model": model}, utterance):
            for name, stretch in found["model"].items():
                parts[name].append(stretch.frames.clone())
    return {name: torch.cat(each) for name, each in parts.items()}


def differences(
    model: LayeredModel, utterance: Utterance, seconds: float, context: float, whole: dict[str, torch.Tensor]
) -> list[dict[str, object]]:
    """One row a layer: median, 95th percentile and largest difference of a frame."""
    found = frames_in_windows(model, utterance, seconds, context)
    rows = []
    for name, frames in whole.items():
        scale = frames.square().sum(1).mean().sqrt()
        error = ((found[name] - frames).norm(dim=1) / scale).numpy()
        median, high, most = (round(float(np.quantile(error, q)), 5) for q in (0.5, 0.95, 1.0))
        rows.append(
            {"model": model.key, "seconds": round(utterance.duration), "window": seconds, "context": context, "layer": name,
             "median": median, "high": high, "most": most}
        )  # fmt: skip
    return rows


def memory(name: str, seconds: float) -> float:
    """Gigabytes above an idle process that a recording takes."""
    code = f"from benchmarks import windows; windows.take({name!r}, {seconds!r})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(shown.stdout.split()[-1])


def take(name: str, seconds: float) -> None:
    """Run a recording of noise, print the peak of memory above that before it, in gigabytes."""
    model = load_model(name)
    utterance = Utterance("noise", "noise", "train", seconds, Repeated(seconds))
    with torch.inference_mode():
        model(torch.zeros(1, SAMPLE_RATE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in run_windows({"model": model}, utterance):
        pass
    print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20, 2))


def main() -> None:
    """Print differences by layer, then memory by length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder of speech; synthetic speech by default")
    parser.add_argument("--model", action="append", help="a model, several times for several")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--window", type=float, action="append", help="seconds, several times for several")
    parser.add_argument("--memory", type=float, action="append", help="seconds of noise to measure memory with")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    print_machine()
    rows: list[dict[str, object]] = []
    utterance = joined(given.data, given.seconds)
    for name in given.model or ["librispeech/multi+aux-0"]:
        model = load_model(name).eval()
        with torch.inference_mode():
            whole = model(torch.from_numpy(utterance.audio)[None]).utterance(0)
        for window in given.window or [60.0, windows.LONG_SECONDS]:
            rows += differences(model, utterance, window, windows.CONTEXT_SECONDS, whole)
    peaks = [
        {"model": name, "seconds": seconds, "gigabytes": memory(name, seconds)}
        for name in given.model or ["librispeech/multi+aux-0"]
        for seconds in given.memory or []
    ]
    if given.json:
        print(json.dumps({"differences": rows, "memory": peaks}))
        return
    for row in [*rows, *peaks]:
        print(*row.values(), sep="\t")


if __name__ == "__main__":
    main()
