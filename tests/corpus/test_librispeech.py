import os
import shutil
from pathlib import Path

import pytest

from multires.corpus import PHONES, SILENCE, load_corpus
from multires.errors import MultiresError

MINI = Path(__file__).parents[3] / "shared" / "librispeech-mini"
WORDS = [(0.0, 0.5, "TWO"), (0.5, 1.0, "")]
PHONES_OF_TWO = [(0.0, 0.2, "T"), (0.2, 0.5, "UW1"), (0.5, 1.0, "sp")]


@pytest.fixture
def made(tmp_path, tone, textgrid):
    """Two splits of two speakers with two utterances each, aligned."""
    for split in ("dev-clean", "test-other"):
        for speaker in ("10", "20") if split == "dev-clean" else ("30", "40"):
            chapter = tmp_path / "LibriSpeech" / split / speaker / "7"
            names = [f"{speaker}-7-000{number}" for number in range(2)]
            for name in names:
                tone(chapter / f"{name}.flac")
                grid = tmp_path / "alignments" / split / speaker / "7" / f"{name}.TextGrid"
                grid.parent.mkdir(parents=True, exist_ok=True)
                grid.write_text(textgrid({"words": WORDS, "phones": PHONES_OF_TWO}))
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{name} TWO\n" for name in names))
    return tmp_path


def load(root, **more):
    return load_corpus("librispeech", root, progress=False, **more)


@pytest.mark.parametrize("below", [".", "LibriSpeech"])
def test_it_is_read_from_the_folder_or_the_one_that_holds_it(made, below):
    corpus = load(made / below)
    assert corpus.splits == ("dev-clean", "test-other")
    assert [u.id for u in corpus][:3] == ["10-7-0000", "10-7-0001", "20-7-0000"]
    assert not corpus.skipped
    first = corpus.utterances[0]
    assert (first.speaker, first.transcript, first.duration) == ("10", "two", 1.0)
    assert [word.label for word in first.words] == ["two"]
    assert [phone.label for phone in first.phones] == ["t", "uw", SILENCE]
    assert first.audio.shape == (16_000,)


def test_splits_and_limit(made):
    corpus = load(made, splits=["dev-clean"], limit=2)
    assert [u.speaker for u in corpus] == ["10", "20"]
    with pytest.raises(MultiresError, match=r"train-clean-100.*dev-clean, test-other"):
        load(made, splits=["train-clean-100"])


def test_alignments_without_the_level_of_splits_and_elsewhere(made):
    elsewhere = made / "elsewhere"
    elsewhere.mkdir()
    for split in ("dev-clean", "test-other"):
        for speaker in (made / "alignments" / split).iterdir():
            shutil.move(speaker, elsewhere / speaker.name)
    shutil.rmtree(made / "alignments")
    assert all(u.phones for u in load(made, alignments=elsewhere))
    with pytest.raises(MultiresError, match="nowhere"):
        load(made, alignments=made / "nowhere")


def test_what_is_missing_or_bad_is_kept_unaligned_or_left_out_and_counted(made, textgrid):
    chapter, grids = made / "LibriSpeech/dev-clean/10/7", made / "alignments/dev-clean"
    (chapter / "10-7-0000.flac").write_bytes(b"not audio")
    (grids / "10/7/10-7-0001.TextGrid").unlink()
    (grids / "20/7/20-7-0000.TextGrid").write_text(textgrid({"words": [(0, 0.6, "a"), (0.5, 1, "b")], "phones": []}))
    (chapter.parents[1] / "20/7/20-7.trans.txt").write_text("20-7-0000 TWO\n20-7-0009 GONE\n")
    corpus = load(made, splits=["dev-clean"])
    by_id = {u.id: u for u in corpus}
    assert set(by_id) == {"10-7-0001", "20-7-0000", "20-7-0001"}
    assert by_id["10-7-0001"].phones is None
    assert by_id["20-7-0000"].words is None
    assert by_id["20-7-0001"].transcript is None
    reasons = dict(corpus.skipped)
    assert len(corpus.skipped) == len(reasons) == 5
    assert "not audio" in reasons["LibriSpeech/dev-clean/10/7/10-7-0000.flac"]
    assert "alignment is missing" in reasons["LibriSpeech/dev-clean/10/7/10-7-0001.flac"]
    assert "overlaps" in reasons["alignments/dev-clean/20/7/20-7-0000.TextGrid"]
    assert "no transcript" in reasons["LibriSpeech/dev-clean/20/7/20-7-0001.flac"]
    assert "no audio" in reasons["LibriSpeech/dev-clean/20/7/20-7-0009.flac"]


