import hashlib
import itertools
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torchaudio
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from multires.corpus import PHONES, SILENCE, load_corpus
from multires.corpus.grammar import INTENTS, PARTS_OF_SPEECH
from multires.corpus.speaking import Voice, speak
from multires.corpus.synthetic import EVALUATION_VARIANTS, TRAIN_VARIANTS
from multires.errors import MultiresError


def quiet(cache, **more):
    return load_corpus("synthetic", cache=cache, progress=False, **{"hours": 0.01, **more})


def test_utterances_are_what_they_say(small):
    assert small.splits == ("train", "evaluation")
    assert not small.skipped
    assert len({utterance.id for utterance in small}) == len(small)
    for utterance in small:
        audio = utterance.audio
        assert audio.dtype == np.float32
        assert len(audio) == round(utterance.duration * 16_000)
        assert 0.01 < np.abs(audio).max() <= 1
        assert utterance.attributes["intent"] in INTENTS
        assert [word.label for word in utterance.words] == utterance.transcript.split()


def test_phones_tile_each_utterance_and_words_begin_and_end_with_them(small):
    for utterance in small:
        phones = utterance.phones
        assert phones[0].start == 0
        assert phones[-1].end == utterance.duration
        assert all(before.end == after.start for before, after in itertools.pairwise(phones))
        assert min(phone.end - phone.start for phone in phones) > 0.005
        assert {phone.label for phone in phones} <= {*PHONES, SILENCE}
        starts, ends = {phone.start for phone in phones}, {phone.end for phone in phones}
        assert all(word.start in starts and word.end in ends for word in utterance.words)
    assert {phone.label for utterance in small for phone in utterance.phones} == {*PHONES, SILENCE}


def test_splits_share_no_speaker_and_no_voice_variant(small):
    speakers = {split: {u.speaker for u in small if u.split == split} for split in small.splits}
    assert not speakers["train"] & speakers["evaluation"]
    assert not set(TRAIN_VARIANTS) & set(EVALUATION_VARIANTS)


def test_the_amount_is_about_what_was_asked_for(small):
    assert sum(utterance.duration for utterance in small) / 3600 == pytest.approx(0.1, rel=0.1)


def test_the_same_seed_gives_the_same_samples_whatever_the_number_of_workers(tmp_path, monkeypatch):
    first = quiet(tmp_path / "a")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    second = quiet(tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert all(
        a == b and np.array_equal(a.audio, b.audio)
        for a, b in zip(first.utterances, second.utterances, strict=True)
    )  # fmt: skip


def test_another_seed_gives_other_sentences_by_the_same_speakers(tmp_path):
    first, second = quiet(tmp_path), quiet(tmp_path, seed=1)
    assert first.fingerprint != second.fingerprint
    assert [u.transcript for u in first] != [u.transcript for u in second]
    assert {u.speaker for u in first} == {u.speaker for u in second}


def test_a_larger_corpus_holds_the_smaller_one(tmp_path):
    larger = {u.id: u for u in quiet(tmp_path, hours=0.03)}
    for utterance in quiet(tmp_path):
        assert np.array_equal(larger[utterance.id].audio, utterance.audio)
        assert larger[utterance.id] == utterance


def test_one_split_is_the_same_alone(tmp_path):
    both = [u for u in quiet(tmp_path / "a") if u.split == "evaluation"]
    alone = list(quiet(tmp_path / "b", splits="evaluation"))
    assert both == alone
    assert np.array_equal(both[0].audio, alone[0].audio)


def test_it_is_read_from_the_cache_and_made_again_where_the_cache_is_gone(tmp_path, monkeypatch):
    first = quiet(tmp_path)
    monkeypatch.setattr("multires.corpus.synthetic.speak", None)  # would fail if called
    assert quiet(tmp_path).fingerprint == first.fingerprint


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        flipped,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("{}"),
        lambda path: path.unlink(),
    ],
)
def test_a_cache_that_is_not_what_was_written_is_refused(tmp_path, monkeypatch, spoil):
    first = quiet(tmp_path, splits="evaluation")
    shard = first.utterances[0].read.shard
    monkeypatch.setattr("multires.corpus.synthetic.speak", None)  # would fail if called
    for path in (shard, shard.with_name("manifest.json")):
        kept = path.read_bytes()
        spoil(path)
        if path != shard and not path.exists():
            continue  # a folder without a manifest was never finished
        with pytest.raises(MultiresError, match=f"delete {shard.parent}"):
            quiet(tmp_path, splits="evaluation")
        path.write_bytes(kept)


