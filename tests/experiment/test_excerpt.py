import numpy as np
import pytest
import soundfile

from multires.corpus.sample import load_sample
from multires.corpus.utterance import Corpus, Segment, Utterance
from multires.errors import MultiresError
from multires.experiment import excerpt
from multires.experiment.speech import Roles

ROLES = Roles(pretraining=("1",), fit=("2", "3"), development=("4",), test=("5", "6"))


def utterance(speaker, number, split, seconds=3.0, aligned=True):
    def read():
        rng = np.random.default_rng([int(speaker), number])
        return (0.1 * rng.standard_normal(round(16_000 * seconds))).astype(np.float32)

    tier = (Segment("ah", 0.25, 0.5), Segment("sil", 0.5, seconds)) if aligned else None
    return Utterance(f"{speaker}-1-{number:04d}", speaker, split, seconds, read, "a", tier, tier)


@pytest.fixture
def corpus():
    found = [
        utterance(s, n, split, aligned=n != 1)
        for s, split in (
            ("1", "train-clean-100"),
            ("2", "train-clean-100"),
            ("3", "test-clean"),
            ("4", "train-clean-100"),
            ("5", "train-clean-100"),
            ("6", "test-other"),
        )
        for n in range(4)
    ]
    return Corpus("librispeech", [*found, utterance("6", 9, "test-other", seconds=9.0)])


def test_only_fitting_and_test_speakers_and_aligned_speech(corpus, monkeypatch):
    monkeypatch.setattr(excerpt, "SEVERAL", 2)
    chosen = excerpt.select(corpus, ROLES)
    by_speaker = {
        split: {u.speaker: sum(u.speaker == v.speaker for v in part) for u in part} for split, part in chosen.items()
    }
    assert by_speaker == {"train": {"2": 1, "3": 2}, "evaluation": {"5": 1, "6": 2}}
    assert all(u.words and u.duration < 8 for part in chosen.values() for u in part)


def test_written_twice_it_is_the_same_and_reads_back(corpus, tmp_path):
    chosen = excerpt.select(corpus, ROLES)
    folders = [excerpt.write(chosen, tmp_path / name) for name in "ab"]
    contents = [{f.relative_to(at): f.read_bytes() for f in at.rglob("*") if f.is_file()} for at in folders]
    assert contents[0] == contents[1]
    found = {u.id: u for u in load_sample(folder=folders[0])}
    for split, part in chosen.items():
        for original in part:
            read = found[original.id]
            assert (read.split, read.speaker, read.duration) == (split, original.speaker, 3.0)
            assert read.words == original.words
            assert read.attributes["source"] == original.split
            assert np.corrcoef(read.audio, original.audio)[0, 1] > 0.5  # noise is hard to compress
    assert "| train | test-clean | 1 | 3 | 0.1 |" in (folders[0] / "README.md").read_text()


def test_audio_that_is_opus_already_is_copied(tmp_path):
    from multires.corpus.files import AudioFile

    path = tmp_path / "x.opus"
    soundfile.write(path, 0.1 * np.ones(48_000), 16_000, format="OGG", subtype="OPUS")
    one = utterance("2", 0, "test-clean")
    there = Utterance(one.id, one.speaker, one.split, 3.0, AudioFile(path), "a", one.words, one.phones)
    out = excerpt.write({"train": [there]}, tmp_path / "out")
    assert (out / "audio" / f"{one.id}.opus").read_bytes() == path.read_bytes()


def test_problems_are_named(corpus, tmp_path):
    with pytest.raises(MultiresError, match="whose role is fit"):
        excerpt.select(Corpus("empty", []), ROLES)
    with pytest.raises(MultiresError, match="exists already"):
        excerpt.write(excerpt.select(corpus, ROLES), tmp_path)
