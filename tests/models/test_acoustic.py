"""Log-mel and cepstra against torchaudio's transforms."""

from __future__ import annotations

import pytest
import torch
import torchaudio

from multires.errors import MultiresError
from multires.models import load_model


def test_log_mel_is_torchaudio_s_on_the_same_frames(speech):
    waveform = speech[None, :8_000]
    spectrogram = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=1024, win_length=400, hop_length=160, f_min=20.0, n_mels=80, center=False
    )
    # torchaudio centers the window in its transform: shifted by as much, its frames are ours.
    shifted = torch.nn.functional.pad(waveform, (312, 312))
    expected = (spectrogram(shifted)[0].T + 1e-6).log()
    found = load_model("mel")(waveform).frames["mel"][0]
    assert len(found) == (8_000 - 400) // 160 + 1
    torch.testing.assert_close(found, expected[: len(found)], atol=1e-3, rtol=1e-3)


def test_every_band_hears_something():
    assert (load_model("mel").mel.sum(0) > 0).all()


def test_a_tone_is_loudest_in_its_own_band():
    mel = load_model("mel")
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(4_000) / 16_000)
    band = int(mel(tone[None]).frames["mel"][0].mean(0).argmax())
    assert int(mel.mel[64].argmax()) == band  # bin 64 of 1024 is 1000 Hz


@pytest.mark.parametrize("name", ["mel", "mfcc"])
def test_padding_does_not_matter(name, speech):
    model = load_model(name)
    waveforms, lengths = speech[:16_000].view(2, -1), torch.tensor([8_000, 3_333])
    batch = model(waveforms, lengths)
    for index, samples in enumerate(lengths.tolist()):
        alone = model(waveforms[index : index + 1, :samples]).frames[name][0]
        torch.testing.assert_close(batch.frames[name][index, : len(alone)], alone, atol=1e-5, rtol=1e-5)
        assert not batch.frames[name][index, len(alone) :].any()


def test_cepstra_turn_log_mel_by_a_cosine_transform(speech):
    waveform = speech[None, :8_000]
    mel = load_model("mel")(waveform).frames["mel"][0].double()
    cepstra = load_model("mfcc")(waveform).frames["mfcc"][0]
    from scipy.fft import dct

    expected = torch.from_numpy(dct(mel.numpy(), norm="ortho", axis=1)[:, :13]).float()
    torch.testing.assert_close(cepstra[:, :13], expected, atol=1e-3, rtol=1e-4)
    slope = sum(n * (cepstra[10 + n, 0] - cepstra[10 - n, 0]) for n in (1, 2)) / 10
    torch.testing.assert_close(cepstra[10, 13], slope, atol=1e-4, rtol=1e-4)


def test_too_short_a_waveform_is_refused():
    with pytest.raises(MultiresError, match="399"):
        load_model("mel")(torch.zeros(1, 399))
