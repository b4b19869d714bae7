"""The model itself: padding, frames and their times, seeds, and what training needs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.models import ModelConfig, MultiResHubert, Regularization, build_model, preset
from multires.models.config import ARCHITECTURES

LENGTHS = torch.tensor([16_000, 9_001, 400, 720])

VARIANTS = {
    **{architecture: preset(architecture, "small") for architecture in ARCHITECTURES},
    "kernel 7": preset("multi", "small", sampler_kernel=7),
    "plain": preset("multi3", "small", plain_samplers=True, sampler_kernel=3),
    "layer norm, normalized input": preset("multi", "small", extractor_norm="layer", conv_bias=True, normalize_input=True),
    "post-norm": preset("multi", "small", layer_norm_first=False),
    "ratio 2:3": preset("multi", "small", ratios=((2, 3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_padding_does_not_matter(name, speech):
    model = MultiResHubert(VARIANTS[name]).eval()
    waveforms = speech[: 4 * 16_000].view(4, -1) + 0.01
    with torch.inference_mode():
        batch = model.trace(waveforms, LENGTHS)
        for index, samples in enumerate(LENGTHS.tolist()):
            alone = model.trace(waveforms[index : index + 1, :samples])
            for place, frames in batch.frames.items():
                count = int(batch.lengths[place][index])
                assert alone.frames[place].shape[1] == count == int(alone.lengths[place])
                torch.testing.assert_close(frames[index, :count], alone.frames[place][0], atol=1e-4, rtol=0)
                assert not frames[index, count:].any()


def test_padding_does_not_matter_where_attention_goes_head_by_head(speech):
    model = MultiResHubert(VARIANTS["post-norm"]).eval()
    waveforms, lengths = speech[: 16 * 16_000].view(2, -1), torch.tensor([8 * 16_000, 90_001])
    with torch.inference_mode():
        batch = model(waveforms, lengths)
        alone = model(waveforms[1:, :90_001])
    for name, frames in batch.frames.items():
        count = int(batch.lengths[name][1])
        torch.testing.assert_close(frames[1, :count], alone.frames[name][0], atol=1e-4, rtol=0)
        assert not frames[1, count:].any()


def test_frames_hear_only_what_they_cover():
    """Frame i of the waveform encoder covers samples 320 i to 320 i + 400, seen in the gradient."""
    model = MultiResHubert(preset("hubert", "small", extractor_norm="layer"))
    waveform = torch.randn(1, 4_000).requires_grad_()
    features = model.waveform_encoder(waveform, None)
    for i in (0, 3, 10):
        (gradient,) = torch.autograd.grad(features[0, i].sum(), waveform, retain_graph=True)
        heard = gradient[0].nonzero()[:, 0]
        assert (int(heard.min()), int(heard.max()) + 1) == (320 * i, 320 * i + 400)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_centers_and_periods(architecture):
    model = build_model(architecture, "small")
    scale = {"hubert": [1], "mono": [1, 1, 1], "multi": [1, 2, 1], "multi3": [1, 2, 4, 2, 1]}[architecture]
    depths = model.config.depths
    expected = [1] + [s for s, depth in zip(scale, depths, strict=True) for _ in range(depth)]
    assert [layer.frame_period for layer in model.layers] == [0.02 * s for s in expected]
    for layer, s in zip(model.layers, expected, strict=True):
        # A frame at s times the period represents s frames of 20 ms; the first of them is centered at 12.5 ms.
        assert layer.first_center == pytest.approx(sum(0.0125 + 0.02 * i for i in range(s)) / s)
    assert [layer.index for layer in model.layers] == list(range(len(expected)))
    assert len({layer.name for layer in model.layers}) == len(model.layers)


@given(st.integers(400, 200_000))
@settings(max_examples=50, deadline=None)
def test_frame_counts_are_those_of_the_convolutions(samples):
    config = preset("multi3", "small")
    count = samples
    for _, kernel, stride in config.convolutions:
        count = len(range(0, count - kernel + 1, stride))
    expected = [count, math.ceil(count / 2), math.ceil(math.ceil(count / 2) / 2)]
    assert [int(n) for n in config.frame_counts(torch.tensor([samples]))] == expected
    assert count == (samples - 400) // 320 + 1


def test_models_share_what_they_have_in_common():
    models = {name: dict(build_model(name, "small", seed=3).named_parameters()) for name in ARCHITECTURES}
    mono, multi, hubert = models["mono"], models["multi"], models["hubert"]
    assert all(torch.equal(mono[name], multi[name]) for name in mono)
    assert mono.keys() == multi.keys()
    assert torch.equal(
        hubert["encoders.0.layers.5.attention.qkv.weight"], mono["decoders.0.layers.1.attention.qkv.weight"]
    )
    assert torch.equal(hubert["encoders.0.layers.2.up.weight"], models["multi3"]["middle.layers.0.up.weight"])
    assert torch.equal(hubert["waveform_encoder.convolutions.3.weight"], mono["waveform_encoder.convolutions.3.weight"])
    other = dict(build_model("hubert", "small", seed=4).named_parameters())
    assert not torch.equal(other["projection.weight"], hubert["projection.weight"])


def test_small_models_have_about_a_million_parameters():
    counts = {name: sum(p.numel() for p in build_model(name, "small").parameters()) for name in ARCHITECTURES}
    assert counts["mono"] == counts["multi"]
    assert all(0.8e6 < count < 1.6e6 for count in counts.values())


def test_masks_reach_every_resolution(speech):
    model = build_model("multi3", "small")
    waveforms, lengths = speech[: 2 * 16_000].view(2, -1), torch.tensor([16_000, 12_000])
    mask = torch.zeros(2, 49, dtype=torch.bool)
    mask[:, 4:14] = True
    outputs = model.predict(waveforms, lengths, mask)
    assert [r.frame_period for r in outputs.resolutions] == [0.02, 0.04, 0.08]
    assert torch.equal(outputs.resolutions[0].mask, mask)
    assert outputs.resolutions[1].mask[0].nonzero()[:, 0].tolist() == [2, 3, 4, 5, 6]
    assert outputs.resolutions[2].mask[0].nonzero()[:, 0].tolist() == [1, 2, 3]
    unmasked = model.trace(waveforms, lengths)
    for index, resolution in enumerate(outputs.resolutions):
        assert not torch.allclose(resolution.frames[0], unmasked.frames[f"resolution.{index}"][0])
    plain = model.predict(waveforms, lengths, torch.zeros_like(mask)).resolutions[0].frames[0]
    torch.testing.assert_close(plain, unmasked.frames["resolution.0"][0])


def test_what_is_under_the_mask_cannot_be_seen(speech):
    model = build_model("multi", "small")
    mask = torch.ones(1, 49, dtype=torch.bool)
    one, other = (model.predict(w[None], mask=mask).resolutions[0].frames for w in speech[:32_000].view(2, -1))
    torch.testing.assert_close(one, other)


def test_logits_are_cosines_over_the_temperature():
    model = build_model("multi", "small")
    frames = torch.randn(7, 128)
    cosine = torch.nn.functional.cosine_similarity(model.heads[1](frames)[:, None], model.units[1][None], dim=-1)
    torch.testing.assert_close(model.logits(1, frames), cosine / 0.1)


def test_feature_gradient_is_scaled_and_outputs_are_not(speech):
    waveforms = speech[None, :8_000].double()  # the gradient is a small difference of large numbers
    gradients, outputs = [], []
    for scale in (1.0, 0.1, 0.0):
        model = MultiResHubert(
            preset("hubert", "small"), regularization=Regularization(feature_gradient=scale)
        ).double()
        output = model.predict(waveforms).resolutions[0].frames
        output.square().sum().backward()
        gradients.append(model.waveform_encoder.convolutions[0].weight.grad)
        outputs.append(output.detach())
    assert float((gradients[1] - 0.1 * gradients[0]).norm()) < 1e-3 * float(gradients[1].norm())
    assert gradients[2] is None
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], outputs[2])


def test_dropout_and_layerdrop_act_in_training_only(speech):
    model = MultiResHubert(preset("multi", "small"), regularization=Regularization(dropout=0.2, layerdrop=0.5))
    waveforms = speech[None, :8_000]
    model.train()
    assert not torch.equal(*(model.predict(waveforms).resolutions[0].frames for _ in range(2)))
    model.eval()
    assert torch.equal(*(model.predict(waveforms).resolutions[0].frames for _ in range(2)))


def test_a_configuration_survives_json():
    for config in VARIANTS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"heads": 5}, "heads"), ({"depths": (2, 2)}, "depths"), ({"ratios": ((1, 0),)}, "ratios"),
        ({"sampler_kernel": 4}, "sampler_kernel"), ({"extractor_norm": "batch"}, "extractor_norm"),
        ({"classes": (10,)}, "classes"), ({"width": True}, "width"), ({"logit_temperature": 0.0}, "logit_temperature"),
        ({"conv_pos_groups": 7}, "conv_pos_groups"), ({"plain_samplers": True, "ratios": ((2, 3),)}, "ratios"),
    ],
)  # fmt: skip
def test_impossible_configurations_name_the_field(change, named):
    with pytest.raises(MultiresError, match=named):
        replace(preset("multi", "small"), **change)


def test_unknown_configuration_is_refused():
    with pytest.raises(MultiresError, match="color"):
        ModelConfig.from_dict({**preset("multi", "small").to_dict(), "color": 1})
    with pytest.raises(MultiresError, match="width"):
        ModelConfig.from_dict({"heads": 2})


@pytest.mark.parametrize(
    ("waveforms", "lengths", "said"),
    [
        (torch.zeros(2, 399), None, "399 samples is shorter than one frame of 400"),
        (torch.zeros(2, 800), torch.tensor([800, 801]), "exceeds"),
        (torch.zeros(2, 800), torch.tensor([800]), "lengths must have shape"),
        (torch.zeros(800), None, "shape"),
        (torch.zeros(1, 800, dtype=torch.int64), None, "floating point"),
    ],
)
def test_bad_input_is_refused(waveforms, lengths, said):
    with pytest.raises(MultiresError, match=said):
        build_model("multi", "small")(waveforms, lengths)


def test_silence_gives_numbers():
    outputs = build_model("multi", "small")(torch.zeros(1, 16_000))
    assert all(torch.isfinite(frames).all() for frames in outputs.frames.values())


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        (preset("hubert", "small"), ["encoder.0.5"]),
        (preset("multi", "small"), ["decoder.0.1", "middle.1"]),
        (preset("multi", "small", single_prediction=True, classes=(5,)), ["decoder.0.1"]),
        (preset("multi3", "small"), None),
    ],
)
def test_units_are_predicted_from_the_last_layer_of_each_resolution(config, layers):
    model = MultiResHubert(config)
    found = list(model.predicts_from)
    if layers is not None:
        assert found == layers
    outputs = model.predict(torch.zeros(1, 16_000))
    periods = {layer.name: layer.frame_period for layer in model.layers}
    assert [periods[name] for name in found] == [each.frame_period for each in outputs.resolutions][: len(found)]
