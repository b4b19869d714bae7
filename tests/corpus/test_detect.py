import pytest

from multires.corpus.detect import default_roles, detect, training_corpus
from multires.errors import MultiresError


@pytest.fixture
def librispeech(tmp_path, tone):
    for split in ("dev-clean", "test-other"):
        tone(tmp_path / "LibriSpeech" / split / "1" / "2" / "1-2-0000.flac")
    return tmp_path


def test_librispeech_is_recognized_by_its_layout(librispeech):
    for folder in (librispeech, librispeech / "LibriSpeech"):
        found = detect(folder)
        assert (found.kind, found.splits) == ("librispeech", ("dev-clean", "test-other"))


@pytest.mark.parametrize("name", ["ann/a.wav", "a.FLAC", "deep/er/x.mp3", "1/2/a-b-c.wav"])
def test_any_other_folder_with_audio_is_a_folder(tmp_path, tone, name):
    tone(tmp_path / name, format="WAV")
    assert (detect(tmp_path).kind, detect(tmp_path).splits) == ("folder", ())


def test_folders_that_are_named_as_splits_are_splits(tmp_path, tone):
    for name in ("TRAIN", "TEST", "extra"):
        tone(tmp_path / name / "FAAA0" / "SA1.wav")
    (tmp_path / "dev").mkdir()
    assert detect(tmp_path).splits == ("TEST", "TRAIN", "extra")


def test_a_folder_without_speech_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no speech")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.wav").write_bytes(b"")
    with pytest.raises(MultiresError, match="no speech that can be read"):
        detect(tmp_path)


def test_a_linked_folder_counts(tmp_path, tone):
    tone(tmp_path / "disk" / "a.wav")
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "ann").symlink_to(tmp_path / "disk")
    assert detect(tmp_path / "speech").kind == "folder"


@pytest.mark.parametrize(
    ("splits", "roles"),
    [
        (["dev-clean", "test-clean", "train-clean-100"], (("train-clean-100",), ("test-clean",))),
        (["train", "valid"], (("train",), ("valid",))),
        (["dev-clean", "test-other"], (("dev-clean",), ("test-other",))),
        (["train-a", "train-b"], None), (["dev-clean"], None), ([], None), (["ann", "bob"], None),
    ],
)  # fmt: skip
def test_roles_follow_names(splits, roles):
    assert default_roles(splits) == roles


def test_training_reads_librispeech_or_nothing(librispeech, tmp_path_factory, tone):
    assert training_corpus("synthetic", None) == "synthetic"
    assert training_corpus("synthetic", "") == "synthetic"
    assert training_corpus("synthetic", librispeech) == "librispeech"
    assert training_corpus("librispeech", "/anything") == "librispeech"
    other = tmp_path_factory.mktemp("other")
    tone(other / "ann" / "a.wav")
    with pytest.raises(MultiresError, match="not in LibriSpeech's layout"):
        training_corpus("synthetic", other)
    with pytest.raises(MultiresError, match="no folder"):
        training_corpus("synthetic", [librispeech, other / "nowhere"])
