"""Speech that is mapped from a file gives what speech in memory gives, to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multires.corpus.utterance import Corpus, Utterance
from multires.errors import MultiresError
from multires.models.mr_hubert import MultiResHubert
from multires.training import speech as module
from multires.training.batches import Batches, cut
from multires.training.front_end import local_frames, log_mel_frames
from multires.training.pretrain import pretrain
from multires.training.speech import load_speech
from multires.training.targets import Units
from tests.training.tiny import LOG_MEL, RECIPE, config, weights


def utterance(name: str, samples: int, read: list[str], split: str = "train") -> Utterance:
    def audio() -> np.ndarray:
        read.append(name)
        return (0.1 * np.random.default_rng(samples).normal(size=samples)).astype(np.float32)

    return Utterance(name, "s", split, samples / 16000, audio)


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The same speech in memory and mapped, and the corpus with the names of what was read of it."""
    read: list[str] = []
    sizes = (17000, 24007, 399, 24000, 19000, 40000, 18000, 21000, 22000)
    corpus = Corpus("noise", [utterance(f"u{i}", n, read) for i, n in enumerate(sizes)], fingerprint="noise")
    held = load_speech(corpus, ["train"], folder=tmp_path, progress=False)
    assert held.file is None  # short speech stays in memory
    monkeypatch.setattr(module, "HELD_SECONDS", 1)
    mapped = load_speech(corpus, ["train"], folder=tmp_path, progress=False)
    assert mapped.file is not None
    return held, mapped, corpus, read


def units_of(speech) -> Units:
    count = int(speech.frame_starts[-1])
    return Units(torch.arange(count, dtype=torch.int32) % 8, 8, "ramp", "ramp")


def test_mapped_speech_gives_the_same_batches(both):
    held, mapped, *_ = both
    assert mapped.fingerprint == held.fingerprint
    assert mapped.lengths.tolist() == held.lengths.tolist() == [17000, 24007, 24000, 19000, 40000, 18000, 21000, 22000]
    assert torch.equal(mapped.utterance(1), held.utterance(1))
    for step in range(4):
        batch, same = (Batches(speech, RECIPE, 3)[step] for speech in (held, mapped))
        assert batch.utterances.tolist() == same.utterances.tolist()
        for one, other in zip(cut(held, units_of(held), batch), cut(mapped, units_of(mapped), same), strict=True):
            assert one.dtype is other.dtype
            assert torch.equal(one, other)


@pytest.mark.parametrize("front_end", [{}, LOG_MEL], ids=["waveform", "log-mel"])
def test_mapped_speech_trains_the_same_weights(both, tmp_path, front_end):
    held, mapped, *_ = both
    recipe = replace(RECIPE, steps=2, log_every=2)
    found = [
        weights(pretrain(config("multi", **front_end), speech, units_of(speech), recipe, seed=0, key="m",
                         out=tmp_path / f"{name}.safetensors", held_out=(speech, units_of(speech)), progress=False))
        for name, speech in (("held", held), ("mapped", mapped))
    ]  # fmt: skip
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_audio_and_log_mel_frames_are_read_and_written_once(both, tmp_path):
    held, mapped, corpus, read = both
    model = MultiResHubert(config("multi", **LOG_MEL), seed=0)
    frames = local_frames(model, mapped)
    assert torch.equal(frames, local_frames(model, held))
    written = mapped.file.with_suffix(".log-mel.npy").stat().st_mtime_ns
    read.clear()
    again = load_speech(corpus, ["train"], folder=tmp_path, progress=False)
    assert read == []
    assert again.file == mapped.file
    assert torch.equal(local_frames(model, again), frames)
    assert mapped.file.with_suffix(".log-mel.npy").stat().st_mtime_ns == written
    assert torch.equal(log_mel_frames(model, again), frames)


def test_a_file_that_is_not_whole_is_written_again(both, tmp_path):
    held, mapped, corpus, read = both
    mapped.file.write_bytes(mapped.file.read_bytes()[:-2])
    read.clear()
    again = load_speech(corpus, ["train"], folder=tmp_path, progress=False)
    assert len(read) == len(corpus)
    assert torch.equal(again.samples, held.samples)
    other = load_speech(replace(corpus, fingerprint="other"), ["train"], folder=tmp_path, progress=False)
    assert other.file != mapped.file


def test_no_file_is_left_of_speech_without_a_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD_SECONDS", 0)
    silent = Corpus("short", [utterance("u", 399, [])])
    with pytest.raises(MultiresError, match="corpus short has no speech in train"):
        load_speech(silent, ["train"], folder=tmp_path, progress=False)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
