import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from multires.corpus import SILENCE, Segment, load_corpus
from multires.corpus.files import audio_facts
from multires.corpus.phones import PHONES
from multires.corpus.sample import FOLDER, INDEX, load_sample, pack, unpack
from multires.errors import MultiresError
from multires.experiment.speech import TRAINING_SPEAKERS


@pytest.fixture(scope="module")
def sample():
    return load_sample()


def test_size_speakers_and_splits(sample):
    speakers = {s: {u.speaker for u in sample if u.split == s} for s in sample.splits}
    assert set(speakers) == {"train", "evaluation"}
    assert not speakers["train"] & speakers["evaluation"]
    assert len(speakers["train"] | speakers["evaluation"]) >= 100
    assert not (speakers["train"] | speakers["evaluation"]) & set(TRAINING_SPEAKERS)
    assert 27 < sum(u.duration for u in sample) / 60 < 33
    sizes = [file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(sizes) <= 7.5e6
    assert max(sizes) <= 6e6


def test_license_and_attribution_come_with_it():
    text = (FOLDER / "LICENSE.txt").read_text() + (FOLDER / "README.md").read_text()
    for phrase in ("Creative Commons Attribution 4.0", "Panayotov", "speech recognizer", "PocketSphinx"):
        assert phrase in text


def test_every_utterance_has_words_and_phones_within_its_audio(sample):
    for utterance in sample:
        assert utterance.transcript
        for tier in (utterance.words, utterance.phones):
            assert tier
            assert all(a.end <= b.start for a, b in itertools.pairwise(tier))
            assert tier[-1].end <= utterance.duration
        assert {phone.label for phone in utterance.phones} <= {*PHONES, SILENCE}


def test_the_index_gives_the_facts_of_the_audio(sample):
    for utterance in sample.utterances[::40]:
        facts = audio_facts(utterance.read.path)
        assert (facts.duration, facts.sample_rate, facts.channels) == (utterance.duration, 16_000, 1)
        assert (facts.digest, facts.peak) == (utterance.digest, 1.0)
        assert utterance.audio.shape == (round(16_000 * utterance.duration),)
        assert np.array_equal(np.concatenate(list(utterance.blocks())), utterance.audio)


def test_packed_segments_come_back():
    segments = (Segment("a", 0.1, 0.29), Segment("b", 0.29, 0.57), Segment(SILENCE, 0.6, 1.015))
    assert pack(segments) == "- 10 a 29 b 57 - 60 sil 102"
    assert unpack(pack(segments), 1.015) == segments


def test_one_split_and_a_limit():
    part = load_corpus("librispeech-sample", splits="evaluation", limit=3)
    assert part.splits == ("evaluation",)
    assert len({u.speaker for u in part}) == 3
    assert part.fingerprint != load_sample(splits=["evaluation"]).fingerprint
    with pytest.raises(MultiresError, match="unknown split 'dev-clean'"):
        load_sample(splits=["dev-clean"])


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "sample"))


def test_a_damaged_file_is_refused(copy):
    first = json.loads((copy / INDEX).read_text().splitlines()[0])["id"]
    (copy / "audio" / f"{first}.opus").write_bytes(b"OggS")
    with pytest.raises(MultiresError, match=f"{first}.opus is not the file that was shipped.*: install multires again"):
        load_sample(folder=copy)


def test_a_missing_file_is_refused(copy):
    (copy / INDEX).unlink()
    with pytest.raises(MultiresError, match="install multires again"):
        load_sample(folder=copy)
