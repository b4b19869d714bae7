"""Windows of speech on a common grid, with their phones, and the frames of layers in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from multires.analysis.run import ACOUSTIC, INPUTS, Run, Subject
from multires.analysis.stages.gather import subject_columns
from multires.analysis.stages.rows import sample_rows
from multires.features.frames import FrameStore
from multires.measures.resolution import Frames, match_resolution
from multires.models.layers import Layer

PERIOD = 0.04
"""Period of the grid on which layers of several resolutions are compared, in seconds."""

_EDGE = 1e-6
"""Tolerance, in windows, of times that fall on an edge."""


def grid_windows(items: pd.DataFrame, period: float) -> pd.DataFrame:
    """Windows whose middles are in a phone.

    Parameters
    ----------
    items
        As `multires.features.frames.FrameStore.items` gives them; silences are no items, so that their windows are
        left out.
    period
        Seconds per window; window i is [i * period, (i + 1) * period).

    Returns
    -------
    DataFrame
        Columns number (of the utterance), utterance, speaker, split, label and window, sorted by utterance and time.
    """
    phones = items[items["unit"] == "phone"]
    edges = phones[["start", "end"]].to_numpy(float) / period - 0.5
    first, past = np.ceil(edges - _EDGE).astype(np.int64).clip(0).T
    count = (past - first).clip(0)
    table = phones[["number", "utterance", "speaker", "split", "label"]]
    table = table.loc[table.index.repeat(count)].reset_index(drop=True)
    begins = np.repeat(np.cumsum(count) - count, count)
    table["window"] = np.repeat(first, count) + np.arange(len(table)) - begins
    return table.sort_values(["number", "window"], kind="stable", ignore_index=True)


def sampled_windows(run: Run, items: pd.DataFrame, period: float, splits: Sequence[str]) -> pd.DataFrame:
    """At most `grid_frames` windows of some splits: the same for every layer and model of a run."""
    table = grid_windows(items, period)
    rows = np.flatnonzero(table["split"].isin(splits).to_numpy())
    return table.iloc[sample_rows(rows, run.profile.grid_frames, run.seed)].reset_index(drop=True)


def grid_vectors(store: FrameStore, layer: Layer, table: pd.DataFrame, period: float) -> Float[np.ndarray, "rows dim"]:
    """The vector of a layer in each window of a table: the mean of its frames there, or the nearest frame."""
    values, lengths = store.frames(layer.name)
    past = np.cumsum(lengths)
    found = np.empty((len(table), values.shape[1]), dtype=np.float32)
    windows = table["window"].to_numpy()
    for number, rows in table.groupby("number").indices.items():
        own = values[past[number] - lengths[number] : past[number]]
        matched = match_resolution(Frames(own, layer.frame_period, layer.first_center), "grid", period).values
        found[rows] = matched[windows[rows].clip(max=len(matched) - 1)]
    return found


def framed_layers(run: Run, subject: Subject) -> list[Layer]:
    """The layers whose frames are kept: those the run looks at, without the input of the transformer."""
    if subject.name in ACOUSTIC:
        return list(run.model(subject.name).layers)
    layers = run.chosen_layers(subject.name, subject.seed)
    return [layer for layer in layers if layer.block not in INPUTS] or layers


def framed_columns(run: Run, subject: Subject) -> dict[str, object]:
    """Columns of a table that name the model; acoustic features are their own condition."""
    columns = subject_columns(run, subject)
    return columns | ({"condition": subject.name, "trained": False} if subject.name in ACOUSTIC else {})
