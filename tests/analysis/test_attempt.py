"""Stages that speech is too little for give a table without rows and the reason."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from multires.analysis.attempt import attempt
from multires.errors import MultiresError, TooLittleSpeech
from multires.results import COLUMNS, Result, why_empty

RUN = SimpleNamespace(profile=SimpleNamespace(name="toy"), workspace=Path("workspace"))


def test_a_table_that_can_be_computed_is_returned_as_it_is():
    made = Result(pd.DataFrame({"value": [1.0]}), {}, Path("a.parquet"))
    assert attempt(lambda run, group_by: made if group_by == "speaker" else None, RUN, group_by="speaker") is made


def test_too_little_speech_gives_no_rows_and_the_reason():
    def stage(run, *, group_by):
        raise TooLittleSpeech("probes: corpus toy has one speaker")

    found = attempt(stage, RUN, group_by="speaker")
    assert list(found.table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert len(found.table) == 0
    assert why_empty(found.table) == found.source["left_out"] == "probes: corpus toy has one speaker"
    assert found.source["parameters"] == {"group_by": "speaker"}


def test_other_errors_are_raised():
    def stage(run):
        raise MultiresError("layers: there is no layer 99")

    with pytest.raises(MultiresError, match="layer 99"):
        attempt(stage, RUN)
