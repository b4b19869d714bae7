"""Advice for readers: computed from the tables, and other advice from other tables."""

import pandas as pd
import pytest

from multires.experiment.decisions import CONTRADICTS, NOTHING, OPEN, SUPPORTS, UNTESTED
from multires.experiment.tables import ExperimentTables, experiment_tables
from multires.report.advice import advice

COSTS = pd.DataFrame({
    "claim": 3, "value": [0.82, 0.75], "sentence": ["It takes 0.82.", "It needs 0.75."],
    "evidence": ["time, 30 s", "operations, 30 s"],
})  # fmt: skip


def tables(first: str = OPEN, second: str = OPEN, *, carries: bool = True, value: float = -0.02) -> ExperimentTables:
    effects = pd.DataFrame([
        {"outcome": outcome, "score": name, "estimand": key, "value": value, "low": value - 0.01, "high": value + 0.01,
         "interest": 0.03, "group": "tasks", "primary": True}
        for key in ("auxiliary", "downsampling")
        for outcome, name in (("phone_classification", "phone classification"), ("phone_abx", "phone ABX"))
    ])  # fmt: skip
    scores = pd.DataFrame([
        {"condition": name, "seed": 0, "layer": layer, "layer_index": index, "block": "encoder.0", "frame_period": 0.02,
         "form": "averaged", "labels": "true", "outcome": outcome, "role": "test", "correct": 1, "total": 2}
        for name, layer, index in (("hubert", "encoder.0.5", 6), ("multi+aux", "middle.0", 3))
        for outcome in ("phone_classification", "word_classification")
    ])  # fmt: skip
    chosen = scores[["outcome", "condition", "layer", "form"]]
    claims = pd.DataFrame({"claim": [1, 2], "verdict": [first, second]})
    gate = pd.DataFrame({"carries": [carries]})
    return ExperimentTables("LibriSpeech", scores, pd.DataFrame(), effects, gate, chosen, claims, {})


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ((SUPPORTS, SUPPORTS), ("Add the auxiliary loss first", "take a model that downsamples for its cost")),
        ((NOTHING, CONTRADICTS), ("do not beat a plain HuBERT", "worth trying for its scores too")),
        ((OPEN, UNTESTED), ("train with each switch alone", "could not be tested here")),
    ],
)
def test_advice_follows_the_verdicts(verdicts, words):
    text = advice([tables(*verdicts)], COSTS)
    assert all(each in text for each in words)
    assert "takes 0.75 of the operations of the same model at 20 ms, on 30 s of speech" in text


def test_the_effect_on_every_task_is_told_with_its_direction():
    assert (
        "downsampling lowers the score of every task, by less than is of interest: phone classification -0.020"
        in advice([tables()], COSTS)
    )
    assert "downsampling raises the score of every task, by a size of interest" in advice([tables(value=0.05)], COSTS)
    assert "The effect of downsampling here: phone classification +0.000" in advice([tables(value=0.0)], COSTS)


def test_layers_are_those_that_development_speakers_chose():
    assert (
        "chose layer 6 of HuBERT and layer 3 of MR-HuBERT for phone classification and word classification."
        in advice([tables()], COSTS)
    )


def test_nothing_is_advised_without_grounds():
    assert "nothing can be advised" in advice([], COSTS)
    assert "did not learn enough" in advice([tables(carries=False)], COSTS)
    assert "could not be measured" in advice([tables()], COSTS.iloc[:0])


def test_the_tables_in_the_package_give_advice():
    text = advice(experiment_tables(), COSTS)
    assert text.count("**If you ") == 3
    assert "nan" not in text
