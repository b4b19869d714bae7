"""Sentences on tables that could not be computed, or that have no rows of a kind."""

import pandas as pd
import pytest

from multires.report import contrasts, equal_rates, sentences
from multires.report.left_out import NO_SCORES
from multires.report.verdicts import UNTESTED, judge
from multires.results import no_rows, tidy, why_empty

REASON = "probes: corpus folder has one speaker"

DESCRIBE = {
    name: getattr(sentences, name)
    for name in (
        "extraction", "cca", "cca_windows", "cca_variants", "cca_grouping", "mutual_information", "mi_clusters", "probes",
        "weighted_sums", "agreement", "headline",
    )
} | {"low_resolution": equal_rates.low_resolution}  # fmt: skip

OTHERWISE = {
    "cca": "This run compares layers with neither log-mel nor phones nor words.",
    "low_resolution": "This run has no two trained models that differ in downsampling alone.",
}
"""Sentences of a table without rows that say more than that."""

ROW = {
    "model": "a", "condition": "multi", "seed": 0, "layer": "middle.0", "layer_index": 3, "block": "middle",
    "frame_period": 0.04, "measure": "something else", "view": "word", "value": 0.5, "n": 3, "trained": True, "low": 0.4,
    "high": 0.6, "window": 40.0, "grouping": "segment", "clusters": 10, "clusters_requested": 10, "accuracy": 0.5,
    "evidence": "e", "contrast": "downsampling, with the loss", "matching": "native",
}  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBE)
def test_tables_without_rows_and_of_one_row_are_no_error(name):
    assert DESCRIBE[name](no_rows(REASON)) == ""
    assert DESCRIBE[name](tidy([ROW]).iloc[:0]) == OTHERWISE.get(name, NO_SCORES)
    for changes in ({}, {"model": "mel", "layer_index": None}, {"measure": "accuracy"}, {"measure": "adjusted"}):
        text = DESCRIBE[name](tidy([{**ROW, **changes}]))
        assert text, changes
        assert not any(hole in text for hole in ("for .", "run .", "is, .", "models: .", ": .", ", .")), text


def test_a_speaker_that_no_split_keeps_whole_is_said():
    rows = [{**ROW, "measure": "pwcca", "grouping": grouping} for grouping in ("segment", "utterance")]
    assert "too few speakers" in sentences.cca_grouping(tidy(rows))
    whole = [*rows, {**rows[0], "grouping": "speaker", "value": 0.25}]
    assert "+0.250 for words" in sentences.cca_grouping(tidy(whole))


def test_a_conclusion_without_scores_gives_the_reason():
    text = contrasts.mutual_information_conclusion(no_rows(REASON), "toy")
    assert text == f"**In this run (toy speech)** normalized mutual information could not be computed ({REASON})."
    assert contrasts.differences(no_rows(REASON)) == ""
    assert "no two models" in contrasts.differences(pd.DataFrame())


def test_evidence_without_scores_gives_the_reason():
    missing = dict.fromkeys(("cca", "mutual_information", "probes"), no_rows(REASON))
    counted = {"model": "multi", "measure": "macs_ratio", "view": "mono", "duration": 10.0, "batch": 1, "value": 0.8}
    costs = tidy([{**ROW, **counted}])
    judged = judge(**missing, efficiency=costs)
    assert set(judged.loc[judged["claim"] < 3, "verdict"]) == {UNTESTED}
    assert judged.loc[judged["claim"] < 3, "sentence"].str.contains(REASON).all()
    assert judged.loc[judged["claim"] == 3, "value"].tolist() == [0.8]


def test_the_reason_stays_with_parts_of_the_table():
    table = no_rows(REASON)
    assert why_empty(table[table["view"].isin(["phone"])]) == REASON
    assert why_empty(tidy([ROW])) == ""
