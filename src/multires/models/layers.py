"""The interface of every model: named layers, each at its own frame period, with every utterance's length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """One place in a model where frames can be read.

    Attributes
    ----------
    name
        Stable: ``conv`` (the waveform encoder's output), ``encoder.0.3``, ``middle.1``, ``decoder.0.2``.
        Block index, then layer index, both from 0; the middle block has only a layer index.
        HuBERT is the one-block case and its layers are ``encoder.0.0`` onwards.
        Block ``encoder.1`` is the second, lower resolution.
    label
        For display: ``conv``, ``E1``, ``M2``, ``D3``.
    block
        ``conv``, ``encoder.0``, ``middle``, ``decoder.0``, ...
    index
        Depth: 0 for ``conv``, then 1, 2, ... in the order of computation.
    frame_period
        Seconds per frame: 0.02, 0.04, 0.08.
    dim
        Width of a frame.
    first_center
        Seconds from the first sample to the center of frame 0's receptive field in the waveform encoder's sense:
        frame i is centered on ``first_center + i * frame_period``.
    """

    name: str
    label: str
    block: str
    index: int
    frame_period: float
    dim: int
    first_center: float


@dataclass(frozen=True)
class LayerOutputs:
    """All layers' frames of one batch.

    Attributes
    ----------
    frames
        By layer name, padded with zeros to the longest utterance.
    lengths
        By layer name, the number of frames of each utterance that are its own.
    """

    frames: Mapping[str, Float[Tensor, "batch frames dim"]]
    lengths: Mapping[str, Int[Tensor, " batch"]]

    def utterance(self, index: int) -> dict[str, Float[Tensor, "frames dim"]]:
        """One utterance's frames by layer, without padding."""
        return {name: frames[index, : int(self.lengths[name][index])] for name, frames in self.frames.items()}


class LayeredModel(torch.nn.Module):
    """The interface that extraction, efficiency and probes rely on.

    Attributes
    ----------
    key
        The name under which the model is known, in tables and files.
    description
        One line for people, such as ``MR-HuBERT base, untrained``.
    trained
        False where the weights are random; every page says so.
    by_utterance
        True where frames are looked up by utterance, so that only `run` gives any.
    whole_seconds
        Length of the longest recording that is run as a whole; see `multires.features.windows`.
    reach
        Extent of what a frame depends on: ``local`` (less than the context of a window), ``global`` (the whole input,
        by attention), or the seconds of consecutive windows into which the model divides every recording itself.
    """

    key: str
    description: str
    trained: bool
    by_utterance: bool = False
    whole_seconds: float = math.inf
    reach: Literal["local", "global"] | float = "global"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer in the order of computation, ``conv`` first."""
        raise TypeError(f"{type(self).__name__} does not define its layers")

    @property
    def predicts_from(self) -> tuple[str, ...]:
        """Names of the layers after which training predicts units; none where that is not known."""
        return ()

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """Every layer of a batch of 16 kHz waveforms; `lengths` in samples, all of them full where None."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def run(
        self,
        utterances: Sequence[str],
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """As `forward`, with the id of every utterance in its corpus, for models that need it."""
        outputs: LayerOutputs = self(waveforms, lengths)
        return outputs

    def measure(self, blocks: Callable[[], Iterable[Float[np.ndarray, " samples"]]]) -> Any:
        """Statistics of a whole recording that `part` needs, None for models without; `blocks` reads it from the start."""
        return None

    def part(self, waveforms: Float[Tensor, "batch samples"], whole: Any) -> LayerOutputs:
        """As `forward`, of a part of a recording of which `measure` has given `whole`."""
        outputs: LayerOutputs = self(waveforms)
        return outputs
