"""The cost of MR-HuBERT against HuBERT and against its control, ours and fairseq's, timed in one process.

python -m benchmarks.efficiency --json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import print_machine
from multires.efficiency import estimates, machine, timing
from multires.efficiency.estimates import Estimate
from multires.errors import MultiresError
from multires.models import build_model
from multires.models.config import SAMPLE_RATE, SIZES
from multires.results import processor_name

RATIOS = {
    "mr_over_hubert": ("multi", "hubert"),
    "mr_over_mono": ("multi", "mono"),
    "fairseq_mr_over_hubert": ("fairseq multi", "fairseq hubert"),
}


def our_models(size: str, waveforms: torch.Tensor) -> dict[str, Callable[[], object]]:
    """A forward pass of HuBERT, the control and MR-HuBERT with random weights."""
    return {name: _call(build_model(name, size), waveforms) for name in ("hubert", "mono", "multi")}


def fairseq_models(waveforms: torch.Tensor) -> dict[str, Callable[[], object]]:
    """A forward pass of fairseq's HuBERT base and MR-HuBERT base with random weights.

    Raises
    ------
    ImportError
        Where fairseq is not installed.
    """
    import fairseq  # noqa: F401

    from benchmarks.reference import FAMILIES, build_reference

    padding = torch.zeros(waveforms.shape, dtype=torch.bool)
    calls = {}
    for name, family in (("fairseq hubert", "hubert"), ("fairseq multi", "4-4-4")):
        with tempfile.TemporaryDirectory() as folder:
            model = build_reference(FAMILIES[family], Path(folder), save=False).model
        calls[name] = _call(model, waveforms, padding_mask=padding, mask=False, features_only=True)
    return calls


def benchmark(
    *, size: str = "base", seconds: float = 5.0, repeats: int = 9, seed: int = 0, clock: timing.Clock | None = None
) -> dict[str, Estimate]:
    """The three ratios, each a median over rounds with its interval; fairseq's only where it is installed, at base size."""
    waveforms = 0.1 * torch.randn(1, round(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(seed))
    calls = our_models(size, waveforms)
    missing = ""
    if size != "base":
        missing = "fairseq is compared at base size"
    else:
        try:
            calls |= fairseq_models(waveforms)
        except ImportError:
            missing = "fairseq is not installed: pip install 've-fairseq>=0.12' (Linux, Python below 3.13)"
    times = timing.time_interleaved(calls, repeats=repeats, clock=clock)
    found = {}
    for key, (name, reference) in RATIOS.items():
        if name in calls:
            found[key] = estimates.paired_ratio(times, name, reference, seed=seed)
        else:
            found[key] = Estimate(float("nan"), float("nan"), float("nan"), 0, missing)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of the waveform")
    parser.add_argument("--repeats", type=int, default=9, help="rounds, after one to warm up")
    parser.add_argument("--threads", type=int, default=None, help="torch's own choice if not given")
    options = parser.parse_args(arguments)
    print_machine()
    try:
        with machine.threads(options.threads) as threads:
            found = benchmark(size=options.size, seconds=options.seconds, repeats=options.repeats)
    except MultiresError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({key: _plain(estimate) for key, estimate in found.items()}))
        return 0
    print(f"{options.size}, {options.seconds:g} s, {options.repeats} rounds, {threads} threads, {processor_name()}")
    for key, estimate in found.items():
        value = estimate.note or f"{estimate.median:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
        print(f"{key:24} {value}")
    return 0


def _call(model: torch.nn.Module, waveforms: torch.Tensor, **options: Any) -> Callable[[], object]:
    def forward() -> None:
        with torch.inference_mode():
            model(waveforms, **options)

    return forward


def _plain(estimate: Estimate) -> dict[str, Any]:
    """A withheld number is null, with its reason beside it."""
    if estimate.withheld:
        return {"median": None, "low": None, "high": None, "note": estimate.note}
    return {"median": estimate.median, "low": estimate.low, "high": estimate.high}


if __name__ == "__main__":
    sys.exit(main())
