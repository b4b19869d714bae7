import numpy as np
import pytest
import torch

from multires.errors import MultiresError
from multires.models.acoustic import LogMel
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.models.encoder import LogMelFrontEnd
from multires.models.mr_hubert import MultiResHubert

WAVES = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 24_000)).astype(np.float32) * 0.1)


def test_frames_are_pairs_of_log_mel_frames_normalized_by_utterance():
    wave = WAVES[:1]
    padded = torch.nn.functional.pad(wave, (80, 80))
    mel = LogMel().log_mel(padded).double()
    count = (wave.shape[1] - 400) // 320 + 1
    mel = mel[:, : 2 * count]
    mel = (mel - mel.mean(1, keepdim=True)) / mel.std(1, unbiased=False, keepdim=True)
    wanted = torch.stack([torch.cat([mel[0, 2 * i], mel[0, 2 * i + 1]]) for i in range(count)])
    torch.testing.assert_close(LogMelFrontEnd()(wave, None)[0].double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("samples", [400, 719, 720, 721, 1039, 1040, 16_000, 16_123])
def test_there_are_as_many_frames_as_of_the_waveform_encoder(samples):
    config = preset("hubert", "small", front_end="log_mel", convolutions=LOG_MEL_GEOMETRY)
    published = preset("hubert", "base")
    at = torch.tensor([samples])
    assert (
        config.frame_counts(at)[0]
        == published.frame_counts(at)[0]
        == LogMelFrontEnd()(WAVES[:1, :samples], None).shape[1]
    )
    assert config.hop == published.hop
    assert config.receptive_field == published.receptive_field


def test_a_frame_is_centered_where_the_waveform_encoders_is():
    """A click's energy is largest in the frame whose center, 12.5 ms + 20 ms i, is nearest."""
    for frame in (3, 10, 17):
        wave = torch.zeros(1, 8_000)
        wave[0, 320 * frame + 200] = 1.0
        x = LogMel().log_mel(torch.nn.functional.pad(wave, (80, 80)))[0, :48].sum(1)
        assert int(x.view(-1, 2).sum(1).argmax()) == frame


def test_padding_changes_nothing():
    front = LogMelFrontEnd()
    long = torch.cat([WAVES[:1, :9_000], torch.randn(1, 15_000)], dim=1)
    both = front(torch.cat([long, WAVES[1:]]), torch.tensor([9_000, 24_000]))
    alone = front(WAVES[:1, :9_000], None)
    torch.testing.assert_close(both[0, : alone.shape[1]], alone[0], rtol=1e-4, atol=1e-4)


def test_digital_silence_has_finite_frames():
    assert torch.isfinite(LogMelFrontEnd()(torch.zeros(1, 4_000), None)).all()


def test_a_model_in_half_precision_computes_its_log_mel_in_float32():
    model = MultiResHubert(preset("hubert", "small", front_end="log_mel", convolutions=LOG_MEL_GEOMETRY), seed=0).eval()
    wanted = model(WAVES).frames["input"]
    found = model.to(torch.bfloat16)(WAVES).frames["input"]
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.05)


def test_another_geometry_is_refused():
    with pytest.raises(MultiresError, match="with a log-mel front end"):
        preset("hubert", "small", front_end="log_mel")
