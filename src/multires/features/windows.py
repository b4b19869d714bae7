"""Long recordings in windows with context, so that memory does not grow with their length.

A recording up to `LONG_SECONDS` is run as a whole (another library's model up to its own `whole_seconds`). A longer one
is run window by window. A window has `CONTEXT_SECONDS` of speech before and after the part whose frames are kept, and
begins on a frame of every layer, so that frames are where they are in the whole. The audio is read in blocks.

Statistics over time that a model normalizes the waveform, its first convolution or its log-mel bands by are gathered
over the whole recording in a first pass, so that local features (``conv``, ``input``, log-mel, cepstra) are those of
the whole. What lies above attends to a window instead of the recording, and differs from the whole by an amount that
depends on the model: ``benchmarks/windows.py`` measures it. `windowed` names the recordings and the windows concerned,
for the provenance of results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from multires.corpus.utterance import SAMPLE_RATE, Utterance
from multires.models.layers import Layer, LayeredModel

LONG_SECONDS = 300.0
"""Length above which a recording is run in windows, and the length of a window with its context."""

CONTEXT_SECONDS = 10.0
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


def longest_whole(model: LayeredModel) -> float:
    """Seconds of the longest recording that a model is run on as a whole."""
    return min(LONG_SECONDS, model.whole_seconds)


def is_long(utterance: Utterance, *models: LayeredModel) -> bool:
    """True if an utterance is run in windows by one of these models."""
    return any(not model.by_utterance and utterance.duration > longest_whole(model) for model in models)


def windowed(utterances: Iterable[Utterance], models: Sequence[LayeredModel]) -> dict[str, object]:
    """Provenance of recordings that are run in windows, by model; empty if there are none.

    ``exact`` is true where no frame depends on more than its window, so that frames equal those of the whole.
    """
    utterances = list(utterances)
    found = {
        model.key: {
            "above_seconds": longest_whole(model),
            "context_seconds": _context_seconds(model),
            "utterances": names,
            "exact": model.reach != "global",
        }
        for model in models
        if (names := [utterance.id for utterance in utterances if is_long(utterance, model)])
    }
    return {"windows": found} if found else {}


def _context_seconds(model: LayeredModel) -> float:
    return CONTEXT_SECONDS if isinstance(model.reach, str) else 0.0


def plan_windows(samples: int, models: Sequence[LayeredModel]) -> list[Window]:
    """Windows over a recording; the parts that are kept follow one another without a gap.

    Parameters
    ----------
    samples
        Of the recording.
    models
        Parts begin on a frame of each of their layers, and windows are as short as the most demanding needs.

    Examples
    --------
    >>> from multires.models.acoustic import LogMel
    >>> [(w.start, w.first, w.past, w.stop) for w in plan_windows(9_000_000, [LogMel()])]
    [(0, 0, 4480000, 4640000), (4320000, 4480000, 9000000, 9000000)]
    """
    return list(_windows(samples, models, ()))


def _windows(samples: int, models: Sequence[LayeredModel], seconds: Iterable[float]) -> Iterator[Window]:
    """As `plan_windows`, on the grid of further periods too."""
    periods = [round(layer.frame_period * SAMPLE_RATE) for model in models for layer in model.layers]
    periods += [round(model.reach * SAMPLE_RATE) for model in models if not isinstance(model.reach, str)]
    grid = math.lcm(*periods, *(round(each * SAMPLE_RATE) for each in seconds))

    def on_grid(seconds: float) -> int:
        return max(int(seconds * SAMPLE_RATE) // grid, 1) * grid

    longest = min(longest_whole(model) for model in models)
    context = max((on_grid(each) if (each := _context_seconds(model)) else 0) for model in models)
    kept = on_grid(longest - 2 * context / SAMPLE_RATE)
    first = 0
    while True:
        past = first + kept
        # What is left over is kept with the last window if it is no longer than the context that is read anyway.
        if past + context >= samples:
            yield Window(max(first - context, 0), samples, first, samples)
            return
        yield Window(max(first - context, 0), past + context, first, past)
        first = past


def run_windows(
    models: Mapping[str, LayeredModel],
    utterance: Utterance,
    device: str | torch.device = "cpu",
    *,
    grid: Iterable[float] = (),
) -> Iterator[dict[str, dict[str, Stretch]]]:
    """The frames of every layer of some models, piece by piece, on the device.

    Parameters
    ----------
    models
        By any name. Those for which the recording is not too long are run on the whole of it.
    utterance
        Read in blocks, once for each model that needs its statistics and once for the frames.
    device
        Of the models.
    grid
        Seconds; pieces begin on a multiple of each, too.

    Yields
    ------
    dict
        By name and layer; the pieces of a layer follow one another without a gap.
    """
    samples = sum(len(block) for block in utterance.blocks())
    long = {name: model for name, model in models.items() if is_long(utterance, model)}
    whole = {name: model.measure(utterance.blocks) for name, model in long.items()}
    outputs = {name: _whole(model, utterance, samples, device) for name, model in models.items() if name not in long}
    for window, part in _read(utterance, _windows(samples, list(models.values()), grid)):
        waveform = torch.from_numpy(part)[None].to(device)
        found = {}
        for name, model in models.items():
            if name in long:
                with torch.inference_mode():
                    frames = model.part(waveform, whole[name]).utterance(0)
                found[name] = {x.name: _kept(x, frames[x.name], window, window.start, samples) for x in model.layers}
            else:
                found[name] = {x.name: _kept(x, outputs[name][x.name], window, 0, samples) for x in model.layers}
        yield found


def _kept(layer: Layer, frames: torch.Tensor, window: Window, start: int, samples: int) -> Stretch:
    """The frames of the part that a window keeps; `frames` begin at the sample `start`."""
    hop = round(layer.frame_period * SAMPLE_RATE)
    past = None if window.past >= samples else (window.past - start) // hop
    return Stretch(window.first // hop, frames[(window.first - start) // hop : past])


def _whole(
    model: LayeredModel, utterance: Utterance, samples: int, device: str | torch.device
) -> dict[str, torch.Tensor]:
    if model.by_utterance:  # which looks at the length only
        waveform = torch.zeros(1, device=device).expand(1, samples)
    else:
        waveform = torch.from_numpy(utterance.audio)[None].to(device)
    with torch.inference_mode():
        return model.run([utterance.id], waveform).utterance(0)


def _read(utterance: Utterance, plan: Iterable[Window]) -> Iterator[tuple[Window, Float[np.ndarray, " samples"]]]:
    """Each window with its samples."""
    blocks = utterance.blocks()
    held, begin = np.zeros(0, np.float32), 0
    for window in plan:
        parts = [held]
        size = begin + len(held)
        while size < window.stop:
            block: Any = next(blocks)
            parts.append(np.asarray(block, np.float32))
            size += len(block)
        held = np.concatenate(parts)[window.start - begin :]
        begin = window.start
        yield window, np.ascontiguousarray(held[: window.stop - window.start])
