"""A model whose frames depend on little of the audio around them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from multires.models.layers import Layer, LayeredModel, LayerOutputs


class Local(LayeredModel):
    """Frames at 20 and 40 ms that depend on half a second: energies, smoothed, and every other one of them."""

    key, description, trained, reach = "local", "a model of finite reach", False, "local"

    @property
    def layers(self):
        return (
            Layer("conv", "conv", "conv", 0, 0.02, 1, 0.0125),
            Layer("middle.0", "M1", "middle", 1, 0.04, 1, 0.0225),
        )

    def forward(self, waveforms, lengths=None):
        energies = waveforms.unfold(1, 400, 320).square().mean(2)
        fine = F.avg_pool1d(energies[:, None], 25, 1, 12, count_include_pad=False)[:, 0, :, None]
        frames = {"conv": fine, "middle.0": fine[:, ::2]}
        return LayerOutputs(frames, {name: torch.tensor([x.shape[1]] * len(x)) for name, x in frames.items()})
