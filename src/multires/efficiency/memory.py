"""The peak memory of a forward pass: on a CPU from a fresh process of its own, on a GPU from the allocator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from multires.errors import MultiresError
from multires.models.config import ModelConfig
from multires.models.mr_hubert import MultiResHubert
from multires.runtime.processes import command


def peak_memory(
    configs: Mapping[str, ModelConfig],
    samples: int,
    *,
    batch: int = 1,
    threads: int = 1,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, dict[str, int]]:
    """Bytes that each model holds, and the most that a forward pass takes beyond them.

    On a CPU a fresh process builds a model, notes what is resident, and reads its own high-water mark of resident
    memory after one pass: what the operating system had to find, kernels' scratch space included. On a GPU the
    allocator's own peak is read in this process.

    Parameters
    ----------
    configs
        The architectures, by name.
    samples, batch
        Of the waveforms.
    threads, device, precision
        As in `multires.efficiency.table.efficiency_table`.

    Returns
    -------
    dict
        By name, ``model`` (bytes of the parameters) and ``forward`` (peak beyond what was held before the pass).

    Raises
    ------
    MultiresError
        If the process fails, for want of memory say.
    """
    shared = {"samples": samples, "batch": batch, "device": device, "precision": precision, "threads": threads}
    jobs = [{"config": config.to_dict(), **shared} for config in configs.values()]
    if device.startswith("cuda"):
        found = [_on_gpu(job) for job in jobs]
    elif _can_reset():
        found = _in_fresh_process(jobs)
    else:
        found = [result for job in jobs for result in _in_fresh_process([job])]
    return dict(zip(configs, found, strict=True))


def _in_fresh_process(jobs: list[dict[str, Any]]) -> list[dict[str, int]]:
    # Freed tensors go back to the system at once, or what was held before the pass would hide part of its peak.
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "OMP_NUM_THREADS": str(jobs[0]["threads"]),
    }
    done = subprocess.run(
        command("multires.efficiency.memory"),
        input=json.dumps(jobs), capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
        size = f"{jobs[0]['batch']} x {jobs[0]['samples']} samples"
        raise MultiresError(f"the peak memory of {size} could not be measured: {reason}; try a shorter duration")
    return json.loads(done.stdout)


def _on_cpu(job: dict[str, Any]) -> dict[str, int]:
    torch.set_num_threads(job["threads"])
    model, waveforms = _prepared(job)
    with torch.inference_mode():
        # One second first: libraries load their kernels and open their pools at first use.
        model(waveforms[:, :16_000])
        before = _reset_high_water()
        model(waveforms)
    return {"model": _held(model), "forward": max(_high_water() - before, 0)}


def _on_gpu(job: dict[str, Any]) -> dict[str, int]:
    model, waveforms = _prepared(job)
    device = job["device"]
    with torch.inference_mode():
        model(waveforms)
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        model(waveforms)
        torch.cuda.synchronize(device)
    return {"model": _held(model), "forward": torch.cuda.max_memory_allocated(device) - before}


def _prepared(job: dict[str, Any]) -> tuple[MultiResHubert, torch.Tensor]:
    dtype = getattr(torch, job["precision"])
    model = MultiResHubert(ModelConfig.from_dict(job["config"]), seed=None).eval().to(job["device"], dtype)
    generator = torch.Generator().manual_seed(0)
    waveforms = torch.randn(job["batch"], job["samples"], generator=generator).to(job["device"], dtype)
    return model, waveforms


def _held(model: torch.nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _can_reset() -> bool:
    """True if a process can reset its peak memory, so that it can measure several models."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _reset_high_water() -> int:
    """Resident bytes now, from where a new high-water mark starts; the old mark where the system keeps it."""
    return _status("VmRSS") if _can_reset() else _high_water()


def _high_water() -> int:
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{name} is not in /proc/self/status")


if __name__ == "__main__":
    json.dump([_on_cpu(job) for job in json.load(sys.stdin)], sys.stdout)
