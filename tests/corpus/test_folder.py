import json
import os
import sys

import numpy as np
import pytest
import soundfile

from multires.corpus import load_corpus
from multires.corpus.speaking import Voice, speak
from multires.errors import MultiresError

GRID = {"words": [(0.0, 0.5, "two"), (0.5, 1.0, "")], "phones": [(0.0, 0.2, "T"), (0.2, 0.5, "UW1"), (0.5, 1.0, "")]}


def load(root, **more):
    return load_corpus("folder", root, progress=False, **more)


def test_what_stands_beside_the_audio_is_found_whatever_the_case(tmp_path, tone, textgrid):
    tone(tmp_path / "ann" / "grid.WAV", rate=44_100, channels=2)
    (tmp_path / "ann" / "grid.textgrid").write_text(textgrid(GRID))
    tone(tmp_path / "bob" / "timit.wav", rate=8_000)
    (tmp_path / "bob" / "timit.PHN").write_text("0 1600 tcl\n1600 2000 t\n2000 8000 ux\n")
    (tmp_path / "bob" / "timit.WRD").write_text("0 8000 two\n")
    (tmp_path / "bob" / "timit.TXT").write_text("0 8000 Two.\n")
    tone(tmp_path / "bob" / "text.flac")
    (tmp_path / "bob" / "text.lab").write_text("Two TWO\n")
    tone(tmp_path / "alone.ogg")
    (tmp_path / "notes.md").write_text("not speech")
    corpus = load(tmp_path)
    by_id = {u.id: u for u in corpus}
    assert set(by_id) == {"ann/grid", "bob/timit", "bob/text", "alone"}
    assert corpus.splits == ("all",)
    assert not corpus.skipped
    assert by_id["ann/grid"].speaker == "ann"
    assert by_id["ann/grid"].attributes == {"sample_rate": "44100", "channels": "2"}
    assert [p.label for p in by_id["ann/grid"].phones] == ["t", "uw", "sil"]
    assert [(p.label, p.start, p.end) for p in by_id["bob/timit"].phones] == [("t", 0, 0.25), ("uw", 0.25, 1)]
    assert by_id["bob/timit"].transcript == "two."
    assert by_id["bob/text"].transcript == "two two"
    assert by_id["alone"].words is None
    assert all(u.audio.shape == (16_000,) for u in corpus)


@pytest.mark.parametrize("second", ["a.wav", "a.flac.wav", "a.WAV", "a.ogg"])
def test_audio_of_one_name_in_two_formats_is_one_utterance(tmp_path, tone, textgrid, second):
    tone(tmp_path / "a.flac")
    tone(tmp_path / second, format="WAV" if second.lower().endswith("wav") else "OGG")
    (tmp_path / "a.TextGrid").write_text(textgrid(GRID))
    corpus = load(tmp_path)
    assert [(u.id, len(u.phones)) for u in corpus] == [("a", 3)]
    assert corpus.skipped == ((second, "is a second recording of a: a.flac is read"),)
    (tmp_path / "a.flac").write_bytes(b"not audio, though its name says so")
    corpus = load(tmp_path)
    assert [(u.id, len(u.phones), u.audio.size) for u in corpus] == [("a", 3, 16_000)]
    assert [name for name, _ in corpus.skipped] == ["a.flac"]


def test_a_converted_file_alone_has_the_times_of_the_original(tmp_path, tone):
    tone(tmp_path / "SA1.WAV.wav")
    (tmp_path / "SA1.WRD").write_text("0 8000 two\n")
    [utterance] = load(tmp_path)
    assert (utterance.id, [word.label for word in utterance.words]) == ("SA1", ["two"])


def test_hidden_names_are_passed_over_and_links_into_them_followed(tmp_path, tone):
    tone(tmp_path / ".git" / "annex" / "x.wav")
    tone(tmp_path / ".Trash" / "b.wav")
    tone(tmp_path / "ann" / "._a.wav")
    (tmp_path / "ann" / "a.wav").symlink_to(tmp_path / ".git" / "annex" / "x.wav")
    corpus = load(tmp_path)
    assert [(u.id, u.speaker) for u in corpus] == [("ann/a", "ann")]
    assert not corpus.skipped


