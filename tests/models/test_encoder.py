"""The parts, each against PyTorch's own operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from multires.models.config import CONVOLUTIONS
from multires.models.encoder import PositionalConvolution, WaveformEncoder, group_norm


def encoder(norm: str, bias: bool) -> WaveformEncoder:
    torch.manual_seed(0)
    made = WaveformEncoder(tuple((48, k, s) for _, k, s in CONVOLUTIONS), norm, bias)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                nn.init.kaiming_normal_(parameter)
    return made


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("samples", [400, 719, 720, 16_001, 300_000])
def test_pieces_and_moments_give_the_convolutions(norm, bias, samples, speech):
    made = encoder(norm, bias)
    waveforms = torch.stack([speech[:samples], speech[-samples:] + 0.1])
    with torch.inference_mode():
        expected, found = made.plain(waveforms), made(waveforms, None)
    assert found.shape == expected.shape
    assert float((found - expected).norm() / expected.norm()) < 1e-5


def test_gradients_are_those_of_the_convolutions(speech):
    made = encoder("group", False)
    waveforms = speech[:4_000].view(2, -1)
    gradients = []
    for forward in (lambda: made.plain(waveforms), lambda: made(waveforms, None)):
        made.zero_grad()
        forward().square().sum().backward()
        gradients.append([p.grad.clone() for p in made.parameters()])
    for expected, found in zip(*gradients, strict=True):
        assert float((found - expected).norm()) <= 1e-3 * float(expected.norm())


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_masked_group_norm_is_that_of_each_utterance_alone(groups):
    torch.manual_seed(1)
    norm = nn.GroupNorm(groups, 12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, lengths = torch.randn(3, 12, 20) + 5, torch.tensor([20, 7, 2])
    found = group_norm(x, norm, lengths)
    for index, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[index, :, :n], norm(x[index : index + 1, :, :n])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [4, 5])
def test_positional_convolution_is_pytorch_s_with_weight_norm(kernel):
    torch.manual_seed(2)
    made = PositionalConvolution(8, kernel, 2)
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    theirs = nn.Conv1d(8, 8, kernel, padding=kernel // 2, groups=2)
    theirs = nn.utils.parametrizations.weight_norm(theirs, dim=2)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(made.weight_g)
        theirs.parametrizations.weight.original1.copy_(made.weight_v)
        theirs.bias.copy_(made.bias)
    x = torch.randn(2, 11, 8)
    expected = F.gelu(theirs(x.transpose(1, 2))[..., :11]).transpose(1, 2)
    torch.testing.assert_close(made(x), expected)
