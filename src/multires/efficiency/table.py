"""Cost of each architecture in one table: operation counts and measurements."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd
import torch

from multires.efficiency import machine
from multires.efficiency.bench import SETTINGS, Bench, Setting
from multires.efficiency.configurations import configurations
from multires.efficiency.measurements import add_measurements
from multires.efficiency.operations import add_counts
from multires.errors import MultiresError, choose

PRECISIONS = ("float32", "bfloat16", "float16")


def efficiency_table(
    *,
    size: str = "base",
    setting: str = "quick",
    durations: Sequence[float] | None = None,
    batch_sizes: Sequence[int] | None = None,
    threads: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Count and time untrained models of real size, here and now; weights do not matter for time.

    Parameters
    ----------
    size
        ``small``, ``base``, ``large`` or ``xlarge``.
    setting
        ``quick`` (under half a minute on 2 cores at base size) or ``thorough``.
    durations
        Seconds of audio to time, at least three different ones; the setting's own where None.
    batch_sizes
        Waveforms at a time; the setting's own where None.
    threads
        On the CPU; torch's own choice where None.
    device
        ``cpu`` or a CUDA device.
    precision
        ``float32``, ``bfloat16`` or ``float16``, of weights and waveforms.
    seed
        Of weights, waveforms and bootstraps. Counted numbers and everything random depend on it alone; times are
        measured again each time.
    progress
        Whether to show a bar.

    Returns
    -------
    DataFrame
        Tidy: the columns of `multires.results.COLUMNS`, then part, duration (seconds), batch, low, high, unit,
        source (``closed form``, ``counter``, ``measured`` or ``fitted``), note (why a value is missing), factor and
        low_layers (what-ifs), device, machine, precision and threads. The measures are

        - counted: ``parameters``, ``macs`` (by part), ``macs_total``, ``macs_ratio`` and its limits,
          ``macs_ratio_linear`` (without attention's quadratic part) and ``macs_ratio_quadratic`` (nothing but it);
        - measured: ``latency_sample`` (every repeat), ``latency``, ``ratio`` (to the model in `view`), ``null_ratio``,
          ``throughput``, ``training_step``, ``training_ratio``, ``memory_model``, ``memory_forward``, ``part_seconds``,
          ``matmul_rate``, ``energy``, ``load_before``;
        - explained: ``achieved_share``, ``fit_a``, ``fit_b``, ``fit_c``, ``latency_fit``, ``ratio_fit``,
          ``pays_from``, ``low_share``, ``amdahl_bound``, ``amdahl_expected``.

    Raises
    ------
    MultiresError
        If a parameter is not usable, or the device is not there.
    """
    choose("setting", setting, tuple(SETTINGS))
    choose("precision", precision, PRECISIONS)
    _check_device(device, precision)
    chosen = SETTINGS[setting]
    lengths = _durations(durations, chosen)
    batches = _batches(batch_sizes, chosen)
    configs = configurations(size, extended=True)
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else float("nan")
    with machine.threads(threads) as used, torch.random.fork_rng(devices=[]):
        bench = Bench(size, chosen, lengths, batches, device, precision, used, seed, progress)
        add_counts(bench, configs)
        bench.add("", "load_before", load, unit="runnable processes per core", source="measured")
        with bench.bar(4 + len(lengths)) as step:
            add_measurements(bench, configs, step)
    return bench.table()


def _durations(asked: Sequence[float] | None, setting: Setting) -> tuple[float, ...]:
    if asked is None:
        return setting.durations
    found = tuple(sorted({float(seconds) for seconds in asked}))
    if len(found) < 3:
        raise MultiresError(f"durations {list(asked)}: give at least three different ones, in seconds")
    if found[0] <= 0:
        raise MultiresError(f"durations {list(asked)}: each must be above 0 seconds")
    return found


def _batches(asked: Sequence[int] | None, setting: Setting) -> tuple[int, ...]:
    found = setting.batch_sizes if asked is None else tuple(sorted(set(asked)))
    if not found or any(not isinstance(batch, int) or batch < 1 for batch in found):
        raise MultiresError(f"batch_sizes {list(found)}: give positive whole numbers")
    return found


def _check_device(device: str, precision: str) -> None:
    if device == "cpu":
        if precision == "float16":
            raise MultiresError("precision float16 is for GPUs: choose float32 or bfloat16 on the CPU")
        return
    if not device.startswith("cuda"):
        raise MultiresError(f"unknown device {device!r}: choose cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise MultiresError(f"device {device!r} is not there: torch finds no CUDA GPU; choose cpu")
    try:
        torch.cuda.get_device_name(device)
    except (AssertionError, RuntimeError) as error:
        raise MultiresError(f"device {device!r} is not there: {error}; choose one that is") from error
