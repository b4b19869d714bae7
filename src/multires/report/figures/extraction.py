"""Figures of the first chapter: an utterance, the durations of its units, the models' layers, and their spread."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from multires.corpus.utterance import SILENCE, Utterance
from multires.report.escape import for_figure
from multires.report.figures.empty import of_rows
from multires.report.figures.layers import layer_curves
from multires.report.figures.style import BASELINE, RESOLUTION_COLORS, new_figure, resolution_color, text_color
from multires.report.names import speech_name

_HOP = 0.01


def utterance(
    example: Utterance, spectrogram: Float[np.ndarray, "bands frames"], *, corpus: str, seconds: float = 1.6
) -> Figure:
    """Log-mel spectrogram, words, phones and the frames of three resolutions for the first `seconds` of speech.

    Parameters
    ----------
    example
        Its words and phones are drawn.
    spectrogram
        Of its audio, a frame each 10 ms, as `multires.analysis.stages.log_mel` gives it.
    corpus
        Named in the title.
    seconds
        Of speech, from the first phone.
    """
    phones = [segment for segment in example.phones or () if segment.label != SILENCE]
    start = max(phones[0].start - 0.05, 0) if phones else 0.0
    end = min(start + seconds, example.duration)
    figure, axes = new_figure(2, 1, height=4.6, sharex=True, height_ratios=(3, 2))
    top, bottom = axes.flat
    top.imshow(
        spectrogram,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        extent=(0, spectrogram.shape[1] * _HOP, 0, len(spectrogram)),
    )
    top.set_ylabel("mel band")
    top.set_title(for_figure(f"{speech_name(corpus)}: utterance {example.id}", longest=70), loc="left")
    rows = {"word": 4.4, "phone": 3.4}
    for name, segments in (("word", example.words or ()), ("phone", phones)):
        for segment in segments:
            if segment.end > start and segment.start < end:
                bottom.add_patch(
                    Rectangle(
                        (segment.start, rows[name]), segment.end - segment.start, 0.8, fill=False, edgecolor=BASELINE
                    )
                )
                if (segment.end - segment.start) > 0.05 * (1.3 if name == "phone" else 1):
                    bottom.text(
                        (max(segment.start, start) + min(segment.end, end)) / 2, rows[name] + 0.4, for_figure(segment.label, longest=16),
                        ha="center", va="center", fontsize="x-small", clip_on=True,
                    )  # fmt: skip
    for row, (period, color) in enumerate(RESOLUTION_COLORS.items()):
        ticks = np.arange(np.ceil(start / period), end / period) * period
        bottom.vlines(ticks, 2.2 - row, 2.9 - row, color=color, linewidth=1.6)
    bottom.set_yticks(
        [4.8, 3.8, 2.55, 1.55, 0.55], ["words", "phones", *(f"{p * 1000:.0f} ms" for p in RESOLUTION_COLORS)]
    )
    bottom.set_ylim(0, 5.5)
    bottom.set_xlim(start, end)
    bottom.set_xlabel("seconds")
    bottom.grid(False)
    top.grid(False)
    return figure


@of_rows
def durations(segments: pd.DataFrame, *, corpus: str) -> Figure:
    """Histograms of phone and word durations beside the frame periods."""
    figure, axes = new_figure(2, 1, height=4.6)
    for axis, unit, limit in zip(axes.flat, ("phone", "word"), (0.30, 1.0), strict=True):
        part = segments[segments["unit"] == unit]
        lengths = (part["end"] - part["start"]).to_numpy()
        axis.hist(
            np.clip(lengths, 0, limit), bins=np.arange(0, limit + 1e-9, limit / 30), color="#C8C8C8", edgecolor="white"
        )
        for level, (period, color) in enumerate(RESOLUTION_COLORS.items()):
            share = (lengths < period - 1e-6).mean() if len(lengths) else np.nan
            axis.axvline(period, color=color, linewidth=2)
            axis.text(0.98, 0.88 - 0.15 * level, f"{share:.0%} shorter than {period * 1000:.0f} ms", color=text_color(period),
                      transform=axis.transAxes, ha="right", va="center")  # fmt: skip
        axis.set_ylabel(f"{unit}s")
        axis.set_xlabel(f"duration (s); the last bar holds all longer than {limit:.2g} s")
    axes.flat[0].set_title(
        f"{for_figure(speech_name(corpus))}: {(segments['unit'] == 'phone').sum():,} phones", loc="left"
    )
    axes.flat[1].set_title(f"{(segments['unit'] == 'word').sum():,} words", loc="left")
    return figure


@of_rows
def schematic(layers: pd.DataFrame, predicts_from: Mapping[str, Sequence[str]] | None = None) -> Figure:
    """Each model as a column of layers from the waveform up: every box a layer over 160 ms, divided into its frames.

    Parameters
    ----------
    layers
        Columns model, layer, label, block, depth and frame_period (ms), as `multires.analysis.stages.layer_table` gives them.
    predicts_from
        For each model the layers after which training predicts units: `LayeredModel.predicts_from`.
    """
    models = list(dict.fromkeys(layers["model"]))
    columns = {model: _column(layers[layers["model"] == model]) for model in models}
    top = max(rows[-1]["y"] for rows in columns.values()) + _LAYER
    figure, axes = new_figure(1, 1, height=0.36 * top + 1.5)
    axis = axes.flat[0]
    for column, model in enumerate(models):
        rows, losses = columns[model], set((predicts_from or {}).get(model, ()))
        _waveform(axis, column)
        for row in rows:
            _layer_box(axis, column, row)
        for block in dict.fromkeys(row["block"] for row in rows):
            own = [row for row in rows if row["block"] == block]
            _block_labels(axis, column, own, {row["layer"] for row in own} & losses)
        for below, above in itertools.pairwise(rows):
            if below["block"] != above["block"]:
                _sampler(axis, column, below, above)
        _skips(axis, column, rows)
    centers = [column + (_LEFT + _RIGHT) / 2 for column in range(len(models))]
    axis.set_xticks(centers, [model.replace("/", "/\n") for model in models])
    axis.set_xlim(-0.62, len(models) - 0.42)
    axis.set_ylim(-1.25, top + 0.1)
    axis.set_yticks([])
    axis.tick_params(length=0)
    axis.grid(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.set_xlabel("a box is a layer over 160 ms of speech, divided into its frames")
    return figure


_LEFT, _RIGHT = -0.30, 0.12
"""Edges of a layer's box in its column, which is one unit wide."""
_LAYER, _GAP = 0.78, 1.0
"""Height of a layer's box, and of the room for a sampler between blocks; a layer takes one unit."""


