"""Encoders that transformers itself wrote, against transformers' own forward pass."""

from __future__ import annotations

import json

import pytest
import torch

from multires.errors import MultiresError
from multires.models import load_model

transformers = pytest.importorskip("transformers", reason="an extra of its own")
safetensors = pytest.importorskip("safetensors.torch")

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
SEW = {
    "conv_dim": (16,) * 5, "conv_kernel": (10, 3, 3, 2, 2), "conv_stride": (5, 4, 4, 2, 2), "squeeze_factor": 2,
    "feat_proj_layer_norm": True,
}  # fmt: skip
KINDS = {
    "hubert": ("Hubert", {}),
    "hubert large": ("Hubert", STABLE),
    "wav2vec2": ("Wav2Vec2", {}),
    "wav2vec2 large": ("Wav2Vec2", STABLE),
    "wav2vec2-conformer": ("Wav2Vec2Conformer", {"position_embeddings_type": "relative"}),
    "wavlm": ("WavLM", {}),
    "data2vec-audio": ("Data2VecAudio", {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 2}),
    "unispeech": ("UniSpeech", {}),
    "unispeech-sat": ("UniSpeechSat", {}),
    "sew": ("SEW", SEW),
    "sew-d": ("SEWD", SEW),
}


def write(folder, kind="Hubert", changes=None, *, normalize=True, seed=0, **options):
    """A small random model as transformers writes it, and the model itself."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**{**SMALL, **(changes or {})})
    model = getattr(transformers, f"{kind}Model")(config).eval()
    model.save_pretrained(folder, **options)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return model


def rewrite(folder, change):
    """The same folder with its tensors changed."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in safetensors.load_file(path).items()}
    safetensors.save_file(change(tensors), path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", KINDS)
def test_layers_are_those_of_transformers(name, tmp_path, speech):
    kind, changes = KINDS[name]
    theirs = write(tmp_path, kind, changes)
    model = load_model(f"transformers:{tmp_path}")
    assert [layer.name for layer in model.layers] == ["conv", "encoder.0.0", "encoder.0.1"]
    assert model.trained
    waveforms, lengths = speech[:16_000].view(2, -1), torch.tensor([8_000, 5_001])
    squeezed = name.startswith("sew")
    with torch.inference_mode():
        outputs = model(waveforms, lengths)
        for index, samples in enumerate(lengths.tolist()):
            alone = waveforms[index : index + 1, :samples]
            alone = (alone - alone.mean()) / (alone.var(unbiased=False) + 1e-7).sqrt()
            expected = theirs(alone, output_hidden_states=True)
            found = outputs.utterance(index)
            frames = expected.last_hidden_state.shape[1]
            assert found["conv"].shape == (frames, 16)
            torch.testing.assert_close(found["encoder.0.0"], expected.hidden_states[1][0], atol=1e-4, rtol=1e-4)
            assert len(found["encoder.0.1"]) == (frames // 2 if squeezed else frames)
            if not squeezed:
                last = found["encoder.0.1"]
                if "large" in name or name == "wav2vec2-conformer":
                    last = theirs.encoder.layer_norm(last)
                torch.testing.assert_close(last, expected.last_hidden_state[0], atol=1e-4, rtol=1e-4)


def test_periods_and_centers_follow_the_convolutions(tmp_path):
    write(tmp_path / "hubert")
    conv, first, _ = load_model(f"transformers:{tmp_path / 'hubert'}").layers
    assert (conv.frame_period, conv.first_center) == (first.frame_period, first.first_center) == (0.02, 0.0125)
    write(tmp_path / "sew", "SEW", SEW)
    conv, first, _ = load_model(f"transformers:{tmp_path / 'sew'}").layers
    # Strides 5 4 4 2 2 make 320 samples; kernels 10 3 3 2 2 see 10 + 2*5 + 2*20 + 80 + 160 samples.
    assert (conv.frame_period, first.frame_period) == (0.02, 0.04)
    assert conv.first_center == pytest.approx(300 / 2 / 16_000)
    assert first.first_center == pytest.approx(300 / 2 / 16_000 + 0.01)


def test_filterbank_frames_of_wav2vec2_bert(tmp_path, speech):
    torch.manual_seed(0)
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, feature_projection_input_dim=160,
        conv_depthwise_kernel_size=5,
    )  # fmt: skip
    theirs = transformers.Wav2Vec2BertModel(config).eval()
    theirs.save_pretrained(tmp_path)
    extractor = transformers.SeamlessM4TFeatureExtractor()
    extractor.save_pretrained(tmp_path)
    model = load_model(f"transformers:{tmp_path}")
    assert [(layer.name, layer.frame_period) for layer in model.layers] == [
        ("input", 0.02), ("encoder.0.0", 0.02), ("encoder.0.1", 0.02),
    ]  # fmt: skip
    assert model.layers[0].first_center == pytest.approx(0.0175)
    waveform = speech[:8_160]
    features = extractor(waveform.numpy(), sampling_rate=16_000, return_tensors="pt")
    own = int(features["attention_mask"].sum())
    with torch.inference_mode():
        expected = theirs(features["input_features"][:, :own], output_hidden_states=True)
        found = model(waveform[None]).frames
    assert own == 24
    for index in (0, 1):
        torch.testing.assert_close(
            found[f"encoder.0.{index}"], expected.hidden_states[index + 1], atol=1e-4, rtol=1e-4
        )  # fmt: skip


def test_weights_in_a_pickle_and_in_half_precision(tmp_path, speech):
    theirs = write(tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    write(tmp_path / "half").half().save_pretrained(tmp_path / "half")
    with torch.inference_mode():
        whole, half = (load_model(f"transformers:{tmp_path / kind}")(speech[None, :4_000]) for kind in ("bin", "half"))
    for name, frames in whole.frames.items():
        assert half.frames[name].dtype is torch.float32
        assert float((half.frames[name] - frames).norm() / frames.norm()) < 0.02


def test_other_spellings_of_the_same_weights_load(tmp_path):
    """Weight norm under its old names, a prefix of the task's model, a head that training added, no mask embedding."""
    new = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
    old = "encoder.pos_conv_embed.conv.weight_"
    changes = {
        "old": lambda t: {n.replace(f"{new}0", f"{old}g").replace(f"{new}1", f"{old}v"): x for n, x in t.items()},
        "prefix": lambda t: {f"hubert.{n}": x for n, x in t.items()},
        "head": lambda t: {**{f"hubert.{n}": x for n, x in t.items()}, "lm_head.weight": torch.zeros(5, 32)},
        "unmasked": lambda t: {n: x for n, x in t.items() if n != "masked_spec_embed"},
    }
    expected = write(tmp_path / "whole").state_dict()
    for name, change in changes.items():
        write(tmp_path / name)
        rewrite(tmp_path / name, change)
        found = load_model(f"transformers:{tmp_path / name}").model.state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected if key != "masked_spec_embed")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: {n: x for n, x in t.items() if "layers.1." not in n}, r"lacks the tensors encoder\.layers\.1\."),
        (lambda t: {n: x for n, x in t.items() if "pos_conv" not in n}, "pos_conv_embed"),
        (lambda t: {f"module.{n}": x for n, x in t.items()}, "lacks"),
        (lambda t: {"x": torch.zeros(1)}, "lacks"),
        (lambda t: {**t, "encoder.layers.2.final_layer_norm.weight": torch.zeros(32)}, r"has the tensor encoder\.layers\.2"),
        (lambda t: {**t, "encoder.layer_norm.bias": torch.zeros(7)}, r"another shape .* encoder\.layer_norm\.bias"),
        (lambda t: {**t, "encoder.layer_norm.bias": torch.full((32,), float("nan"))}, r"encoder\.layer_norm\.bias from nan"),
    ],
)  # fmt: skip
def test_missing_extra_and_mismatched_tensors_are_refused_by_name(change, named, tmp_path):
    write(tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(MultiresError, match=named) as refused:
        load_model(f"transformers:{tmp_path}")
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_layers_in_the_configuration_than_in_the_weights(tmp_path):
    write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(MultiresError, match=r"encoder\.layers\.2"):
        load_model(f"transformers:{tmp_path}")


@pytest.mark.parametrize(
    "weights", [None, b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "cut"]
)
def test_weights_that_are_none(weights, tmp_path):
    write(tmp_path)
    path = tmp_path / "model.safetensors"
    if weights is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:5_000] if weights == "cut" else weights)
    named = "is no checkpoint but a Git LFS pointer" if isinstance(weights, bytes) and weights else "cannot load"
    with pytest.raises(MultiresError, match=named) as refused:
        load_model(f"transformers:{tmp_path}")
    assert "\n" not in str(refused.value)


def test_code_beside_a_model_is_never_run(tmp_path):
    write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config.update(model_type="other", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MultiresError, match="cannot load"):
        load_model(f"transformers:{tmp_path}")
    assert not (tmp_path / "ran").exists()


def test_other_kinds_and_other_sample_rates_are_refused(tmp_path):
    write(tmp_path / "rate")
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(tmp_path / "rate")
    with pytest.raises(MultiresError, match="8000 Hz"):
        load_model(f"transformers:{tmp_path / 'rate'}")
    transformers.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1).save_pretrained(tmp_path / "bert")
    with pytest.raises(MultiresError, match="a bert model"):
        load_model(f"transformers:{tmp_path / 'bert'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MultiresError, match=r"config\.json"):
        load_model(f"transformers:{tmp_path / 'empty'}")
