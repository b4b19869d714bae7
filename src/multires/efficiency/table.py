"""What downsampling saves: counted, measured and explained, in one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from multires.efficiency import timing
from multires.efficiency.counting import count, count_measured, count_total, modules_by_part
from multires.efficiency.memory import peak_memory
from multires.efficiency.timing import Estimate
from multires.errors import MultiresError, choose
from multires.models.encoder import WaveformEncoder
from multires.models.mr_hubert import SAMPLE_RATE, SIZES, ModelConfig, MultiResHubert, preset
from multires.results import processor_name, tidy

MODELS = ("hubert", "mono", "multi")
"""What every setting measures: HuBERT, the control that never downsamples, and MR-HuBERT."""

CONTROL = "mono"
"""The same modules as MR-HuBERT at 20 ms throughout; ratios to it are the effect of downsampling alone."""

FACTORS = (2, 4, 8)
"""Downsampling factors of the what-ifs."""

PRECISIONS = ("float32", "bfloat16", "float16")

COUNTED_DURATIONS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)
"""Seconds at which every architecture is counted."""

REFERENCE_DURATION = 10.0
"""Seconds at which parts and what-ifs are counted; about a LibriSpeech utterance."""

_PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "2-4-6": ("multi", {"depths": (2, 4, 6)}),
    "5-2-5": ("multi", {"depths": (5, 2, 5)}),
    "6-4-2": ("multi", {"depths": (6, 4, 2)}),
    "3-3-3": ("multi", {"depths": (3, 3, 3)}),
    "mono 3-3-3": ("mono", {"depths": (3, 3, 3)}),
    "plain samplers": ("multi", {"plain_samplers": True}),
    "3-2-2-2-3": ("multi3", {"depths": (3, 2, 2, 2, 3)}),
    "2-2-2-2-2": ("multi3", {"depths": (2, 2, 2, 2, 2)}),
}
"""The base models among the published ablations (arXiv 2310.02720, appendix B) whose shape differs from MR-HuBERT's."""


@dataclass(frozen=True)
class Setting:
    """How much is measured.

    Attributes
    ----------
    durations, batch_sizes
        Seconds of audio, and waveforms at a time; batches above 1 at the first half of the durations only.
    repeats, seconds
        Rounds at least, and the time to go on for, at each duration.
    others
        Further configurations that are timed beside `MODELS` at `reference`.
    reference
        The duration for parts, memory, training and `others`.
    fewer
        Rounds of part timings and training steps.
    """

    durations: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    repeats: int
    seconds: float
    reference: float
    fewer: int
    others: tuple[str, ...] = ()


SETTINGS = {
    "quick": Setting(
        durations=(1.0, 2.0, 4.0), batch_sizes=(1,), repeats=5, seconds=2.5, reference=2.0, fewer=4,
    ),
    "thorough": Setting(
        durations=(1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0), batch_sizes=(1, 4, 8), repeats=9, seconds=20.0,
        reference=10.0, fewer=9,
        others=(
            "multi3", "plain samplers", "2-4-6", "5-2-5", "6-4-2", "3-3-3", "downsample 4", "downsample 8",
            "downsample 2, 2 low", "downsample 2, 6 low", "downsample 2, 8 low", "downsample 2, 10 low",
        ),
    ),
}  # fmt: skip