def _column(layers: pd.DataFrame) -> list[dict[str, Any]]:
    """The layers of one model with their height y: a gap wherever the block changes."""
    rows: list[dict[str, Any]] = []
    y = 0.0
    for row in layers.sort_values("depth").to_dict("records"):
        if rows:
            y += 1.0 + (_GAP if row["block"] != rows[-1]["block"] else 0.0)
        rows.append({**row, "y": y})
    return rows


def _layer_box(axis: Axes, column: int, row: dict[str, Any]) -> None:
    period = row["frame_period"] / 1000
    color = resolution_color(period)
    frames = max(1, round(0.16 / period))
    width = (_RIGHT - _LEFT) / frames
    for frame in range(frames):
        left = column + _LEFT + width * frame
        axis.add_patch(Rectangle((left, row["y"]), width, _LAYER, facecolor=to_rgba(color, 0.28), edgecolor=color))
    axis.text(column + _LEFT - 0.03, row["y"] + _LAYER / 2, row["label"], ha="right", va="center", fontsize="x-small")


def _block_labels(axis: Axes, column: int, rows: list[dict[str, Any]], losses: set[str]) -> None:
    """The frame period at the block's first layer, the loss at the layer that it is computed from."""
    first, x = rows[0], column + _RIGHT + 0.04
    color = text_color(first["frame_period"] / 1000)
    for row in rows:
        named = row is first and row["block"] != "conv"  # which shares its period with the block above it
        said = [f"{row['frame_period']:.0f} ms"] if named else []
        said += ["→ loss"] if row["layer"] in losses else []
        if said:
            axis.text(x, row["y"] + _LAYER / 2, "\n".join(said), ha="left", va="center", fontsize="small",
                      color=color, fontweight="bold" if row is first else None, linespacing=1.0)  # fmt: skip


def _sampler(axis: Axes, column: int, below: dict[str, Any], above: dict[str, Any]) -> None:
    """Label between two blocks: the projection, or a sampler with its factor."""
    bottom, top = below["y"] + _LAYER, above["y"]
    middle = column + (_LEFT + _RIGHT) / 2
    axis.annotate(
        "", (middle, top), (middle, bottom), arrowprops={"arrowstyle": "-|>", "color": BASELINE, "linewidth": 1}
    )
    ratio = above["frame_period"] / below["frame_period"]
    text = f"down ×{ratio:g}" if ratio > 1 else f"up ×{1 / ratio:g}" if ratio < 1 else "sampler ×1"
    if below["block"] != "conv":
        axis.text(middle + 0.03, (bottom + top) / 2, text, ha="left", va="center", fontsize="x-small", color="#444444")


def _skips(axis: Axes, column: int, rows: list[dict[str, Any]]) -> None:
    """From each encoder's output across to the output of the decoder of its resolution, where the two are added."""
    last = {row["block"]: row for row in rows}
    levels = sum(block.startswith("encoder") for block in last)
    for block, row in last.items():
        kind, _, level = block.partition(".")
        if kind != "encoder":
            continue
        across = last.get(f"decoder.{levels - 1 - int(level)}")  # decoders are numbered in the order of computation
        if across is None:
            continue
        x = column + _LEFT - 0.15 - 0.05 * (levels - 1 - int(level))
        low, high = row["y"] + _LAYER + 0.12, across["y"] + _LAYER + 0.06
        axis.plot([column + _LEFT, x, x, column + _LEFT], [low, low, high, high], color=BASELINE, linewidth=1)
        axis.text(column + _LEFT + 0.03, high + 0.02, "+", ha="center", va="bottom", fontsize="small", color="#444444")


def _waveform(axis: Axes, column: int) -> None:
    """A made-up waveform below the first layer."""
    time = np.linspace(0, 1, 160)
    wave = 0.3 * np.sin(60 * time) * np.sin(np.pi * time) ** 2 * (1 + 0.4 * np.sin(23 * time))
    axis.plot(column + _LEFT + (_RIGHT - _LEFT) * time, wave - 0.65, color=BASELINE, linewidth=0.8)


@of_rows
def extraction_summary(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Participation ratio and neighbor similarity by depth."""
    rows = table[table["measure"].isin(["participation ratio", "neighbor similarity"])]
    return layer_curves(
        rows,
        panels="measure",
        ylabel="",
        title=f"{speech_name(corpus)}; {models}",
        panel_titles={
            "participation ratio": "participation ratio",
            "neighbor similarity": "similarity to the 80 ms around",
        },
    )
