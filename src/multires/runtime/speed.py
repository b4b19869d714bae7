"""Speed of this machine: product rates, the faster precision, and how many jobs to run at a time.

Slow measurements are made once for each processor, number of threads and version of PyTorch, and kept in the user's
cache folder.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import platformdirs
import torch

from multires.errors import MultiresError, choose
from multires.runtime import storage
from multires.runtime.products import product

Precision = Literal["float32", "bfloat16"]

FASTER = 1.2
"""Ratio of product rates from which ``auto`` takes bfloat16: less is lost again in what is computed in float32."""


def product_rates(rounds: int = 5) -> dict[Precision, float]:
    """Rates of a matrix product as models compute it, in 10^9 operations per second of processor time, all threads.

    Medians over interleaved rounds. Processor time, summed over threads, hardly depends on what else is running.
    """
    runs: dict[Precision, Callable[[], Any]] = {
        "float32": partial(product, torch.ones(384, 768), torch.ones(768, 768)),
        "bfloat16": partial(product, torch.ones(384, 768).bfloat16(), torch.ones(768, 768).bfloat16()),
    }
    with torch.inference_mode():
        times = interleaved(runs, rounds, time.process_time)
    operations = 2 * 384 * 768 * 768
    return {name: operations / max(statistics.median(each), 1e-9) / 1e9 for name, each in times.items()}


def interleaved(
    runs: dict[Precision, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[Precision, list[float]]:
    """Seconds of each function in each round, after a round that warms up."""
    times: dict[Precision, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            begin = clock()
            run()
            if round_:
                times[name].append(clock() - begin)
    return times


def bfloat16_gain() -> float:
    """Speed of bfloat16 products relative to float32; measured once per machine."""

    def measure() -> float:
        rates = product_rates()
        return rates["bfloat16"] / rates["float32"]

    return _kept("bfloat16_gain", measure)


def fastest_precision(precision: str = "auto", device: str | torch.device = "cpu") -> Precision:
    """The precision to compute in: ``auto`` is the faster one on this device.

    With bfloat16, frames differ from those of float32 by about 1 % of their norm, and CCA and mutual information by
    less than their intervals; ``python -m benchmarks.extraction --effect MODEL`` measures that.

    Parameters
    ----------
    precision
        ``auto``, ``float32`` or ``bfloat16``. The last one warns, with the measured factor, where it is the slower.
    device
        Where the model runs.

    Raises
    ------
    MultiresError
        For another name.
    """
    choose("precision", precision, ("auto", "float32", "bfloat16"))
    if precision == "float32":
        return "float32"
    if torch.device(device).type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if precision == "bfloat16" or supported else "float32"
    gain = bfloat16_gain()
    if precision == "auto":
        return "bfloat16" if gain >= FASTER else "float32"
    if gain < 1:
        warnings.warn(
            f"bfloat16 products take {1 / gain:.1f} times as long as float32 products on this processor: "
            "use precision='auto' or 'float32'",
            stacklevel=2,
        )
    return "bfloat16"


def best_jobs(threads: int) -> int:
    """Number of parallel jobs with the highest throughput on `threads` threads, shared equally; measured once.

    Small products and the operations between products gain little from several threads; whole batches in parallel do.
    """
    if threads < 2:
        return 1
    candidates = sorted({1, threads, max(threads // 4, 1)})

    def measure() -> float:
        seconds: dict[int, list[float]] = {jobs: [] for jobs in candidates}
        for round_ in range(4):
            for jobs in candidates:
                begin = time.perf_counter()
                in_jobs(_sample, range(2 * threads), jobs)
                if round_:
                    seconds[jobs].append(time.perf_counter() - begin)
        return min(candidates, key=lambda jobs: statistics.median(seconds[jobs]))

    found = int(_kept("jobs", measure))
    return found if found in candidates else 1


def _sample(_number: int) -> None:
    """A feed-forward layer of a base-size model on a few seconds of speech."""
    with torch.inference_mode():
        x, up, down = torch.ones(1, 200, 768), torch.ones(3072, 768), torch.ones(768, 3072)
        for _ in range(3):
            x = torch.nn.functional.layer_norm(product(torch.nn.functional.gelu(product(x, up)), down), (768,))


def in_jobs(work: Callable[[Any], Any], items: Any, jobs: int) -> list[Any]:
    """Results of `work` for each item, in order, at most `jobs` at a time, which share PyTorch's threads evenly."""
    if jobs == 1:
        return [work(item) for item in items]
    threads = torch.get_num_threads()
    share = max(threads // jobs, 1)
    try:
        with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)  # MKL's number is one for the process


def _kept(name: str, measure: Callable[[], float]) -> float:
    """A measurement from the user's cache, or made now and kept there; without a cache it is made each time."""
    key = f"{name} {platform.machine()} {_processor()} {torch.get_num_threads()} {torch.__version__}"
    file = Path(os.environ.get("MULTIRES_CACHE") or platformdirs.user_cache_dir("multires")) / "speed.json"
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        read = json.loads(file.read_text(encoding="utf-8"))
        known = read if isinstance(read, dict) else {}
    value = known.get(key)
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return float(value)
    value = measure()
    text = json.dumps({**known, key: value}, indent=1)
    with suppress(MultiresError):
        storage.replace_file(file, lambda partial: partial.write_text(text, encoding="utf-8"))
    return value


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags"))][:2]
    flags = {flag for line in named[1:] for flag in line.split()} & set(FEATURES)
    return " ".join([*named[:1], *sorted(flags)]) or platform.processor()


FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")
"""Instruction sets, as the system names them, that the speed of products depends on."""


def processor_features() -> list[str]:
    """Those of `FEATURES` that this processor has."""
    return [name for name in FEATURES if name in _processor().split()]
