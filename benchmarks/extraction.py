"""Every layer of MR-HuBERT base: our time against fairseq's, interleaved in one process.

python -m benchmarks.extraction            a table
python -m benchmarks.extraction --json     one JSON object
python -m benchmarks.extraction --effect librispeech/multi+aux-0   and what bfloat16 changes in CCA and MI

``cpu_*_ratio`` is for one waveform; ``corpus_ratio`` for utterances of mixed length, from audio to vectors on disk,
against fairseq in a plain loop over the same batches. ``matmul_share`` is the rate of one waveform's operations over
that of a matrix product in the same rounds.

On a busy machine ``--threads 1 --clock processor`` counts the time that the processor gave, not the time that passed.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.reference import FAMILIES, Reference, build_reference, trace_batch, trace_reference
from multires.corpus import Corpus, load_corpus
from multires.corpus.utterance import Utterance
from multires.efficiency.counting import count_total
from multires.features.batching import batches, pad
from multires.features.extract import duration, extract
from multires.features.pooling import pool, serves
from multires.features.segments import segment_table
from multires.measures.cca import cca_scores
from multires.measures.mutual_information import mutual_informations
from multires.models import MultiResHubert, load_checkpoint, load_model
from multires.runtime.products import product
from multires.runtime.speed import fastest_precision

RATE = 16_000
BATCH = 16
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def benchmark(
    *, seconds: float, repeats: int, family: str, threads: int, clock: str = "wall", corpus_seconds: float = 60.0
) -> dict[str, Any]:
    """Ratios of fairseq's time to ours, medians over `repeats` interleaved runs with their extremes."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        reference = build_reference(FAMILIES[family], Path(folder))
        ours = load_checkpoint(reference.path)
    waveform = torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(0)) * 0.1
    result: dict[str, Any] = {
        "family": family, "seconds": seconds, "clock": clock, **machine(), "bfloat16_units": _bfloat16_units(),
        "max_abs_difference": _difference(reference, ours, waveform),
        **_cpu(reference, ours, waveform, repeats, CLOCKS[clock]),
        **_corpus(reference, ours, corpus_seconds, repeats, CLOCKS[clock]),
        "precision_auto": fastest_precision("auto"),
    }  # fmt: skip
    if torch.cuda.is_available():
        result |= _gpu(reference, ours, waveform, repeats)
    return result


def _cpu(
    reference: Reference, ours: MultiResHubert, waveform: Tensor, repeats: int, clock: Callable[[], float]
) -> dict[str, Any]:
    bfloat16 = copy.deepcopy(ours).to(torch.bfloat16)
    x, weight = torch.ones(750, 768), torch.ones(3072, 768)
    times = _interleaved(
        {
            "fairseq": lambda: trace_reference(reference, waveform),
            "float32": lambda: ours(waveform[None]),
            "bfloat16": lambda: bfloat16(waveform[None]),
            "product": lambda: [product(x, weight) for _ in range(10)],
        },
        repeats,
        clock,
    )
    rate = 10 * 2 * x.numel() * len(weight) / statistics.median(times["product"])
    operations = 2 * count_total(ours.config, len(waveform) / RATE)
    return {
        **_ratio("cpu_float32_ratio", times, "float32"),
        **_ratio("cpu_bfloat16_ratio", times, "bfloat16"),
        "operations": operations,
        "product_rate": rate,
        "matmul_share": operations / statistics.median(times["float32"]) / rate,
    }


