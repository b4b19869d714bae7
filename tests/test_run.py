import json
import os
import time

import pandas as pd
import pytest

from multires.errors import MultiresError
from multires.models.mr_hubert import MultiResHubert, preset
from multires.results import COLUMNS
from multires.run import Subject, open_run


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


def test_tables_are_kept_with_their_provenance_and_made_again_when_damaged(tmp_path, capsys):
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
    assert "delete it to have it made again" in capsys.readouterr().out


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
