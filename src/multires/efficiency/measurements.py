"""Rows of measurements: latency, parts, energy, training steps and memory, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from multires.efficiency import duration_fit, estimates, machine, timing
from multires.efficiency.bench import Bench
from multires.efficiency.configurations import CONTROL, MODELS, what_if
from multires.efficiency.counter import count_measured, modules_by_part
from multires.efficiency.counting import count_total
from multires.efficiency.estimates import Estimate
from multires.efficiency.memory import peak_memory
from multires.efficiency.training_step import training_step
from multires.errors import MultiresError
from multires.models.config import SAMPLE_RATE, ModelConfig
from multires.models.mr_hubert import MultiResHubert


def add_measurements(bench: Bench, configs: Mapping[str, ModelConfig], step: Callable[[str], None]) -> None:
    """Build and time the models; `step` is called with the name of each step."""
    step("building models")
    models = {name: bench.build(configs[name]) for name in MODELS}
    _check_counts(bench, models)
    rate = machine.matrix_product_rate(
        device=bench.device, dtype=getattr(torch, bench.precision), seed=bench.seed, seconds=1.0
    )
    bench.add_estimate("", "matmul_rate", rate, unit="multiply-accumulates/s")
    _latency(bench, configs, models, rate, step)
    step("parts and energy")
    _parts(bench, models)
    _energy(bench, models)
    _others(bench, configs, models)
    step("training steps")
    _training(bench, models)
    models.clear()
    step("peak memory")
    _memory(bench, configs)


def _check_counts(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Stop if torch's counter and the closed form differ: then neither is worth showing."""
    seconds = bench.durations[0]
    for name, model in models.items():
        counted = int(count_measured(model, seconds, seed=bench.seed)["macs"].sum())
        expected = count_total(model.config, seconds, piece=bench.piece)
        if counted != expected:
            raise MultiresError(
                f"torch counts {counted} multiply-accumulates in {name}, the closed form {expected}: report this as a bug"
            )
        bench.add(name, "macs_total", counted, duration=seconds, batch=1, unit="multiply-accumulates", source="counter")


