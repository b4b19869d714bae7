"""Phones and words at equal frame rates: matched frames of a layer, and the vectors and spans of its segments."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from multires.analysis.run import Run
from multires.analysis.stages.rows import sample_rows
from multires.measures.resolution import Frames, Matching, frame_spans, match_resolution
from multires.models.layers import Layer

MATCHINGS: dict[str, tuple[Matching, float | None]] = {
    "native": ("native", None),
    "decimated to 40 ms": ("decimated", 0.04),
    "averaged to 40 ms": ("averaged", 0.04),
    "grid of 40 ms": ("grid", 0.04),
    "grid of 80 ms": ("grid", 0.08),
}
"""Treatments of frames in comparisons at equal frame rates, by name."""

EQUAL = "grid of 40 ms"
"""The matching on which layers are chosen and blocks are compared."""


@dataclass(frozen=True)
class MatchedFrames:
    """Frames of many utterances after matching, and the spans of segments in them.

    Attributes
    ----------
    values
        Frames of all utterances, one after the other.
    spans
        First frame and one past the last frame of each segment.
    """

    values: Float[np.ndarray, "frames dim"]
    spans: Int[np.ndarray, "segments 2"]

    def means(self) -> Float[np.ndarray, "segments dim"]:
        """Mean of the frames of each segment, float32."""
        sums = np.zeros((len(self.values) + 1, self.values.shape[1]))
        np.cumsum(self.values, axis=0, dtype=np.float64, out=sums[1:])
        first, past = self.spans.T
        return ((sums[past] - sums[first]) / (past - first)[:, None]).astype(np.float32)


def match_frames(
    values: Float[np.ndarray, "frames dim"],
    lengths: Int[np.ndarray, " utterances"],
    layer: Layer,
    matching: str,
    items: pd.DataFrame,
    columns: tuple[str, str] = ("start", "end"),
) -> MatchedFrames:
    """Match the frames of a layer and find the frames of some segments.

    Parameters
    ----------
    values, lengths
        As `multires.features.frames.FrameStore.frames` gives them.
    layer
        Where they come from.
    matching
        One of `MATCHINGS`.
    items
        Rows with the number of the utterance and times, sorted by utterance.
    columns
        Columns that hold the times.
    """
    how, period = MATCHINGS[matching]
    bounds = np.append(0, np.cumsum(lengths))
    parts, spans, offset = [], [], 0
    numbers = items["number"].to_numpy()
    times = items[list(columns)].to_numpy(float)
    for number, (first, past) in enumerate(itertools.pairwise(bounds)):
        low, high = np.searchsorted(numbers, [number, number + 1])
        if low == high:
            continue
        frames = Frames(values[first:past], layer.frame_period, layer.first_center)
        matched = match_resolution(frames, how, period)
        spans.append(
            frame_spans(
                times[low:high, 0], times[low:high, 1], matched.period, len(matched),
                first_center=matched.first_center, offset=offset,
            )
        )  # fmt: skip
        parts.append(matched.values)
        offset += len(matched)
    return MatchedFrames(np.concatenate(parts), np.concatenate(spans))


def matchings_of(layer: Layer) -> dict[str, str]:
    """Matchings that a layer serves, and for each the one that gives the same frames and need not be computed again."""
    found = {}
    for name, (how, period) in MATCHINGS.items():
        ratio = 1.0 if period is None or how == "grid" else period / layer.frame_period
        if ratio < 1 - 1e-6 or abs(ratio - round(ratio)) > 1e-6:
            continue
        same = how in ("decimated", "averaged") and round(ratio) == 1
        found[name] = "native" if same else name
    return found


def chosen_items(run: Run, items: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Segments of a kind, at most `matched_instances` of each split, sorted by utterance; of words the frequent ones."""
    rows = items[(items["unit"] == unit) & (items["label"] != "")]
    if unit == "word":
        counts = rows["label"].value_counts()
        kept = counts[counts >= run.profile.word_instances].index[: run.profile.word_types]
        rows = rows[rows["label"].isin(kept)]
    parts = []
    for splits in (run.profile.train, run.profile.evaluation):
        part = np.flatnonzero(rows["split"].isin(splits).to_numpy())
        parts.append(sample_rows(part, run.profile.matched_instances, run.seed))
    return rows.iloc[np.sort(np.concatenate(parts))].sort_values("number", kind="stable", ignore_index=True)