def test_linked_folders_are_read_once_and_circles_end(tmp_path, tone):
    tone(tmp_path / "disk" / "bob" / "b.wav")
    tone(tmp_path / "speech" / "ann" / "a.wav")
    (tmp_path / "speech" / "bob").symlink_to(tmp_path / "disk" / "bob")
    (tmp_path / "speech" / "ann" / "again").symlink_to("..")
    (tmp_path / "speech" / "carl").symlink_to("ann")
    assert [u.id for u in load(tmp_path / "speech")] == ["ann/a", "bob/b"]
    assert [u.id for u in load(tmp_path / "speech", splits=["bob"])] == ["bob/b"]


def test_links_to_nothing_and_second_links_are_named(tmp_path, tone):
    tone(tmp_path / "a.wav")
    (tmp_path / "b.wav").symlink_to("a.wav")
    (tmp_path / "c.wav").symlink_to("fetched-later.wav")
    (tmp_path / "d.wav").symlink_to("d.wav")
    corpus = load(tmp_path)
    assert [u.id for u in corpus] == ["a"]
    assert {name for name, _ in corpus.skipped} == {"b.wav", "c.wav", "d.wav"}


def test_pipes_and_devices_are_named_and_never_waited_for(tmp_path, tone):
    tone(tmp_path / "good.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "good.TextGrid")
    (tmp_path / "endless.wav").symlink_to("/dev/zero")
    corpus = load(tmp_path)
    assert [u.id for u in corpus] == ["good"]
    reasons = dict(corpus.skipped)
    assert reasons.keys() == {"pipe.wav", "good.TextGrid", "endless.wav"}
    assert all("not a regular file" in reason for reason in reasons.values())


def test_names_that_are_not_text_are_escaped(tmp_path, tone):
    tone(tmp_path / "x.wav")
    os.rename(tmp_path / "x.wav", os.fsencode(tmp_path) + b"/caf\xe9\n.wav")
    (tmp_path / "\x1b[2J.wav").write_bytes(b"no audio")
    corpus = load(tmp_path)
    assert [u.id for u in corpus] == ["caf\\xe9\\n"]
    assert [name for name, _ in corpus.skipped] == ["\\x1b[2J.wav"]
    assert corpus.utterances[0].audio.shape == (16_000,)


def test_what_lies_in_two_splits_is_in_one(tmp_path, tone):
    tone(tmp_path / "a" / "x.wav")
    corpus = load(tmp_path, splits=["all", "a"])
    assert [(u.id, u.split) for u in corpus] == [("a/x", "all")]
    assert corpus.repeated == {"a/x": ("all", "a")}
    assert "has the id a/x" in corpus.skipped[0][1]


def test_textgrids_in_a_tree_of_their_own_find_their_audio(tmp_path, tone, textgrid):
    for name in ("ann/a", "bob/a", "bob/b"):
        tone(tmp_path / "mfa/corpus" / f"{name}.wav")
        grid = tmp_path / "mfa/aligned" / f"{name}.TextGrid"
        grid.parent.mkdir(parents=True, exist_ok=True)
        grid.write_text(textgrid({"words": [(0, 1, name)], "phones": []}))
    (tmp_path / "mfa/aligned/bob/zz.TextGrid").write_text(textgrid(GRID))
    corpus = load(tmp_path / "mfa")
    assert {u.id: u.words[0].label for u in corpus} == {f"corpus/{name}": name for name in ("ann/a", "bob/a", "bob/b")}
    assert ("aligned/bob/zz.TextGrid", "is a TextGrid of no recording here") in corpus.skipped
    elsewhere = load(tmp_path / "mfa/corpus", alignments=tmp_path / "mfa/aligned")
    assert all(u.words for u in elsewhere)
    with pytest.raises(MultiresError, match=r"alignments .*nowhere"):
        load(tmp_path / "mfa/corpus", alignments=tmp_path / "nowhere")


def test_a_textgrid_that_could_belong_to_two_recordings_belongs_to_none(tmp_path, tone, textgrid):
    for folder in ("x/ann", "y/ann"):
        tone(tmp_path / folder / "a.wav")
    (tmp_path / "grids/ann").mkdir(parents=True)
    (tmp_path / "grids/ann/a.TextGrid").write_text(textgrid(GRID))
    corpus = load(tmp_path)
    assert all(u.words is None for u in corpus)
    assert [name for name, _ in corpus.skipped] == ["grids/ann/a.TextGrid"]


def test_audio_of_other_formats_is_named(tmp_path, tone):
    tone(tmp_path / "a.wav")
    (tmp_path / "b.M4A").write_bytes(b"ftypM4A")
    corpus = load(tmp_path)
    assert corpus.skipped == (("b.M4A", "is of a format that is not read (.M4A): convert it to FLAC or WAV"),)


def test_the_fingerprint_follows_what_was_left_out(tmp_path, tone):
    tone(tmp_path / "a.wav")
    before = load(tmp_path).fingerprint
    (tmp_path / "b.wav").write_bytes(b"")
    assert load(tmp_path).fingerprint != before


def test_sub_folders_can_be_splits(tmp_path, tone):
    for name in ("train", "test", "other"):
        tone(tmp_path / name / "ann" / "a.wav")
    assert load(tmp_path, splits=["train", "test"]).splits == ("train", "test")
    for wrong in ("dev", "../x", ".."):
        with pytest.raises(MultiresError, match="split in"):
            load(tmp_path, splits=[wrong])


def test_bad_files_are_named_and_counted(tmp_path, tone, textgrid):
    tone(tmp_path / "good.wav")
    tone(tmp_path / "late.wav", 0.5)
    (tmp_path / "late.TextGrid").write_text(textgrid({"words": [(0.0, 0.6, "two")], "phones": []}))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("some text")
    soundfile.write(tmp_path / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    cut = tone(tmp_path / "cut.wav")
    cut.write_bytes(cut.read_bytes()[:1_000])
    corpus = load(tmp_path)
    assert {u.id for u in corpus} == {"good", "late"}
    assert {u.id: u.words for u in corpus}["late"] is None
    assert {name for name, _ in corpus.skipped} == {"late.TextGrid", "empty.wav", "text.wav", "nan.wav", "cut.wav"}


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(MultiresError, match="no audio"):
        load(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(MultiresError, match=r"a\.wav: is empty"):
        load(tmp_path)


def test_text_without_times_is_aligned_and_the_result_is_kept(tmp_path, monkeypatch):
    folder, cache = tmp_path / "speech", tmp_path / "cache"
    folder.mkdir()
    [speech] = speak(Voice("m1", 160, 50, 50), [["my", "sister", "washed", "the", "sheep"]])
    soundfile.write(folder / "a.wav", np.pad(speech.samples, 2_205), speech.sample_rate)
    (folder / "a.txt").write_text("My sister washed the sheep.")
    soundfile.write(folder / "b.wav", np.pad(speech.samples, 2_205), speech.sample_rate)
    (folder / "b.txt").write_text("my sister washed the zzyzzx")
    assert all(u.words is None for u in load(folder))
    corpus = load(folder, force_align=True, cache=cache)
    first, second = corpus
    assert [word.label for word in first.words] == ["my", "sister", "washed", "the", "sheep"]
    expected = [word.start + 0.1 for word in speech.words]
    assert [word.start for word in first.words] == pytest.approx(expected, abs=0.06)
    assert [p.label for p in first.phones if p.label != "sil"][:2] == ["m", "ay"]
    assert second.words is None
    assert "zzyzzx" in dict(corpus.skipped)["b.wav"]
    monkeypatch.setattr("multires.corpus.folder.align", None)  # would fail if called for the first one
    (folder / "b.txt").unlink()
    assert load(folder, force_align=True, cache=cache).utterances[0] == first
    monkeypatch.undo()
    [kept] = [file for file in cache.rglob("aligned-*.json") if "sister" in file.read_text()]
    stored = json.loads(kept.read_text())
    stored["tiers"]["words"][0][1] += 0.1
    kept.write_text(json.dumps(stored))  # the digest in it no longer fits
    assert load(folder, force_align=True, cache=cache).utterances[0] == first
    assert kept.read_text() != json.dumps(stored)


def test_force_align_without_pocketsphinx_says_what_to_install(tmp_path, tone, monkeypatch):
    tone(tmp_path / "a.wav")
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MultiresError, match=r"multires\[align\]"):
        load(tmp_path, force_align=True)
