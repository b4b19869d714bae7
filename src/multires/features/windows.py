"""Long recordings in windows with context, so that memory does not grow with their length.

A recording above `LONG_SECONDS` is run window by window. A window has `CONTEXT_SECONDS` of speech before and after the
part whose frames are kept, and begins on a frame of every layer, so that frames are where they are in the whole.
Frames that depend on less speech than the context, such as log-mel and cepstra, equal those of the whole recording.

Self-attention and normalization over time reach over the whole input, so that frames of HuBERT-like models are those
of a recording as long as the window, everywhere and not only at seams: over 130 s of several speakers one after
another, a small MR-HuBERT's frames in windows differ from those of the whole by 8 % of their norm at its first layer
and by 16 to 25 % (medians) from the middle block on. Training pieces are shorter than a window. `windowed` names the
recordings concerned, for the provenance of results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from multires.corpus.utterance import SAMPLE_RATE, Utterance
from multires.models.layers import Layer, LayeredModel, LayerOutputs

LONG_SECONDS = 60.0
"""Length from which a recording is run in windows, and the length of a window with its context."""

CONTEXT_SECONDS = 5.0
"""Speech that a window has on either side of the frames that are kept."""


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of a recording: those that a model sees and, within them, those whose frames are kept.

    Attributes
    ----------
    start, stop
        First sample seen, and one past the last.
    first, past
        First sample of the part that is kept, and one past its last; `past` equals `stop` at the end of the recording.
    """

    start: int
    stop: int
    first: int
    past: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames of one layer.

    Attributes
    ----------
    first
        Index of the first of them in the whole recording.
    frames
        Shape (frames, dim).
    """

    first: int
    frames: Float[torch.Tensor, "frames dim"]


def is_long(utterance: Utterance) -> bool:
    """True if an utterance is run in windows."""
    return utterance.duration > LONG_SECONDS


def windowed(utterances: Iterable[Utterance]) -> dict[str, object]:
    """Provenance of recordings that are run in windows; empty if there are none."""
    names = [utterance.id for utterance in utterances if is_long(utterance)]
    if not names:
        return {}
    return {"windows": {"above_seconds": LONG_SECONDS, "context_seconds": CONTEXT_SECONDS, "utterances": names}}


def plan_windows(samples: int, layers: Iterable[Layer]) -> list[Window]:
    """Windows over a recording; the parts that are kept follow one another without a gap.

    Parameters
    ----------
    samples
        Of the recording.
    layers
        Parts begin on a frame of each of them.

    Examples
    --------
    >>> mel = Layer("mel", "mel", "mel", 0, 0.01, 80, 0.0125)
    >>> [(w.start, w.first, w.past, w.stop) for w in plan_windows(2_000_000, [mel])]
    [(0, 0, 800000, 880000), (720000, 800000, 1600000, 1680000), (1520000, 1600000, 2000000, 2000000)]
    """
    grid = math.lcm(*(round(layer.frame_period * SAMPLE_RATE) for layer in layers))

    def on_grid(seconds: float) -> int:
        return max(int(seconds * SAMPLE_RATE) // grid, 1) * grid

    kept, context = on_grid(LONG_SECONDS - 2 * CONTEXT_SECONDS), on_grid(CONTEXT_SECONDS)
    windows = []
    first = 0
    while True:
        past = first + kept
        # What is left over is kept with the last window if it is no longer than the context that is read anyway.
        if past + context >= samples:
            windows.append(Window(max(first - context, 0), samples, first, samples))
            return windows
        windows.append(Window(max(first - context, 0), past + context, first, past))
        first = past


def run_windows(
    model: LayeredModel, samples: Float[np.ndarray, " samples"], device: str | torch.device = "cpu"
) -> Iterator[Mapping[str, Stretch]]:
    """The frames of every layer of one recording, window by window, without its context."""
    for window in plan_windows(len(samples), model.layers):
        part = torch.from_numpy(np.ascontiguousarray(samples[window.start : window.stop]))
        with torch.inference_mode():
            outputs = model(part[None].to(device)).utterance(0)
        kept = {}
        for layer in model.layers:
            hop = round(layer.frame_period * SAMPLE_RATE)
            frames = outputs[layer.name][(window.first - window.start) // hop :]
            if window.past < len(samples):
                frames = frames[: (window.past - window.first) // hop]
            kept[layer.name] = Stretch(window.first // hop, frames)
        yield kept


def run_whole(
    model: LayeredModel, samples: Float[np.ndarray, " samples"], device: str | torch.device = "cpu"
) -> LayerOutputs:
    """The same frames joined, on the processor, as one utterance's outputs; their memory grows with the length."""
    parts: dict[str, list[torch.Tensor]] = {}
    for window in run_windows(model, samples, device):
        for name, stretch in window.items():
            parts.setdefault(name, []).append(stretch.frames.float().cpu())
    frames = {name: torch.cat(each)[None] for name, each in parts.items()}
    return LayerOutputs(frames, {name: torch.tensor([x.shape[1]]) for name, x in frames.items()})