def _latency(
    bench: Bench,
    configs: Mapping[str, ModelConfig],
    models: Mapping[str, MultiResHubert],
    rate: Estimate,
    step: Callable[[str], None],
) -> None:
    gathered = []
    setting = bench.setting
    for seconds in bench.durations:
        step(f"latency of {seconds:g} s of audio")
        for batch in bench.batch_sizes:
            if batch > 1 and seconds > bench.durations[len(bench.durations) // 2]:
                continue
            calls = {name: bench.call(model, seconds, batch) for name, model in models.items()}
            times = bench.time(calls, setting.repeats, setting.seconds)
            _latency_rows(bench, times, seconds, batch)
            for name, found in estimates.summarize(times, seed=bench.seed).items():
                at = {"duration": seconds, "batch": batch}
                audio = batch * seconds
                bench.add_estimate(
                    name, "throughput", _inverted(found, audio), unit="seconds of audio per second", **at
                )
                work = batch * count_total(configs[name], seconds, piece=bench.piece)
                if not (rate.withheld or found.withheld):
                    share = _share(_inverted(found, work / rate.median))
                    bench.add_estimate(name, "achieved_share", share, unit="share", **at)
            if batch == min(bench.batch_sizes):
                gathered.append(times.assign(duration=seconds))
    _fits(bench, pd.concat(gathered), min(bench.batch_sizes))


def _add_times(bench: Bench, times: pd.DataFrame, measure: str, ratio_measure: str, at: Mapping[str, Any]) -> None:
    """Time of each configuration, and its ratio to the control and to HuBERT in the same rounds."""
    for name, found in estimates.summarize(times, seed=bench.seed).items():
        bench.add_estimate(name, measure, found, unit="s", **at)
        for against in ("mono", "hubert"):
            if against != name:
                ratio = estimates.paired_ratio(times, name, against, seed=bench.seed)
                bench.add_estimate(name, ratio_measure, ratio, view=against, unit="ratio", **at)


def _latency_rows(bench: Bench, times: pd.DataFrame, seconds: float, batch: int) -> None:
    at = {"duration": seconds, "batch": batch}
    for name, repeat, took in times.itertuples(index=False):
        bench.add(name, "latency_sample", took, trial=repeat, unit="s", source="measured", **at)
    _add_times(bench, times, "latency", "ratio", at)
    null = estimates.null_ratio(times, CONTROL, seed=bench.seed)
    bench.add_estimate(CONTROL, "null_ratio", null, view=CONTROL, unit="ratio", **at)


def _inverted(found: Estimate, numerator: float) -> Estimate:
    if found.withheld:
        return found
    return Estimate(numerator / found.median, numerator / found.high, numerator / found.low, found.n)


def _share(found: Estimate) -> Estimate:
    """A share of what the machine can do; withheld where it is more than that, which a rate taken in a busy moment gives."""
    if found.median <= 1:
        return found
    why = f"the rate of matrix products was measured while the machine was busy: the share would be {found.median:.0%}"
    return Estimate(float("nan"), float("nan"), float("nan"), found.n, why)


def _fits(bench: Bench, times: pd.DataFrame, batch: int) -> None:
    """a + b T + c T^2, the fitted curves with their bands, and from which duration on downsampling pays by them."""
    fits = duration_fit.fit_duration(times, seed=bench.seed)
    grid = np.geomspace(min(bench.durations), max(bench.durations), 40)
    common = {"source": "fitted", "batch": batch}
    for name, fit in fits.items():
        note = _too_wide(fit.at(np.array(bench.durations)), estimates.TIME_TOLERANCE)
        units = ("s", "s/s", "s/s^2")
        for letter, unit, value, (low, high) in zip("abc", units, fit.coefficients, fit.interval(), strict=True):
            _fitted(bench, name, f"fit_{letter}", (value, low, high), note, unit=unit, **common)
        for seconds, row in zip(grid, fit.at(grid), strict=True):
            _fitted(bench, name, "latency_fit", tuple(row), note, duration=seconds, unit="s", **common)
        for against in ("mono", "hubert"):
            if against == name:
                continue
            note = _too_wide(
                duration_fit.fitted_ratio(fit, fits[against], np.array(bench.durations)), estimates.RATIO_TOLERANCE
            )
            at = {**common, "view": against}
            for seconds, row in zip(grid, duration_fit.fitted_ratio(fit, fits[against], grid), strict=True):
                _fitted(bench, name, "ratio_fit", tuple(row), note, duration=seconds, unit="ratio", **at)
            if name == "multi":
                _fitted(bench, name, "pays_from", duration_fit.pays_from(fit, fits[against]), note, unit="s", **at)


def _fitted(bench: Bench, name: str, measure: str, found: tuple[float, float, float], note: str, **more: Any) -> None:
    value, low, high = (float("nan"),) * 3 if note else found
    bench.add(name, measure, value, low=low, high=high, note=note, **more)


def _too_wide(band: np.ndarray, tolerance: float) -> str:
    """Why fitted values, shape (durations, 3) with their limits, are withheld; empty where they are not."""
    reach = float(np.max(np.abs(band[:, 1:] - band[:, :1]) / band[:, :1]))
    if reach <= tolerance:
        return ""
    return f"too noisy: the fit's band reaches {reach:.0%} from it, {tolerance:.0%} is the limit; close other programs or raise the repeats"


def _parts(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Seconds by part and block, and from them what Amdahl's law allows."""
    seconds = bench.reference
    at = {"duration": seconds, "batch": 1}
    rounds: dict[str, list[dict[tuple[str, str, float], float]]] = {name: [] for name in models}
    for _ in range(bench.setting.fewer):
        for name, model in models.items():
            rounds[name].append(_part_times(bench, model, seconds))
    for name, passes in rounds.items():
        for part, block, period in passes[0]:
            values = np.array([times[part, block, period] for times in passes])
            found = estimates.estimate(values, seed=bench.seed, tolerance=np.inf)
            bench.add_estimate(name, "part_seconds", found, part=part, block=block, frame_period=period, unit="s", **at)
    _amdahl(bench, rounds[CONTROL], models["multi"].config, at)


def _part_times(bench: Bench, model: MultiResHubert, seconds: float) -> dict[tuple[str, str, float], float]:
    modules = modules_by_part(model)
    call = bench.call(model, seconds)
    total = [0.0]

    def timed() -> None:
        clock = timing.cuda_clock(bench.device) if bench.device.startswith("cuda") else timing.wall_clock
        total[0] = clock(call)

    times = timing.time_modules(model, list(modules), timed, device=bench.device)
    found: dict[tuple[str, str, float], float] = {}
    for name, place in modules.items():
        found[place] = found.get(place, 0.0) + times[name]
    found["norms, activations and the rest", "", model.config.frame_periods[0]] = total[0] - sum(times.values())
    return found


def _amdahl(
    bench: Bench, rounds: list[dict[tuple[str, str, float], float]], multi: ModelConfig, at: Mapping[str, Any]
) -> None:
    """The share of the control's time in the block that MR-HuBERT runs at the low resolution, and what follows."""
    shares = np.array(
        [sum(t for (_, block, _), t in times.items() if block == "middle") / sum(times.values()) for times in rounds]
    )
    up, down = multi.ratios[0]
    share = estimates.estimate(shares, seed=bench.seed, tolerance=estimates.TIME_TOLERANCE)
    common = {"view": CONTROL, "unit": "ratio", **at}
    bench.add_estimate(CONTROL, "low_share", share, **{**common, "unit": "share"})
    for measure, kept in (("amdahl_bound", 0.0), ("amdahl_expected", up / down)):
        gone = 1 - kept
        limit = Estimate(1 - gone * share.median, 1 - gone * share.high, 1 - gone * share.low, share.n, share.note)
        bench.add_estimate("multi", measure, limit, **common)


def _energy(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Joules a pass, where the platform reports them."""
    counters, reason = machine.energy_counters()
    if bench.device.startswith("cuda"):
        reason = "energy is read from processors only"
    seconds = bench.reference
    for name, model in models.items():
        at = {"duration": seconds, "batch": 1, "unit": "J"}
        if reason:
            bench.add(name, "energy", float("nan"), note=reason, source="measured", **at)
            continue
        call = bench.call(model, seconds)
        values = [machine.measure_energy(call, counters, calls=3) for _ in range(bench.setting.repeats)]
        found = estimates.estimate(np.array(values), seed=bench.seed, tolerance=estimates.TIME_TOLERANCE)
        bench.add_estimate(name, "energy", found, **at)


def _others(bench: Bench, configs: Mapping[str, ModelConfig], models: Mapping[str, MultiResHubert]) -> None:
    """Ablations and what-ifs, each in turn with the control."""
    seconds = bench.reference
    for name in bench.setting.others:
        if name not in configs:
            continue
        pair = {CONTROL: models[CONTROL], "hubert": models["hubert"], name: bench.build(configs[name])}
        times = bench.time({n: bench.call(m, seconds) for n, m in pair.items()}, bench.setting.repeats)
        at = {"duration": seconds, "batch": 1, **what_if(configs[name])}
        samples = times[times["name"] == name]
        for repeat, took in zip(samples["repeat"], samples["seconds"], strict=True):
            bench.add(name, "latency_sample", took, trial=repeat, unit="s", source="measured", **at)
        bench.add_estimate(name, "latency", estimates.summarize(times, seed=bench.seed)[name], unit="s", **at)
        for against in ("mono", "hubert"):
            ratio = estimates.paired_ratio(times, name, against, seed=bench.seed)
            bench.add_estimate(name, "ratio", ratio, view=against, unit="ratio", **at)


def _training(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Forward, loss, backward and a plain gradient step on masked units, as in pre-training, with random targets."""
    seconds = min(bench.durations)
    steps = {name: training_step(model, bench.waveforms(seconds), seed=bench.seed) for name, model in models.items()}
    times = bench.time(steps, bench.setting.fewer)
    at = {"duration": seconds, "batch": 1}
    _add_times(bench, times, "training_step", "training_ratio", at)


def _memory(bench: Bench, configs: Mapping[str, ModelConfig]) -> None:
    seconds = bench.reference
    found = peak_memory(
        {name: configs[name] for name in MODELS}, round(seconds * SAMPLE_RATE),
        threads=bench.threads, device=bench.device, precision=bench.precision,
    )  # fmt: skip
    for name, bytes_ in found.items():
        at = {"duration": seconds, "batch": 1, "unit": "bytes", "source": "measured"}
        bench.add(name, "memory_model", bytes_["model"], **at)
        bench.add(name, "memory_forward", bytes_["forward"], **at)