def test_side_files_of_macos_are_passed_over(made):
    chapter = made / "LibriSpeech/dev-clean/10/7"
    for name in ("._10-7-0000.flac", "._10-7.trans.txt", ".DS_Store"):
        (chapter / name).write_bytes(b"\0\5\x16\7Mac OS X")
    assert not load(made).skipped


def test_textgrids_one_level_too_deep_or_of_no_recording_are_named(made, textgrid):
    grids = made / "alignments"
    (grids / "dev-clean/10/7/10-7-0009.TextGrid").write_text(textgrid({"words": WORDS, "phones": PHONES_OF_TWO}))
    (made / "deeper/one").mkdir(parents=True)
    corpus = load(made)
    assert corpus.skipped == (("alignments/dev-clean/10/7/10-7-0009.TextGrid", "is a TextGrid of no recording here"),)
    shutil.move(grids, made / "deeper/one/alignments")
    deep = load(made, alignments=made / "deeper")
    assert all(u.words is None for u in deep)
    assert len(deep.skipped) == len(deep)
    assert (
        "found at one/alignments/dev-clean/10/7/10-7-0000.TextGrid"
        in dict(deep.skipped)["LibriSpeech/dev-clean/10/7/10-7-0000.flac"]
    )
    assert corpus.fingerprint != deep.fingerprint


def test_an_id_in_two_splits_counts_once(made):
    chapter = made / "LibriSpeech/test-other/10/7"
    chapter.mkdir(parents=True)
    shutil.copy(made / "LibriSpeech/dev-clean/10/7/10-7-0000.flac", chapter)
    corpus = load(made)
    assert len({u.id for u in corpus}) == len(corpus)
    assert corpus.repeated == {"10-7-0000": ("dev-clean", "test-other")}
    assert "only that is read" in dict(corpus.skipped)["LibriSpeech/test-other/10/7/10-7-0000.flac"]


def test_pipes_and_devices_end_nothing(made):
    chapter = made / "LibriSpeech/dev-clean/10/7"
    os.mkfifo(chapter / "10-7-0005.flac")
    os.mkfifo(chapter / "9.trans.txt")
    (chapter / "10-7-0006.flac").symlink_to("/dev/zero")
    corpus = load(made)
    assert len(corpus) == 8
    assert sum("not a regular file" in reason for _, reason in corpus.skipped) == 3


def test_the_fingerprint_follows_audio_and_labels(made, tone, textgrid):
    before = load(made).fingerprint
    assert load(made).fingerprint == before
    grid = made / "alignments/dev-clean/10/7/10-7-0000.TextGrid"
    grid.write_text(textgrid({"words": [(0.0, 0.4, "TWO")], "phones": PHONES_OF_TWO}))
    changed = load(made).fingerprint
    assert changed != before
    tone(made / "LibriSpeech/dev-clean/10/7/10-7-0000.flac", 1.5)
    assert load(made).fingerprint != changed


def test_where_nothing_is_found_the_path_and_the_layout_are_named(tmp_path, made):
    with pytest.raises(MultiresError, match="does-not-exist"):
        load(tmp_path / "does-not-exist")
    with pytest.raises(MultiresError, match=r"alignments.*<split>/<speaker>/<chapter>"):
        load(made / "alignments")
    with pytest.raises(MultiresError, match="root"):
        load_corpus("librispeech")


def test_a_corpus_of_bad_files_alone_is_an_error(made):
    for audio in made.rglob("*.flac"):
        audio.write_bytes(b"")
    with pytest.raises(MultiresError, match=r"nothing in .*10-7-0000\.flac: is empty"):
        load(made)


def test_an_id_in_a_transcript_leads_nowhere_outside(made):
    """Names in files are looked up, never joined to a path."""
    (made / "LibriSpeech/dev-clean/10/7/10-7.trans.txt").write_text("../../../../secret TEXT\n10-7-0000 TWO\n")
    assert {u.id for u in load(made, splits="dev-clean")} == {"10-7-0000", "10-7-0001", "20-7-0000", "20-7-0001"}


@pytest.mark.skipif(
    not MINI.is_dir(), reason="the real excerpt is not beside this checkout; the layout is tested above"
)
def test_real_speech():
    corpus = load(MINI)
    assert (len(corpus), corpus.splits) == (321, ("test-other", "train-clean-100"))
    aligned = [u for u in corpus if u.phones is not None]
    assert len(aligned) == 257
    assert len(corpus.skipped) == 64
    assert sum(len(u.phones) for u in aligned) > 20_000
    assert sum(len(u.words) for u in aligned) > 7_000
    assert {phone.label for u in aligned for phone in u.phones} == {*PHONES, SILENCE}
    assert all(0 <= p.start < p.end <= u.duration for u in aligned for p in (*u.phones, *u.words))
