"""Any PyTorch module through the common interface."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from multires.errors import MultiresError
from multires.models.hooked import wrap


class Frames(nn.Module):
    """Energies of 20 ms, a linear layer on them, and one on every other frame."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.energy = nn.Identity()
        self.fine, self.coarse = nn.Linear(1, 4), nn.Linear(4, 6)

    def forward(self, waveforms):
        x = self.energy(waveforms.unfold(1, 320, 320).square().mean(-1, keepdim=True))
        return self.coarse(self.fine(x)[:, ::2])


def wrapped():
    return wrap(
        Frames(), layers={"conv": "energy", "encoder.0.0": "fine", "encoder.1.0": "coarse"},
        frame_period={"conv": 0.02, "encoder.0.0": 0.02, "encoder.1.0": 0.04},
    )  # fmt: skip


def test_frames_are_those_of_the_submodules_without_padding():
    model = wrapped()
    assert [(layer.name, layer.label, layer.block, layer.dim) for layer in model.layers] == [
        ("conv", "conv", "conv", 1), ("encoder.0.0", "E2", "encoder.0", 4), ("encoder.1.0", "E3", "encoder.1", 6),
    ]  # fmt: skip
    assert [layer.first_center for layer in model.layers] == [0.01, 0.01, 0.02]
    waveforms = torch.randn(2, 6_400, generator=torch.Generator().manual_seed(1))
    outputs = model(waveforms, torch.tensor([6_400, 1_600]))
    assert {name: n.tolist() for name, n in outputs.lengths.items()} == {
        "conv": [20, 5], "encoder.0.0": [20, 5], "encoder.1.0": [10, 3],
    }  # fmt: skip
    expected = Frames()(waveforms[1:, :1_600])
    assert torch.equal(outputs.utterance(1)["encoder.1.0"], expected[0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(MultiresError, match="no submodule other"):
        wrap(Frames(), layers={"encoder.0.0": "other"}, frame_period=0.02)
    with pytest.raises(MultiresError, match=r"25 frames of layer encoder\.1\.0.* 0\.02 s"):
        wrap(Frames(), layers={"encoder.1.0": "coarse"}, frame_period=0.02)
    flat = nn.Sequential(nn.Linear(16_000, 3))
    with pytest.raises(MultiresError, match=r"\(batch, frames, dim\), not \(1, 3\)"):
        wrap(flat, layers={"encoder.0.0": "0"}, frame_period=0.02)
    unused = Frames()
    unused.spare = nn.Linear(1, 1)
    with pytest.raises(MultiresError, match="do not run"):
        wrap(unused, layers={"encoder.0.0": "spare"}, frame_period=0.02)
