"""Losses of downsampling: ridge probes of energy, pitch, phone boundaries and durations, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import ACOUSTIC, Run, Subject
from multires.analysis.stages.gather import gather_rows, layer_columns
from multires.analysis.stages.grid import framed_columns, framed_layers, grid_vectors, sampled_windows
from multires.analysis.stages.rows import run_parameters
from multires.corpus.utterance import Utterance
from multires.features.frames import FrameStore
from multires.features.prosody import log_energy, log_pitch
from multires.measures.regression import ridge_probe
from multires.models.layers import Layer
from multires.results import Result

PERIOD = 0.02
"""Period of the windows, in seconds: that of the finest layers."""

TARGETS = ("energy", "pitch", "boundary", "duration")
"""Targets: energy (dB), pitch of vowels (octaves), whether a phone begins in the window, and the phone's log duration."""

_VOWELS = tuple("aeiou")
"""First letters of vowels in ARPAbet."""


@dataclass(frozen=True)
class _Place:
    """One layer, and the windows with their targets: a piece of work."""

    store: FrameStore
    layer: Layer
    columns: Mapping[str, Any]
    windows: tuple[pd.DataFrame, pd.DataFrame]

    def __str__(self) -> str:
        return f"{self.columns['model']} {self.layer.name}"


def prosody(run: Run) -> Result:
    """R2 of ridge probes of `TARGETS` for every layer and for log-mel and MFCC, in windows of 20 ms.

    A layer at 40 ms gives two windows the same vector: what it does not say about which of the two a boundary is in, it
    has lost. Probes are fitted to the training splits and judged on the evaluation splits.
    """

    def rows_of(place: _Place) -> list[dict[str, Any]]:
        return [row for target in TARGETS for row in _target_rows(run, place, target)]

    def compute() -> pd.DataFrame:
        items = run.frames("mel").items()
        fit, judge = (
            with_targets(sampled_windows(run, items, PERIOD, splits), items, run.frame_sample)
            for splits in (run.profile.train, run.profile.evaluation)
        )
        places = [
            _Place(
                run.frames(subject.name, subject.seed), layer, {**framed_columns(run, subject), **layer_columns(layer)},
                (fit, judge),
            )
            for subject in [*run.subjects, *(Subject(name, 0) for name in ACOUSTIC)]
            for layer in framed_layers(run, subject)
        ]  # fmt: skip
        return gather_rows(run, "prosody", places, rows_of)

    return run.table(
        "prosody", run_parameters(run, "train", "evaluation", "frame_utterances", "grid_frames", "resamples"), compute
    )


def with_targets(windows: pd.DataFrame, items: pd.DataFrame, utterances: Sequence[Utterance]) -> pd.DataFrame:
    """Windows with a column for each of `TARGETS`; NaN where a target does not apply.

    Parameters
    ----------
    windows
        As `multires.analysis.stages.grid.sampled_windows` gives them at `PERIOD`.
    items, utterances
        The phones and the recordings that `number` counts.
    """
    table = windows.assign(**dict.fromkeys(TARGETS, np.nan))
    phones = items[items["unit"] == "phone"]
    for number, rows in table.groupby("number").indices.items():
        at = table["window"].to_numpy()[rows]
        samples = utterances[int(str(number))].audio
        own = phones[phones["number"] == number].sort_values("start")
        start, end = own["start"].to_numpy(float), own["end"].to_numpy(float)
        inside = np.searchsorted(start, (at + 0.5) * PERIOD + _EDGE, side="right") - 1
        begins = np.isin(at, np.floor(start / PERIOD + _EDGE).astype(np.int64))
        found = {
            "energy": _at(log_energy(samples, PERIOD), at),
            "pitch": _at(log_pitch(samples, PERIOD), at),
            "boundary": begins.astype(float),
            "duration": np.log2((end - start)[inside.clip(0)]),
        }
        for target, values in found.items():
            table.iloc[rows, table.columns.get_loc(target)] = values
    vowel = table["label"].astype(str).str.lower().str.startswith(_VOWELS)
    return table.assign(pitch=table["pitch"].where(vowel))


_EDGE = 1e-6
"""Tolerance of times that fall on an edge."""


def _at(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The values of some windows; the last one beyond the end, and NaN if there is none."""
    return values[windows.clip(max=len(values) - 1)] if len(values) else np.full(len(windows), np.nan)


def _target_rows(run: Run, place: _Place, target: str) -> list[dict[str, Any]]:
    tables = [table[table[target].notna()].reset_index(drop=True) for table in place.windows]
    if any(len(table) < 2 or np.ptp(table[target]) == 0 for table in tables):
        return []
    fit, judge = tables
    x, test_x = (grid_vectors(place.store, place.layer, table, PERIOD) for table in tables)
    (found,) = ridge_probe(
        x, fit[target].to_numpy(float), test_x, judge[target].to_numpy(float), clusters=judge["speaker"].to_numpy(str),
        groups=fit["speaker"].to_numpy(str), seed=run.seed, replicates=max(run.profile.resamples, 2), name=str(place),
    )  # fmt: skip
    return found.rows(**place.columns, view=target)