def test_a_manifest_that_names_other_files_is_refused(tmp_path):
    quiet(tmp_path, splits="evaluation")
    [path] = tmp_path.rglob("manifest.json")
    record = json.loads(path.read_text())
    record["content"]["utterances"][0]["shard"] = "/etc/passwd"
    record["sha256"] = hashlib.sha256(json.dumps(record["content"], sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(record))
    with pytest.raises(MultiresError, match="names files that are not there"):
        quiet(tmp_path, splits="evaluation")


def test_threads_and_processes_at_once_share_a_cache(tmp_path):
    code = "import sys; from multires.corpus import load_corpus as l\n"
    code += "print(l('synthetic', hours=0.01, cache=sys.argv[1], progress=False).fingerprint)"
    with ThreadPoolExecutor(3) as pool:
        here = [pool.submit(quiet, tmp_path) for _ in range(2)]
        there = pool.submit(
            subprocess.run, [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        prints = {one.result().fingerprint for one in here} | {there.result().stdout.strip()}
    assert len(prints) == 1
    assert not list(tmp_path.rglob(".making*"))


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path))
    quiet(None)
    assert list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seed": -1}, "seed -1"), ({"seed": "abc"}, "seed 'abc'"), ({"seed": 1.5}, "seed"), ({"hours": 0}, "hours 0"),
        ({"hours": float("nan")}, "hours"), ({"hours": "x"}, "hours 'x'"), ({"splits": "dev"}, "split 'dev'"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(tmp_path, more, message):
    with pytest.raises(MultiresError, match=message):
        quiet(tmp_path, **more)


def test_a_cache_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MultiresError, match="cache"):
        quiet(tmp_path / "file")


@pytest.mark.slow
def test_every_voice_says_every_word_in_known_phones_and_the_same_twice():
    words = sorted(PARTS_OF_SPEECH)
    sentences = [words[i : i + 6] for i in range(0, len(words), 6)]
    for variant in TRAIN_VARIANTS + EVALUATION_VARIANTS:
        voice = Voice(variant, 180, 40, 60)
        first, second = speak(voice, sentences), speak(voice, sentences[:3])
        assert [speech.problem for speech in first] == [None] * len(sentences), variant
        assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first[:3], second, strict=True)), variant


def _phone_means(corpus, split):
    """Mean of 13 MFCCs and their deltas over each phone, and the phones."""
    mfcc = torchaudio.transforms.MFCC(16_000, 13, melkwargs={"n_fft": 400, "hop_length": 160, "n_mels": 40})
    means, labels = [], []
    for utterance in corpus:
        if utterance.split != split:
            continue
        frames = mfcc(torch.from_numpy(utterance.audio))
        frames = torch.cat([frames, torchaudio.functional.compute_deltas(frames)]).numpy()
        for phone in utterance.phones:
            if phone.label != SILENCE:
                first = int(phone.start * 100)
                means.append(frames[:, first : max(first + 1, int(np.ceil(phone.end * 100)))].mean(axis=1))
                labels.append(phone.label)
    return np.array(means), np.array(labels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_mean_mfcc_tells_phones_of_unseen_speakers_apart_neither_well_nor_badly(tmp_path, seed):
    """Difficulty: how often logistic regression on mean MFCC, trained on train speakers, names evaluation's phones."""
    corpus = load_corpus("synthetic", seed=seed, hours=0.3, cache=tmp_path, progress=False)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(*_phone_means(corpus, "train"))
    assert 0.45 < probe.score(*_phone_means(corpus, "evaluation")) < 0.70
