"""Whisper's encoder against transformers' own forward pass over its 30 s windows."""

from __future__ import annotations

import pytest
import torch

from multires.models import load_model

transformers = pytest.importorskip("transformers", reason="an extra of its own")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """A tiny random Whisper that transformers wrote, its feature extractor, and its folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("whisper")
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=24, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=24, vocab_size=12, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    theirs = transformers.WhisperModel(config).eval()
    theirs.save_pretrained(folder)
    extractor = transformers.WhisperFeatureExtractor()
    extractor.save_pretrained(folder)
    return theirs.encoder, extractor, folder


def test_layers_are_those_of_transformers(whisper, speech):
    theirs, extractor, folder = whisper
    model = load_model(f"transformers:{folder}")
    assert [(layer.name, layer.frame_period, layer.first_center) for layer in model.layers] == [
        ("conv", 0.02, 0.0), ("encoder.0.0", 0.02, 0.0), ("encoder.0.1", 0.02, 0.0),
    ]  # fmt: skip
    waveforms, lengths = speech[:64_000].view(2, -1), torch.tensor([32_000, 20_001])
    with torch.inference_mode():
        outputs = model(waveforms, lengths)
        for index, samples in enumerate(lengths.tolist()):
            audio = waveforms[index, :samples].numpy()
            mel = extractor(audio, sampling_rate=16_000, return_tensors="pt").input_features
            assert mel.shape[2] == 3_000
            expected = theirs(mel, output_hidden_states=True)
            found = outputs.utterance(index)
            count = -(-samples // 320)
            assert len(found["encoder.0.1"]) == count
            torch.testing.assert_close(found["encoder.0.0"], expected.hidden_states[1][0, :count], atol=1e-4, rtol=1e-4)
            last = theirs.layer_norm(found["encoder.0.1"])
            torch.testing.assert_close(last, expected.last_hidden_state[0, :count], atol=1e-4, rtol=1e-4)


def test_longer_audio_is_read_in_windows(whisper, speech):
    model = load_model(f"transformers:{whisper[2]}")
    long = torch.cat([speech, speech[:16_000]])
    with torch.inference_mode():
        whole, first, rest = model(long[None]), model(long[None, :480_000]), model(long[None, 480_000:])
    for name, frames in whole.frames.items():
        assert frames.shape[1] == 1_550
        torch.testing.assert_close(frames[:, :1_500], first.frames[name], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(frames[:, 1_500:], rest.frames[name], atol=1e-5, rtol=1e-5)
