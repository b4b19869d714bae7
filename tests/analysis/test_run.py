import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pandas as pd
import pytest

from multires.analysis.run import Run, Subject, open_run
from multires.corpus import Corpus
from multires.corpus.utterance import Utterance
from multires.errors import MultiresError
from multires.models.config import preset
from multires.models.mr_hubert import MultiResHubert
from multires.results import COLUMNS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "speech"}, "unknown profile 'speech'"),
        ({"seed": "abc"}, "seed must be a whole number of at least 0, not 'abc'"),
        ({"models": "untrained/hubert-tiny"}, "untrained/hubert-tiny"),
        ({"layers": "encoder.7.7"}, "no layer encoder.7.7"),
        ({"views": "smell"}, "unknown view 'smell'"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"device": "quantum"}, "unknown device 'quantum'"),
        ({"profile": "librispeech"}, "profile 'librispeech' reads speech from a folder: set data"),
        ({"profile": "librispeech", "data": "/no/such/folder"}, "data: there is no folder /no/such/folder"),
    ],
)
def test_wrong_parameters_stop_before_any_work(tmp_path, arguments, message):
    start = time.monotonic()
    with pytest.raises(MultiresError, match=message) as error:
        open_run(**{"workspace": tmp_path, **arguments})
    assert time.monotonic() - start < 10
    assert "\n" not in str(error.value)


def test_a_run_removes_what_ended_ones_left_in_shared_memory(tmp_path, monkeypatch):
    removed = []
    monkeypatch.setattr("multires.analysis.run.remove_shared_memory_of_the_dead", lambda: removed.append(1))
    open_run(workspace=tmp_path)
    assert removed == [1]


def test_a_workspace_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(MultiresError, match=r"workspace .*file.* cannot be written"):
        open_run(workspace=blocked)
    with pytest.raises(MultiresError, match="cannot be written"):
        open_run(workspace="/proc/multires")
    assert os.listdir(tmp_path) == ["file"]


def test_untrained_models_come_once_for_each_seed(tmp_path):
    run = open_run(workspace=tmp_path, models="untrained/multi-small", model_seeds="0,1")
    assert run.subjects == [Subject("untrained/multi-small", 0), Subject("untrained/multi-small", 1)]
    assert run.condition(run.subjects[0]) == "multi"
    assert run.model("untrained/multi-small", 0) is run.model("untrained/multi-small", 0)


def test_tables_are_kept_with_their_provenance_and_made_again_when_damaged(tmp_path, caplog):
    run = open_run(workspace=tmp_path)
    calls = []

    def compute():
        calls.append(1)
        return pd.DataFrame({column: [0.5] for column in COLUMNS})

    first = run.table("thing", {"a": 1}, compute, corpus=False)
    again = run.table("thing", {"a": 1}, compute, corpus=False)
    assert len(calls) == 1
    pd.testing.assert_frame_equal(first.table, again.table)
    for key in ("profile", "parameters", "multires", "libraries", "python", "date", "machine", "revision"):
        assert key in again.source
    assert json.loads(first.path.with_suffix(".json").read_text())["parameters"]["a"] == 1
    run.table("thing", {"a": 2}, compute, corpus=False)
    assert len(calls) == 2
    first.path.write_bytes(b"PAR1 damaged")
    mended = run.table("thing", {"a": 1}, compute, corpus=False)
    assert len(calls) == 3
    pd.testing.assert_frame_equal(first.table, mended.table)
    assert f"cannot read the table {first.path}" in caplog.text


def test_a_table_that_does_not_match_its_provenance_is_made_again(tmp_path, caplog):
    run = open_run(workspace=tmp_path, progress=False)
    values = iter(range(10))

    def made(a):
        return run.table("thing", {"a": a}, lambda: pd.DataFrame([dict.fromkeys(COLUMNS, next(values))]), corpus=False)

    first, second = made(1), made(2)
    assert made(1).table["value"].item() == 0
    first.path.write_bytes(second.path.read_bytes())  # another table under its name
    assert made(1).table["value"].item() == 2
    assert "is not the table that its provenance describes" in caplog.text
    note = first.path.with_suffix(".json")
    note.write_text(note.read_text().replace('"a": 1', '"a": 7'))  # provenance of other parameters
    assert made(1).table["value"].item() == 3
    assert "does not match its provenance" in caplog.text
    note.unlink()
    assert made(1).table["value"].item() == 4
    assert made(2).table["value"].item() == 1  # the other table was left alone
    assert {file.suffix for file in (tmp_path / "tables").iterdir() if file.is_file()} == {".json", ".parquet"}


