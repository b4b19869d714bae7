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


def test_audio_of_one_name_in_two_formats_is_two_utterances(tmp_path, tone):
    tone(tmp_path / "a.wav")
    tone(tmp_path / "a.flac")
    assert {u.id for u in load(tmp_path)} == {"a.wav", "a.flac"}


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
    (tmp_path / "late.TextGrid").write_text(textgrid(GRID))
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


def test_force_align_without_pocketsphinx_says_what_to_install(tmp_path, tone, monkeypatch):
    tone(tmp_path / "a.wav")
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MultiresError, match=r"multires\[align\]"):
        load(tmp_path, force_align=True)
