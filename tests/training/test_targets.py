import numpy as np
import pytest
import torch
import torchaudio
from sklearn.cluster import KMeans

from multires.corpus.utterance import Corpus, Utterance
from multires.errors import MultiresError
from multires.models.config import preset
from multires.models.mr_hubert import MultiResHubert
from multires.training.speech import frame_count, load_speech
from multires.training.targets import Cepstra, Quantizer, cepstral_units, layer_units, stack


def utterance(name, samples, split="train"):
    rng = np.random.default_rng(len(name) + samples)
    audio = (0.1 * rng.normal(size=samples)).astype(np.float32)
    return Utterance(name, "s", split, samples / 16000, lambda: audio)


@pytest.fixture(scope="module")
def corpus():
    sizes = (16000, 24007, 399, 400, 9000)
    return Corpus("noise", [*(utterance(f"u{i}", n) for i, n in enumerate(sizes)), utterance("x", 8000, "other")])


def test_speech_holds_every_utterance_of_a_frame_or_more(corpus):
    speech = load_speech(corpus, ["train"], progress=False)
    assert speech.lengths.tolist() == [16000, 24007, 400, 9000]
    assert speech.frames.tolist() == [frame_count(n) for n in (16000, 24007, 400, 9000)]
    assert np.allclose(speech.utterance(1), corpus.utterances[1].audio, atol=2**-15)
    assert speech.seconds == pytest.approx((16000 + 24007 + 400 + 9000) / 16000)


def test_frames_are_those_of_the_waveform_encoder():
    model = MultiResHubert(preset("hubert", "small"))
    for samples in (400, 719, 720, 16000):
        expected = int(model.config.frame_counts(torch.tensor([samples]))[0][0])
        assert frame_count(samples) == expected == Cepstra()(torch.randn(1, samples)).shape[1]


def test_cepstra_see_their_own_window_only():
    x = torch.randn(1, 16000) * 0.1
    mel = {"n_fft": 400, "hop_length": 320, "n_mels": 40, "center": False}
    reference = torchaudio.transforms.MFCC(16000, 13, log_mels=True, melkwargs=mel)
    alone = torch.stack([reference(x[:, i * 320 : i * 320 + 400])[0, :, 0] for i in range(frame_count(16000))])
    assert torch.allclose(Cepstra(deltas=False)(x)[0], alone - alone.mean(0), atol=2e-3)


def test_quantizer_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 5)).astype(np.float32) * [1, 10, 100, 1, 1]
    quantizer = Quantizer(x.astype(np.float32), 20, seed=0)
    scaled = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    theirs = KMeans(20, n_init=1, max_iter=60, random_state=0).fit(scaled)
    assert (quantizer(torch.from_numpy(x.astype(np.float32))).numpy() == theirs.predict(scaled)).mean() > 0.995


def test_stacking_repeats_the_ends():
    x = torch.arange(4.0)[:, None]
    assert stack(x, 1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert stack(x, 0) is x


@pytest.mark.parametrize("context", [0, 2])
def test_cepstral_units_give_each_frame_one_label_and_repeat(corpus, context):
    speech = load_speech(corpus, ["train"], progress=False)
    first, second = (
        cepstral_units(speech, 8, seed=1, context=context, progress=False)(speech, progress=False) for _ in range(2)
    )
    assert len(first.labels) == speech.frames.sum() == speech.frame_starts[-1]
    assert set(first.labels.tolist()) <= set(range(8))
    assert first.fingerprint == second.fingerprint


def test_other_speech_is_labeled_by_the_same_centroids(corpus):
    speech = load_speech(corpus, ["train"], progress=False)
    other = load_speech(corpus, ["train", "other"], progress=False)
    labeler = cepstral_units(speech, 8, seed=1, progress=False)
    ours, theirs = labeler(speech, progress=False), labeler(other, progress=False)
    assert torch.equal(theirs.labels[: len(ours.labels)], ours.labels)
    assert ours.fingerprint != theirs.fingerprint


def test_layer_units_follow_a_models_layer(corpus):
    speech = load_speech(corpus, ["train"], progress=False)
    model = MultiResHubert(preset("multi", "small"), key="m").eval()
    units = layer_units(speech, model, "encoder.0.1", 6, seed=0, progress=False)(speech, progress=False)
    assert len(units.labels) == speech.frames.sum()
    assert units.source == "m encoder.0.1"
    with pytest.raises(MultiresError, match=r"no 20 ms layer 'middle\.0'"):
        layer_units(speech, model, "middle.0", 6, seed=0, progress=False)


def test_too_little_speech_is_said(corpus):
    speech = load_speech(corpus, ["train"], progress=False)
    with pytest.raises(MultiresError, match="cannot fill 5000 units"):
        cepstral_units(speech, 5000, seed=0, progress=False)
    with pytest.raises(MultiresError, match="no speech in nowhere"):
        load_speech(corpus, ["nowhere"], progress=False)
