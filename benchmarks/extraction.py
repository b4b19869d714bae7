"""Every layer of MR-HuBERT base: our time against fairseq's, interleaved in one process.

python -m benchmarks.extraction            a table
python -m benchmarks.extraction --json     one JSON object
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.reference import FAMILIES, Reference, build_reference, trace_reference
from multires.models import MultiResHubert, load_checkpoint
from multires.results import processor_name

RATE = 16_000
BATCH = 16


def benchmark(*, seconds: float, repeats: int, family: str, threads: int) -> dict[str, Any]:
    """Ratios of fairseq's time to ours, medians over `repeats` interleaved runs with their extremes."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        reference = build_reference(FAMILIES[family], Path(folder))
        ours = load_checkpoint(reference.path)
    waveform = torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(0)) * 0.1
    result: dict[str, Any] = {
        "family": family, "seconds": seconds, "threads": threads, "processor": processor_name(),
        "bfloat16_units": _bfloat16_units(), "max_abs_difference": _difference(reference, ours, waveform),
        **_cpu(reference, ours, waveform, repeats),
    }  # fmt: skip
    if torch.cuda.is_available():
        result |= _gpu(reference, ours, waveform, repeats)
    return result


def _cpu(reference: Reference, ours: MultiResHubert, waveform: Tensor, repeats: int) -> dict[str, Any]:
    def bfloat16() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours(waveform[None])

    times = _interleaved(
        {
            "fairseq": lambda: trace_reference(reference, waveform),
            "float32": lambda: ours(waveform[None]),
            "bfloat16": bfloat16,
        },
        repeats,
    )
    return {**_ratio("cpu_float32_ratio", times, "float32"), **_ratio("cpu_bfloat16_ratio", times, "bfloat16")}


def _gpu(reference: Reference, ours: MultiResHubert, waveform: Tensor, repeats: int) -> dict[str, Any]:
    """bfloat16 in batches against fairseq one utterance at a time in float32, for the same audio."""
    reference.model.cuda()
    ours.cuda()
    waveform = waveform.cuda()
    batch = waveform[None].expand(BATCH, -1).contiguous()

    def fairseq() -> None:
        for _ in range(BATCH):
            trace_reference(reference, waveform)
        torch.cuda.synchronize()

    def bfloat16() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            ours(batch)
        torch.cuda.synchronize()

    times = _interleaved({"fairseq": fairseq, "bfloat16": bfloat16}, repeats)
    hours = BATCH * len(waveform) / RATE / 3600
    return {
        **_ratio("gpu_bfloat16_ratio", times, "bfloat16"),
        "gpu": torch.cuda.get_device_name(),
        "gpu_audio_hours_per_hour": hours / (statistics.median(times["bfloat16"]) / 3600),
    }


def _interleaved(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each of `runs`, in turn, after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for round_ in range(repeats + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if round_:
                    times[name].append(time.perf_counter() - start)
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
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--family", default="4-4-4", choices=sorted(FAMILIES), help="architecture")
    given = parser.parse_args()
    result = benchmark(seconds=given.seconds, repeats=given.repeats, family=given.family, threads=given.threads)
    if given.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value:.3g}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