def _corpus(
    reference: Reference, ours: MultiResHubert, seconds: float, repeats: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Utterances of 2 to 16 s, as LibriSpeech has, from audio to vectors on disk, all layers."""
    rng = np.random.default_rng(0)
    utterances: list[Utterance] = []
    while sum(map(duration, utterances)) < seconds:
        samples = (0.1 * rng.standard_normal(int(rng.uniform(2.0, 16.0) * RATE))).astype(np.float32)
        name, length = f"utterance {len(utterances)}", len(samples) / RATE
        utterances.append(Utterance(name, "speaker", "train", length, partial(np.asarray, samples)))
    corpus = Corpus("noise", utterances, fingerprint="noise")
    segments = segment_table(corpus, frames=10 * len(utterances), seed=0)

    def library() -> None:
        with tempfile.TemporaryDirectory() as folder:
            extract(ours, corpus, segments, Path(folder) / "vectors", progress=False)

    def fairseq() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _fairseq_loop(reference, ours, utterances, segments, Path(folder))

    times = _interleaved({"fairseq": fairseq, "corpus": library}, repeats, clock)
    spoken = sum(map(duration, utterances))
    found = _ratio("corpus_ratio", times, "corpus")
    return {
        "corpus_ratio": found["corpus_ratio"],
        "corpus_ratio_range": found["corpus_ratio_range"],
        "corpus_audio_seconds_per_second": spoken / found["corpus_seconds"],
        "corpus_fairseq_audio_seconds_per_second": spoken / found["fairseq_seconds"],
    }


def _fairseq_loop(
    reference: Reference, ours: MultiResHubert, utterances: list[Utterance], segments: pd.DataFrame, folder: Path
) -> None:
    """The same vectors with fairseq in a plain loop: the same batches, padded, pooled and saved."""
    rows = dict(iter(segments.groupby("utterance", sort=False)))
    for batch in batches(utterances, duration, 80.0):
        waveforms, lengths = pad([utterance.audio for utterance in batch])
        frames = trace_batch(reference, waveforms, lengths)
        for row, utterance in enumerate(batch):
            finest = int((lengths[row] - 400) // 320 + 1)
            for layer in ours.layers:
                own = -(-finest * 20 // round(1000 * layer.frame_period))
                part = rows[utterance.id]
                part = part[[serves(layer, unit) for unit in part["unit"]]]
                start, end = part["start"].to_numpy(), part["end"].to_numpy()
                vectors = pool(frames[layer.name][row, :own].numpy(), start, end, layer.frame_period)
                np.save(folder / f"{utterance.id}-{layer.name}.npy", vectors)


def _gpu(reference: Reference, ours: MultiResHubert, waveform: Tensor, repeats: int) -> dict[str, Any]:
    """bfloat16 in batches against fairseq one utterance at a time in float32, for the same audio."""
    reference.model.cuda()
    ours.to("cuda", torch.bfloat16)
    waveform = waveform.cuda()
    batch = waveform[None].expand(BATCH, -1).contiguous()

    def fairseq() -> None:
        for _ in range(BATCH):
            trace_reference(reference, waveform)
        torch.cuda.synchronize()

    def bfloat16() -> None:
        ours(batch)
        torch.cuda.synchronize()

    times = _interleaved({"fairseq": fairseq, "bfloat16": bfloat16}, repeats, time.perf_counter)
    hours = BATCH * len(waveform) / RATE / 3600
    return {
        **_ratio("gpu_bfloat16_ratio", times, "bfloat16"),
        "gpu": torch.cuda.get_device_name(),
        "gpu_audio_hours_per_hour": hours / (statistics.median(times["bfloat16"]) / 3600),
    }


def _interleaved(
    runs: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each of `runs`, in turn, after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for round_ in range(repeats + 1):
            for name, run in runs.items():
                start = clock()
                run()
                if round_:
                    times[name].append(clock() - start)
    return times


def _ratio(name: str, times: dict[str, list[float]], mine: str) -> dict[str, Any]:
    ratios = [theirs / own for theirs, own in zip(times["fairseq"], times[mine], strict=True)]
    return {
        name: statistics.median(ratios),
        f"{name}_range": [min(ratios), max(ratios)],
        f"{mine}_seconds": statistics.median(times[mine]),
        "fairseq_seconds": statistics.median(times["fairseq"]),
    }


def _difference(reference: Reference, ours: MultiResHubert, waveform: Tensor) -> float:
    theirs = trace_reference(reference, waveform)
    with torch.inference_mode():
        frames = ours.trace(waveform[None]).frames
    return max(float((x[0] - theirs[name][: x.shape[1]]).abs().max()) for name, x in frames.items())


def bfloat16_effect(name: str, corpus: Corpus, *, frames: int = 4000, clusters: int = 100) -> dict[str, Any]:
    """How far bfloat16 moves CCA with log-mel, CCA with phones, and MI with phones, largest over a model's layers.

    MI is of the same clusters, fitted to the float32 vectors; ``mi_seed_range`` is how far another seed of k-means moves
    it in float32, largest over layers.
    """
    segments = segment_table(corpus, frames=frames, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        stores = {
            precision: extract(
                load_model(name, precision=precision), corpus, segments, Path(folder) / precision, progress=False
            )
            for precision in ("float32", "bfloat16")
        }
        mel = extract(load_model("mel"), corpus, segments, Path(folder) / "mel", progress=False)
        effects: dict[str, list[float]] = {"cca_mel": [], "cca_phone": [], "mi_phone": [], "mi_seed_range": []}
        for layer in stores["float32"].layer_names():
            one, other = (store.vectors(layer, "phone") for store in stores.values())
            phones = stores["float32"].labels("phone")["label"].to_numpy(str)
            views = {"cca_mel": mel.vectors("mel", "phone"), "cca_phone": phones}
            scores = [cca_scores(x, views, baseline=False) for x in (one, other)]
            for view in views:
                effects[view].append(abs(scores[0][view].score - scores[1][view].score))
            runs = [
                mutual_informations(one, x, {"phone": phones}, n_clusters=clusters, seeds=(0, 1))["phone"].runs
                for x in (one, other)
            ]
            by_seed = [[run.normalized for run in each] for each in runs]
            effects["mi_phone"].append(float(np.abs(np.subtract(by_seed[0], by_seed[1])).max()))
            effects["mi_seed_range"].append(float(np.ptp(by_seed[0])))
    return {
        "effect_model": name, "effect_segments": len(phones),
        **{f"{measure}_effect" if measure != "mi_seed_range" else measure: max(each) for measure, each in effects.items()},
    }  # fmt: skip


def _bfloat16_units() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--seconds", type=float, default=15.0, help="of audio")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved rounds")
    parser.add_argument("--corpus-seconds", type=float, default=60.0, help="of audio in the corpus of mixed lengths")
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--family", default="4-4-4", choices=sorted(FAMILIES), help="architecture")
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS), help="what time is counted on the processor")
    parser.add_argument(
        "--effect", metavar="MODEL", help="also measure what bfloat16 changes in this model's CCA and MI"
    )
    parser.add_argument("--hours", type=float, default=0.2, help="of synthetic speech for --effect")
    parser.add_argument("--data", type=Path, help="a folder in LibriSpeech's layout for --effect instead")
    given = parser.parse_args()
    if given.clock == "processor" and given.threads != 1:
        parser.error("the processor's time of several threads is not that of their work: give --threads 1")
    result = benchmark(
        seconds=given.seconds, repeats=given.repeats, family=given.family, threads=given.threads, clock=given.clock,
        corpus_seconds=given.corpus_seconds,
    )  # fmt: skip
    if given.effect:
        corpus = load_corpus("librispeech", given.data) if given.data else load_corpus("synthetic", hours=given.hours)
        result |= bfloat16_effect(given.effect, corpus)
    if given.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value:.3g}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
