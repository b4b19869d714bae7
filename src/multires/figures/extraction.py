"""Figures of the first chapter: an utterance, the durations of its units, the models' layers, and their spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torchaudio
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Utterance
from multires.figures.layers import layer_curves
from multires.figures.style import BASELINE, RESOLUTION_COLOURS, new_figure

_HOP = 0.01


def utterance(example: Utterance, *, corpus: str, seconds: float = 1.6) -> Figure:
    """Log-mel spectrogram, words, phones and the frames of three resolutions for the first `seconds` of speech."""
    audio = torch.from_numpy(example.audio)
    mel = torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, n_fft=400, hop_length=int(_HOP * SAMPLE_RATE), n_mels=80)
    values = torch.log10(mel(audio) + 1e-6).numpy()
    phones = [segment for segment in example.phones or () if segment.label != SILENCE]
    start = max(phones[0].start - 0.05, 0) if phones else 0.0
    end = min(start + seconds, example.duration)
    figure, axes = new_figure(2, 1, height=4.6, sharex=True, height_ratios=(3, 2))
    top, bottom = axes.flat
    top.imshow(values, origin="lower", aspect="auto", cmap="Greys", extent=(0, values.shape[1] * _HOP, 0, 80))
    top.set_ylabel("mel band")
    top.set_title(f"{corpus}: utterance {example.id}", loc="left")
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
                        (max(segment.start, start) + min(segment.end, end)) / 2, rows[name] + 0.4, segment.label,
                        ha="center", va="center", fontsize="x-small", clip_on=True,
                    )  # fmt: skip
    for row, (period, colour) in enumerate(RESOLUTION_COLOURS.items()):
        ticks = np.arange(np.ceil(start / period), end / period) * period
        bottom.vlines(ticks, 2.2 - row, 2.9 - row, color=colour, linewidth=1.6)
    bottom.set_yticks(
        [4.8, 3.8, 2.55, 1.55, 0.55], ["words", "phones", *(f"{p * 1000:.0f} ms" for p in RESOLUTION_COLOURS)]
    )
    bottom.set_ylim(0, 5.5)
    bottom.set_xlim(start, end)
    bottom.set_xlabel("seconds")
    bottom.grid(False)
    top.grid(False)
    return figure


def durations(segments: pd.DataFrame, *, corpus: str) -> Figure:
    """Histograms of phone and word durations beside the frame periods."""
    figure, axes = new_figure(2, 1, height=4.6)
    for axis, unit, limit in zip(axes.flat, ("phone", "word"), (0.30, 1.0), strict=True):
        part = segments[segments["unit"] == unit]
        lengths = (part["end"] - part["start"]).to_numpy()
        axis.hist(
            np.clip(lengths, 0, limit), bins=np.arange(0, limit + 1e-9, limit / 30), color="#C8C8C8", edgecolor="white"
        )
        for level, (period, colour) in enumerate(RESOLUTION_COLOURS.items()):
            share = (lengths < period - 1e-6).mean() if len(lengths) else np.nan
            axis.axvline(period, color=colour, linewidth=2)
            axis.text(0.98, 0.88 - 0.15 * level, f"{share:.0%} shorter than {period * 1000:.0f} ms", color=colour,
                      transform=axis.transAxes, ha="right", va="center")  # fmt: skip
        axis.set_ylabel(f"{unit}s")
        axis.set_xlabel(f"duration (s); the last bar holds all longer than {limit:.2g} s")
    axes.flat[0].set_title(f"{corpus}: {(segments['unit'] == 'phone').sum():,} phones", loc="left")
    axes.flat[1].set_title(f"{(segments['unit'] == 'word').sum():,} words", loc="left")
    return figure


def schematic(layers: pd.DataFrame) -> Figure:
    """A column of boxes for each model, from the waveform encoder up, coloured by frame period.

    Parameters
    ----------
    layers
        Columns model, label, depth and frame_period (ms), as `multires.stages.layer_table` gives them.
    """
    models = list(dict.fromkeys(layers["model"]))
    depth = int(layers["depth"].max()) + 1
    figure, axes = new_figure(1, 1, height=0.42 * depth + 1.1)
    axis = axes.flat[0]
    for column, model in enumerate(models):
        for row in layers[layers["model"] == model].itertuples():
            period = row.frame_period
            colour = RESOLUTION_COLOURS.get(round(period / 1000, 3), BASELINE)
            halves = max(1, round(0.08 / (period / 1000)))
            axis.add_patch(Rectangle((column - 0.38, row.depth), 0.76, 0.74, facecolor=colour, alpha=0.25))
            for tick in range(halves):
                axis.add_patch(
                    Rectangle(
                        (column - 0.38 + 0.76 * tick / halves, row.depth),
                        0.76 / halves,
                        0.74,
                        fill=False,
                        edgecolor=colour,
                    )
                )
            axis.text(
                column, row.depth + 0.37, f"{row.label} · {period:.0f} ms", ha="center", va="center", fontsize="small"
            )
    axis.set_xticks(range(len(models)), models)
    axis.set_xlim(-0.6, len(models) - 0.4)
    axis.set_ylim(-0.1, depth)
    axis.set_ylabel("depth")
    axis.set_yticks(np.arange(depth) + 0.37, range(depth))
    axis.grid(False)
    return figure


def extraction_summary(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Participation ratio and neighbour similarity by depth."""
    rows = table[table["measure"].isin(["participation ratio", "neighbour similarity"])]
    return layer_curves(
        rows,
        panels="measure",
        ylabel="",
        title=f"{corpus}; {models}",
        panel_titles={
            "participation ratio": "participation ratio",
            "neighbour similarity": "similarity to the 80 ms around",
        },
    )
