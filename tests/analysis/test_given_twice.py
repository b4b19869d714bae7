"""Models and recordings that are given twice under several names are said to be."""

import logging

from multires.analysis.run import _copies, _each_once, open_run
from multires.corpus.utterance import Corpus, Utterance


def test_a_model_under_another_spelling_of_its_path_counts_once(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / "link.pt").symlink_to("a.pt")
    (tmp_path / "folder").mkdir()
    given = [
        "a.pt",
        f"{tmp_path}/a.pt",
        "./folder/../a.pt",
        "link.pt",
        "b.pt",
        "mel",
        "transformers:folder",
        "transformers:folder/",
    ]
    with caplog.at_level(logging.WARNING, "multires"):
        assert _each_once(given) == ("a.pt", "b.pt", "mel", "transformers:folder")
    assert [record.getMessage() for record in caplog.records][-1] == (
        "models: transformers:folder/ is transformers:folder under another name and counts once"
    )
    assert len(caplog.records) == 4


def test_copies_of_a_recording_are_found_within_a_split():
    def recording(name, split, digest):
        return Utterance(name, "s", split, 1.0, lambda: None, digest=digest)

    given = [("a", "train", "1"), ("b", "train", "2"), ("c", "train", "1"), ("d", "evaluation", "1"), ("e", "train", ""),
             ("f", "train", ""), ("g", "train", "1")]  # fmt: skip
    corpus = Corpus("toy", [recording(*each) for each in given], fingerprint="toy")
    assert _copies(corpus) == [("a", "c"), ("a", "g")]


def test_copies_are_said_and_stand_in_the_provenance(tmp_path, caplog):
    import numpy as np
    import soundfile

    noise = np.random.default_rng(0).normal(0, 0.1, (3, 16_000))
    for name, samples in {"ann/a": noise[0], "ann/b": noise[0], "bob/c": noise[1], "eve/d": noise[2]}.items():
        (tmp_path / "speech" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "speech" / f"{name}.wav", samples, 16_000)
    run = open_run(
        data=tmp_path / "speech", workspace=tmp_path / "workspace", models="mel", reference_model="mel", frames=20,
        progress=False,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "multires"):
        assert len(run.corpus) == 4
    assert "1 recordings hold the same audio as another one of their split, such as ann/a and ann/b" in caplog.text
