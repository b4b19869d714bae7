"""Measurement settings, and the rows collected under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from multires.efficiency import timing
from multires.efficiency.estimates import Estimate
from multires.models.config import SAMPLE_RATE, ModelConfig
from multires.models.encoder import WaveformEncoder
from multires.models.mr_hubert import MultiResHubert
from multires.results import processor_name, tidy


@dataclass(frozen=True)
class Setting:
    """Amount of measurement.

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


@dataclass
class Bench:
    """Parameters of a measurement, and the rows so far."""

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
        """A forward pass over noise of the given duration."""
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