def configurations(size: str = "base", extended: bool = False) -> dict[str, ModelConfig]:
    """The architectures that are compared, by name.

    ``hubert``, ``mono`` (the control), ``multi`` and ``multi3`` at any size, and every published ablation of another
    shape at ``base``, the size at which they were published.

    Parameters
    ----------
    size
        As in `multires.models.preset`.
    extended
        Also what nobody trained: ``downsample 4``, ``downsample 8`` (MR-HuBERT with that factor) and
        ``downsample F, K low`` for every factor F and K of the layers at the low resolution. K goes up to all layers
        but two: the U shape needs one before and one after. (`efficiency_table` counts beyond, up to all layers.)

    Raises
    ------
    MultiresError
        Where `size` is unknown.
    """
    choose("size", size, SIZES)
    found = {name: preset(name, size) for name in (*MODELS, "multi3")}
    if size == "base":
        found |= {name: preset(base, size, **changes) for name, (base, changes) in _PUBLISHED.items()}
    if extended:
        found |= {f"downsample {f}": preset("multi", size, ratios=((1, f),)) for f in FACTORS[1:]}
        layers = sum(found["multi"].depths)
        for factor in FACTORS:
            for low in range(1, layers - 1):
                first = (layers - low + 1) // 2
                depths = (first, low, layers - low - first)
                name = f"downsample {factor}, {low} low"
                found[name] = preset("multi", size, ratios=((1, factor),), depths=depths)
    return found


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
        measured anew each time.
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
        Where a parameter is not usable, or the device is not there.
    """
    choose("setting", setting, tuple(SETTINGS))
    choose("precision", precision, PRECISIONS)
    _check_device(device, precision)
    chosen = SETTINGS[setting]
    lengths = _durations(durations, chosen)
    batches = _batches(batch_sizes, chosen)
    configs = configurations(size, extended=True)
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else float("nan")
    with timing.threads(threads) as used, torch.random.fork_rng(devices=[]):
        bench = Bench(size, chosen, lengths, batches, device, precision, used, seed, progress)
        _count(bench, configs)
        bench.add("", "load_before", load, unit="runnable processes per core", source="measured")
        with bench.bar(4 + len(lengths)) as step:
            _measure(bench, configs, step)
    return bench.table()


# -- gathering rows -----------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """What is measured how, and the rows so far."""

    size: str
    setting: Setting
    durations: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    device: str
    precision: str
    threads: int
    seed: int
    progress: bool
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reference(self) -> float:
        """The duration for parts, memory and training: the setting's own, or the middle one of those asked for."""
        if self.setting.reference in self.durations:
            return self.setting.reference
        return self.durations[len(self.durations) // 2]

    @property
    def piece(self) -> int | None:
        """Frames that the waveform encoder computes at a time."""
        return None if self.device.startswith("cuda") else WaveformEncoder.PIECE

    def add(self, name: str, measure: str, value: float, **more: Any) -> None:
        """One row."""
        model = name or pd.NA
        self.rows.append({"model": model, "condition": model, "measure": measure, "value": value, **more})

    def add_estimate(self, name: str, measure: str, found: Estimate, **more: Any) -> None:
        """One row with an interval, or a missing value with its reason."""
        more = {"source": "measured", **more}
        self.add(name, measure, found.median, low=found.low, high=found.high, n=found.n, note=found.note, **more)

    def call(self, model: MultiResHubert, seconds: float, batch: int = 1) -> Callable[[], object]:
        """A forward pass over noise of so many seconds."""
        waveforms = self.waveforms(seconds, batch)

        def forward() -> None:
            with torch.inference_mode():
                model(waveforms)

        return forward

    def waveforms(self, seconds: float, batch: int = 1) -> torch.Tensor:
        """Noise, shape (batch, samples): time does not depend on what is said."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = 0.1 * torch.randn(batch, round(seconds * SAMPLE_RATE), generator=generator)
        return noise.to(self.device, getattr(torch, self.precision))

    def build(self, config: ModelConfig) -> MultiResHubert:
        """An untrained model on the device."""
        return MultiResHubert(config, seed=self.seed).eval().to(self.device, getattr(torch, self.precision))

    def time(self, calls: Mapping[str, Callable[[], object]], repeats: int, seconds: float = 0.0) -> pd.DataFrame:
        """Interleaved times on the device."""
        return timing.time_interleaved(calls, repeats=repeats, seconds=seconds, device=self.device)

    @contextmanager
    def bar(self, steps: int) -> Iterator[Callable[[str], None]]:
        """A progress bar; the function that it gives names the next step."""
        with tqdm(total=steps, disable=not self.progress, unit="step", leave=False) as bar:
            started = False

            def step(name: str) -> None:
                nonlocal started
                bar.update(int(started))
                started = True
                bar.set_description(name)

            yield step
            bar.update(1)

    def table(self) -> pd.DataFrame:
        """All rows, tidy."""
        table = tidy(self.rows)
        machine = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else processor_name()
        table = table.assign(
            seed=self.seed,
            device=self.device,
            machine=machine,
            precision=self.precision,
            threads=self.threads,
            size=self.size,
        )
        table["note"] = table["note"].fillna("")
        return table.reset_index(drop=True)


# -- counted ------------------------------------------------------------------------------------------------------


def _count(bench: Bench, configs: Mapping[str, ModelConfig]) -> None:
    """Parameters and multiply-accumulates of every configuration, by closed form."""
    for name, config in configs.items():
        what_if = _what_if(config)
        common = {"source": "closed form", **what_if}
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
    """What could not be built: no layer after the low resolution, and none before it either. Counted only."""
    base = configs["multi"]
    layers = sum(base.depths)
    for factor in FACTORS:
        config = replace(base, ratios=((1, factor),))
        for low in (layers - 1, layers):
            depths = (layers - low, low, 0)
            what_if = {"factor": factor, "low_layers": low, "layers_total": layers, "source": "closed form"}
            for seconds in sorted({*COUNTED_DURATIONS, *bench.durations}):
                total = count_total(config, seconds, piece=bench.piece, depths=depths)
                reference = count_total(configs[CONTROL], seconds, piece=bench.piece)
                at = {"duration": seconds, "batch": 1, **what_if}
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


def _what_if(config: ModelConfig) -> dict[str, Any]:
    """Downsampling factor and layers at the low resolution, where there is one low resolution."""
    if len(config.ratios) != 1 or config.plain_samplers:
        return {}
    up, down = config.ratios[0]
    return {"factor": down // up, "low_layers": config.depths[1], "layers_total": sum(config.depths)}


# -- measured -----------------------------------------------------------------------------------------------------


def _measure(bench: Bench, configs: Mapping[str, ModelConfig], step: Callable[[str], None]) -> None:
    step("building models")
    models = {name: bench.build(configs[name]) for name in MODELS}
    _check_counts(bench, models)
    rate = timing.matrix_product_rate(
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
            for name, found in timing.summarise(times, seed=bench.seed).items():
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


def _latency_rows(bench: Bench, times: pd.DataFrame, seconds: float, batch: int) -> None:
    at = {"duration": seconds, "batch": batch}
    for name, repeat, took in times.itertuples(index=False):
        bench.add(name, "latency_sample", took, trial=repeat, unit="s", source="measured", **at)
    for name, found in timing.summarise(times, seed=bench.seed).items():
        bench.add_estimate(name, "latency", found, unit="s", **at)
        for against in ("mono", "hubert"):
            if against != name:
                ratio = timing.paired_ratio(times, name, against, seed=bench.seed)
                bench.add_estimate(name, "ratio", ratio, view=against, unit="ratio", **at)
    null = timing.null_ratio(times, CONTROL, seed=bench.seed)
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
    fits = timing.fit_duration(times, seed=bench.seed)
    grid = np.geomspace(min(bench.durations), max(bench.durations), 40)
    common = {"source": "fitted", "batch": batch}
    for name, fit in fits.items():
        note = _too_wide(fit.at(np.array(bench.durations)), timing.TIME_TOLERANCE)
        units = ("s", "s/s", "s/s^2")
        for letter, unit, value, (low, high) in zip("abc", units, fit.coefficients, fit.interval(), strict=True):
            _fitted(bench, name, f"fit_{letter}", (value, low, high), note, unit=unit, **common)
        for seconds, row in zip(grid, fit.at(grid), strict=True):
            _fitted(bench, name, "latency_fit", tuple(row), note, duration=seconds, unit="s", **common)
        for against in ("mono", "hubert"):
            if against == name:
                continue
            note = _too_wide(timing.fitted_ratio(fit, fits[against], np.array(bench.durations)), timing.RATIO_TOLERANCE)
            at = {**common, "view": against}
            for seconds, row in zip(grid, timing.fitted_ratio(fit, fits[against], grid), strict=True):
                _fitted(bench, name, "ratio_fit", tuple(row), note, duration=seconds, unit="ratio", **at)
            if name == "multi":
                _fitted(bench, name, "pays_from", timing.pays_from(fit, fits[against]), note, unit="s", **at)


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
    for name, found in rounds.items():
        for part, block, period in found[0]:
            values = np.array([times[part, block, period] for times in found])
            estimate = timing.estimate(values, seed=bench.seed, tolerance=np.inf)
            bench.add_estimate(
                name, "part_seconds", estimate, part=part, block=block, frame_period=period, unit="s", **at
            )
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
    share = timing.estimate(shares, seed=bench.seed, tolerance=timing.TIME_TOLERANCE)
    common = {"view": CONTROL, "unit": "ratio", **at}
    bench.add_estimate(CONTROL, "low_share", share, **{**common, "unit": "share"})
    for measure, kept in (("amdahl_bound", 0.0), ("amdahl_expected", up / down)):
        gone = 1 - kept
        limit = Estimate(1 - gone * share.median, 1 - gone * share.high, 1 - gone * share.low, share.n, share.note)
        bench.add_estimate("multi", measure, limit, **common)


def _energy(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Joules a pass, where the platform reports them."""
    counters, reason = timing.energy_counters()
    if bench.device.startswith("cuda"):
        reason = "energy is read from processors only"
    seconds = bench.reference
    for name, model in models.items():
        at = {"duration": seconds, "batch": 1, "unit": "J"}
        if reason:
            bench.add(name, "energy", float("nan"), note=reason, source="measured", **at)
            continue
        call = bench.call(model, seconds)
        values = [timing.measure_energy(call, counters, calls=3) for _ in range(bench.setting.repeats)]
        found = timing.estimate(np.array(values), seed=bench.seed, tolerance=timing.TIME_TOLERANCE)
        bench.add_estimate(name, "energy", found, **at)


def _others(bench: Bench, configs: Mapping[str, ModelConfig], models: Mapping[str, MultiResHubert]) -> None:
    """Ablations and what-ifs, each in turn with the control."""
    seconds = bench.reference
    for name in bench.setting.others:
        if name not in configs:
            continue
        pair = {CONTROL: models[CONTROL], "hubert": models["hubert"], name: bench.build(configs[name])}
        times = bench.time({n: bench.call(m, seconds) for n, m in pair.items()}, bench.setting.repeats)
        at = {"duration": seconds, "batch": 1, **_what_if(configs[name])}
        samples = times[times["name"] == name]
        for repeat, took in zip(samples["repeat"], samples["seconds"], strict=True):
            bench.add(name, "latency_sample", took, trial=repeat, unit="s", source="measured", **at)
        bench.add_estimate(name, "latency", timing.summarise(times, seed=bench.seed)[name], unit="s", **at)
        for against in ("mono", "hubert"):
            ratio = timing.paired_ratio(times, name, against, seed=bench.seed)
            bench.add_estimate(name, "ratio", ratio, view=against, unit="ratio", **at)


def _training(bench: Bench, models: Mapping[str, MultiResHubert]) -> None:
    """Forward, loss, backward and a plain gradient step on masked units, as in pre-training, with random targets."""
    seconds = min(bench.durations)
    steps = {name: training_step(model, bench.waveforms(seconds), seed=bench.seed) for name, model in models.items()}
    times = bench.time(steps, bench.setting.fewer)
    at = {"duration": seconds, "batch": 1}
    for name, found in timing.summarise(times, seed=bench.seed).items():
        bench.add_estimate(name, "training_step", found, unit="s", **at)
        for against in ("mono", "hubert"):
            if against != name:
                ratio = timing.paired_ratio(times, name, against, seed=bench.seed)
                bench.add_estimate(name, "training_ratio", ratio, view=against, unit="ratio", **at)


def training_step(model: MultiResHubert, waveforms: torch.Tensor, *, seed: int = 0) -> Callable[[], object]:
    """One step of masked unit prediction at every resolution that has a head, with random units and half the frames masked.

    The update is plain gradient descent: what an optimiser does beside it costs every model the same.
    """
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    batch, samples = waveforms.shape
    sizes = config.frame_counts(torch.tensor([samples]))
    mask = (torch.rand(batch, int(sizes[0]), generator=generator) < 0.5).to(waveforms.device)
    units = [
        torch.randint(classes, (batch, int(frames)), generator=generator).to(waveforms.device)
        for frames, classes in zip(sizes, config.classes, strict=False)
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def step() -> None:
        model.train()
        outputs = model.predict(waveforms, mask=mask)
        losses = []
        for head, (targets, output) in enumerate(zip(units, outputs.resolutions, strict=False)):
            if output.mask is not None and bool(output.mask.any()):
                logits = model.logits(head, output.frames[output.mask])
                losses.append(F.cross_entropy(logits, targets[:, : output.mask.shape[1]][output.mask]))
        torch.stack(losses).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()

    return step


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


# -- parameters ---------------------------------------------------------------------------------------------------


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
