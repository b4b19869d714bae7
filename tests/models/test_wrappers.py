"""Models of transformers through our interface."""

from __future__ import annotations

import pytest
import torch

from multires.errors import MultiresError
from multires.models import load_model

transformers = pytest.importorskip("transformers", reason="an extra of its own")

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "stable"), [("Hubert", False), ("Wav2Vec2", True), ("WavLM", False)])
def test_layers_are_those_of_transformers(kind, stable, tmp_path, speech):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SMALL, do_stable_layer_norm=stable)
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    theirs.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path)
    model = load_model(f"transformers:{tmp_path}")
    waveforms, lengths = speech[:16_000].view(2, -1), torch.tensor([8_000, 5_001])
    with torch.inference_mode():
        outputs = model(waveforms, lengths)
        for index, samples in enumerate(lengths.tolist()):
            alone = waveforms[index : index + 1, :samples]
            alone = (alone - alone.mean()) / (alone.var(unbiased=False) + 1e-7).sqrt()
            expected = theirs(alone, output_hidden_states=True)
            found = outputs.utterance(index)
            torch.testing.assert_close(found["encoder.0.0"], expected.hidden_states[1][0], atol=1e-4, rtol=0)
            last = theirs.encoder.layer_norm(found["encoder.0.1"]) if stable else found["encoder.0.1"]
            torch.testing.assert_close(last, expected.last_hidden_state[0], atol=1e-4, rtol=0)
            assert found["conv"].shape == (expected.last_hidden_state.shape[1], 16)
    assert [layer.name for layer in model.layers] == ["conv", "encoder.0.0", "encoder.0.1"]


def test_a_bundle_of_torchaudio_is_read_as_data(monkeypatch):
    """Its weights come from the net: here from a stand-in for the download, which is asked to run nothing."""
    import torchaudio

    asked = []

    def download(url, **options):
        asked.append(options)
        raise RuntimeError("no network")

    monkeypatch.setattr("torchaudio.pipelines._wav2vec2.utils.load_state_dict_from_url", download)
    assert "HUBERT_BASE" in dir(torchaudio.pipelines)
    with pytest.raises(MultiresError, match=r"cannot get the weights of HUBERT_BASE .*hub.checkpoints"):
        load_model("torchaudio:HUBERT_BASE")
    assert asked == [{"weights_only": True}]


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(MultiresError, match=r"config\.json"):
        load_model(f"transformers:{tmp_path}")
