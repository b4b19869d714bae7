"""Any PyTorch module through the common interface."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
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


def test_threads_do_not_take_each_others_frames_or_statistics():
    pytest.importorskip("torchaudio")
    model = normalized()
    rng = np.random.default_rng(0)
    recordings = [rng.normal(offset, scale, 8_000).astype(np.float32) for offset, scale in ((0.2, 0.1), (-0.1, 0.4))]

    def run(index: int) -> torch.Tensor:
        samples = recordings[index % 2]
        waveform = torch.from_numpy(samples)[None]
        with torch.inference_mode():
            whole = model.measure(lambda: iter([samples, 3.0 * samples])) if index % 4 > 1 else None
            outputs = model(waveform) if whole is None else model.part(waveform, whole)
        return outputs.frames["encoder.0.0"][0]

    alone = [run(index) for index in range(4)]
    assert not torch.allclose(alone[0], alone[2], atol=1e-3), "other statistics give other frames"
    with ThreadPoolExecutor(4) as pool:
        for index, found in enumerate(pool.map(run, range(40))):
            torch.testing.assert_close(found, alone[index % 4])


def test_a_model_keeps_no_frames_after_a_run_and_can_be_sent_to_workers():
    model = wrapped()
    model(torch.zeros(1, 6_400))
    assert model._running.frames == {}
    again = pickle.loads(pickle.dumps(model._running))
    assert (again.frames, again.whole) == ({}, None)


def normalized():
    """A small model of torchaudio that normalizes the waveform and its first convolution over time."""
    import torchaudio

    from multires.models.wrappers import wrap_torchaudio

    torch.manual_seed(0)
    model = torchaudio.models.wav2vec2_model(
        extractor_mode="group_norm", extractor_conv_layer_config=[(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2],
        extractor_conv_bias=False, encoder_embed_dim=32, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2, encoder_attention_dropout=0.0,
        encoder_ff_interm_features=48, encoder_ff_interm_dropout=0.0, encoder_dropout=0.0, encoder_layer_norm_first=False,
        encoder_layer_drop=0.0, aux_num_out=None,
    )  # fmt: skip
    return wrap_torchaudio(model, normalize=True, key="small", description="small")