def test_provenance_names_the_recordings_that_models_see_in_windows(tmp_path, monkeypatch):
    run = open_run(workspace=tmp_path, models="untrained/multi-small")
    run.__dict__["corpus"] = Corpus(
        "toy",
        [
            Utterance(name, "s", "train", seconds, lambda: np.zeros(0))
            for name, seconds in (("short", 9.0), ("long", 400))
        ],
        fingerprint="toy",
    )

    def table():
        return pd.DataFrame({"value": [1.0]})

    found = run.table("alone", {}, table).source
    assert found["windows"] == {
        "untrained/multi-small": {
            "above_seconds": 300.0, "context_seconds": 10.0, "utterances": ["long"], "exact": False,
        }
    }  # fmt: skip
    run.__dict__["corpus"] = Corpus("toy", run.corpus.utterances[:1], fingerprint="other")
    monkeypatch.setattr(Run, "model", lambda *_: pytest.fail("no model is read where every recording is short"))
    assert "windows" not in run.table("alone", {}, table).source


def test_a_table_that_depends_on_no_speech_serves_every_profile(tmp_path):
    def given(value):
        return lambda: pd.DataFrame({name: [value] for name in COLUMNS})

    first = open_run(workspace=tmp_path, progress=False)
    other = open_run("librispeech", data=tmp_path, workspace=tmp_path, progress=False)
    assert first.table("cost", {}, given(0.5), corpus=False).table["value"].item() == 0.5
    found = other.table("cost", {}, given(0.7), corpus=False)
    assert found.table["value"].item() == 0.5
    assert found.source["profile"] == "librispeech-sample", "the provenance names the run that made it"


def test_a_second_run_waits_for_the_table_that_the_first_makes(tmp_path, caplog):
    caplog.set_level("INFO", "multires")
    begun, go_on = threading.Event(), threading.Event()
    made = []

    def slow():
        begun.set()
        go_on.wait(20)
        made.append("first")
        return pd.DataFrame({name: [0.5] for name in COLUMNS})

    def never():
        made.append("second")
        return pd.DataFrame({name: [0.7] for name in COLUMNS})

    with ThreadPoolExecutor(2) as pool:
        runs = [open_run(workspace=tmp_path, progress=False) for _ in range(2)]
        first = pool.submit(runs[0].table, "thing", {}, slow, corpus=False)
        assert begun.wait(20)
        second = pool.submit(runs[1].table, "thing", {}, never, corpus=False)
        while "another run is making" not in caplog.text:
            wait([second], timeout=0.01)
        assert not second.done()
        go_on.set()
        assert first.result(20).table["value"].item() == second.result(20).table["value"].item() == 0.5
    assert made == ["first"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a matter of Unix")
def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing_behind(tmp_path):
    import resource

    run = open_run(workspace=tmp_path, progress=False)
    table = pd.DataFrame({name: np.random.default_rng(0).random(4000) for name in COLUMNS})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(MultiresError, match=r"cannot write .*thing.*parquet: there is no room .*free some"):
            run.table("thing", {}, lambda: table, corpus=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "tables").glob("*.parquet"))
    assert len(run.table("thing", {}, lambda: table, corpus=False).table) == 4000


def test_a_condition_is_read_from_the_configuration(tmp_path):
    run = open_run(workspace=tmp_path)
    cases = {
        ("hubert", False, True): "hubert",
        ("mono", False, True): "mono+aux",
        ("mono", True, True): "mono",
        ("multi", False, True): "multi+aux",
        ("multi", True, True): "multi",
        ("multi", False, False): "multi",
        ("multi3", False, False): "multi3",
    }
    for (architecture, single, trained), expected in cases.items():
        subject = Subject(f"{architecture}-{single}-{trained}", 0)
        config = preset(architecture, "small", single_prediction=single)
        run._models[subject] = MultiResHubert(config, trained=trained)
        assert run.condition(subject) == expected
