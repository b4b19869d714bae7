"""A model whose frames count themselves, and utterances for it."""

import numpy as np
import torch

from multires.corpus.utterance import Segment, Utterance
from multires.models.layers import Layer, LayeredModel, LayerOutputs


class Ramp(LayeredModel):
    """Two layers whose frame i holds i, at 20 and 40 ms, as HuBERT counts frames."""

    key, description, trained = "ramp", "frames that count themselves", False

    def __init__(self, poison: str | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.poison = poison
        self.calls = 0

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (
            Layer("conv", "conv", "conv", 0, 0.02, 2, 0.0125),
            Layer("middle.0", "M1", "middle", 1, 0.04, 3, 0.0225),
        )

    def forward(self, waveforms, lengths=None):
        self.calls += 1
        frames, counts = {}, {}
        for layer in self.layers:
            counts[layer.name] = (lengths - 400) // int(layer.frame_period * 16000) + 1
            index = torch.arange(int(counts[layer.name].max()), dtype=torch.float32)
            frames[layer.name] = index[None, :, None].expand(len(waveforms), -1, layer.dim).clone()
            if self.poison == layer.name:
                frames[layer.name][0, 0, 0] = float("nan")
        return LayerOutputs(frames, counts)


def utterance(name: str, seconds: float, *, aligned: bool = True, split: str = "train") -> Utterance:
    words = (Segment("cat", 0.1, 0.4), Segment("sat", 0.4, 0.7)) if aligned else None
    phones = (
        (Segment("sil", 0.0, 0.1), Segment("k", 0.1, 0.15), Segment("ae", 0.15, 0.4), Segment("s", 0.4, 0.7))
        if aligned
        else None
    )
    return Utterance(
        name, f"speaker {name[0]}", split, seconds,
        lambda: np.zeros(int(seconds * 16000), np.float32), "cat sat", words, phones,
    )  # fmt: skip
