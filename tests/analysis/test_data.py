"""The default profile reads the folder that it is given, and never evaluates on what it was fitted to."""

import logging

import numpy as np
import pytest
import soundfile

from multires.analysis.data import speech_profile
from multires.analysis.run import open_run
from multires.errors import MultiresError

SMALL = {
    "models": "mel",
    "reference_model": "mel",
    "views": "mel,phone",
    "frames": 60,
    "resamples": 10,
    "progress": False,
}


def speak(path, seed=0, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)), 16_000)


@pytest.fixture
def folder(tmp_path):
    """Four speakers with two recordings each."""
    for place, name in enumerate(f"{speaker}/{n}.wav" for speaker in ("ann", "bob", "cat", "dan") for n in "12"):
        speak(tmp_path / "speech" / name, place)
    return tmp_path / "speech"


def opened(folder, tmp_path, profile="synthetic", **more):
    return open_run(profile, data=folder, workspace=tmp_path / "workspace", **{**SMALL, **more})


def test_the_default_profile_reads_a_folder_and_says_so(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = opened(folder, tmp_path)
    assert {u.speaker for u in run.corpus} == {"ann", "bob", "cat", "dan"}
    assert (run.profile.name, run.corpus.name) == ("folder", "folder")
    assert run.corpus.splits == ("train", "evaluation") or run.corpus.splits == ("evaluation", "train")
    speakers = {split: {u.speaker for u in run.corpus if u.split == split} for split in run.corpus.splits}
    assert [len(names) for names in speakers.values()] == [2, 2]
    assert "a folder of audio files (corpus folder)" in caplog.text
    assert "divided by speaker" in caplog.text
    assert len(run.segments)


def test_the_default_profile_reads_librispeech(tmp_path):
    for split in ("dev-clean", "test-clean"):
        for place, speaker in enumerate(("1", "2")):
            speaker = f"{speaker}{len(split)}"
            speak(tmp_path / "libri" / split / speaker / "7" / f"{speaker}-7-0000.flac", place + 10 * len(split))
    run = opened(tmp_path / "libri", tmp_path)
    assert (run.profile.name, run.profile.train, run.profile.evaluation) == (
        "librispeech", ("dev-clean",), ("test-clean",),
    )  # fmt: skip
    assert len(run.segments)
    chosen = opened(
        tmp_path / "libri", tmp_path, "librispeech", train_splits="test-clean", evaluation_splits="dev-clean"
    )
    assert (chosen.profile.train, chosen.profile.evaluation) == (("test-clean",), ("dev-clean",))


def test_folders_named_as_splits_keep_their_roles(folder, tmp_path):
    (folder / "ann").rename(tmp_path / "ann")
    (folder / "bob").rename(tmp_path / "bob")
    speak(folder / "train" / "eve" / "1.wav", 20)
    speak(folder / "test" / "fay" / "1.wav", 21)
    run = opened(folder, tmp_path)
    assert (run.profile.train, run.profile.evaluation, run.profile.split_by_speaker) == (("train",), ("test",), None)
    assert {(u.split, u.speaker) for u in run.corpus} == {("train", "eve"), ("test", "fay")}


def test_a_folder_without_speech_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MultiresError, match="no speech that can be read"):
        opened(tmp_path / "empty", tmp_path)
    with pytest.raises(MultiresError, match="corpus 'synthetic' reads no folder"):
        opened(tmp_path / "empty", tmp_path, corpus="synthetic")


def test_a_split_is_never_both_fitted_to_and_evaluated_on(folder, tmp_path):
    with pytest.raises(MultiresError, match=r"'all' is both in train and in evaluation.*split_by_speaker"):
        opened(folder, tmp_path, train="all", evaluation="all")
    with pytest.raises(MultiresError, match="either it or these"):
        opened(folder, tmp_path, train="all", split_by_speaker=0.5)


def test_shared_speakers_are_refused_or_said_in_the_provenance(tmp_path, caplog):
    for place, name in enumerate(("train/ann/1", "eval/ann/2", "eval/bob/3")):
        speak(tmp_path / "two" / f"{name}.wav", place)
    given = {"train_splits": "train", "evaluation_splits": "eval"}
    with pytest.raises(MultiresError, match=r"1 speakers in both.*ann"):
        _ = opened(tmp_path / "two", tmp_path, **given).segments
    run = opened(tmp_path / "two", tmp_path, allow_shared_speakers=True, **given)
    assert len(run.segments)
    assert run.shared_speakers.names == ("ann",)
    result = run.table("thing", {}, lambda: run.segments[["unit"]])
    assert result.source["parameters"]["shared_speakers"] == ["ann"]
    assert "1 speakers in both" in caplog.text


def test_the_same_audio_under_two_names_is_refused(tmp_path):
    speak(tmp_path / "two" / "train" / "ann" / "1.wav", 0)
    speak(tmp_path / "two" / "test" / "bob" / "2.wav", 0)
    with pytest.raises(MultiresError, match="the same audio 1 times"):
        _ = opened(tmp_path / "two", tmp_path).segments


def test_the_share_of_a_division_can_be_chosen_and_is_in_the_provenance(folder, tmp_path):
    run = opened(folder, tmp_path, split_by_speaker="0.75")
    assert len({u.speaker for u in run.corpus if u.split == "train"}) == 3
    result = run.table("thing", {}, lambda: run.segments[["unit"]])
    assert result.source["parameters"]["split_by_speaker"] == 0.75
    assert run.corpus.fingerprint != opened(folder, tmp_path, split_by_speaker=0.25).corpus.fingerprint


def test_one_speaker_gives_what_needs_no_other(tmp_path, caplog):
    for n in range(3):
        speak(tmp_path / "one" / "ann" / f"{n}.wav", n)
    run = opened(tmp_path / "one", tmp_path)
    assert run.corpus.splits == ("train",)
    assert len(run.segments)
    assert "all speech is by one speaker" in caplog.text


def test_splits_that_are_missing_are_answered_with_options_that_exist(folder, tmp_path):
    run = opened(folder, tmp_path, splits="all", train_splits="one", evaluation_splits="two")
    with pytest.raises(MultiresError, match=r"no split 'one' \(it has all\).*--train-splits.*--split-by-speaker"):
        _ = run.segments


def test_the_paper_keeps_its_splits(folder):
    assert speech_profile("paper", folder).train == ("train-clean-100",)


def test_what_was_left_out_is_said(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (folder / "ann" / "bad.wav").write_bytes(b"")
    run = opened(folder, tmp_path)
    assert len(run.corpus) == 8
    assert "8 utterances; 1 problems" in caplog.text
    assert "ann/bad.wav: is empty" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("workspace", 1e5), ("workspace", True), ("workspace", ""), ("layers", 3), ("layers", 0), ("layers", True),
        ("data", 5), ("data", 0), ("data", False), ("models", 5), ("seed", 3.0), ("seed", "three"),
        ("split_by_speaker", 1), ("split_by_speaker", "x"), ("allow_shared_speakers", 1), ("train", 3),
    ],
)  # fmt: skip
def test_values_as_papermill_makes_them_are_taken_or_refused_by_name(tmp_path, monkeypatch, key, value):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MultiresError, match=r"data: there is no folder|no layer|" + key):
        open_run(**{**SMALL, "workspace": tmp_path / "w", key: value})


def test_a_number_as_workspace_is_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_run(**SMALL, workspace=2024).workspace == tmp_path / "2024"
