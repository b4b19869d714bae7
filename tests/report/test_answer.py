"""The answering paragraph: drawn from tables, and different where these are."""

import pandas as pd
import pytest

from multires.experiment.decisions import CONTRADICTS, NOTHING, OPEN, SUPPORTS, UNTESTED
from multires.experiment.tables import ExperimentTables
from multires.report.answer import answer, leading

COSTS = pd.DataFrame({
    "claim": 3, "value": [0.82, 0.75], "sentence": ["It takes 0.82.", "It needs 0.75."],
    "evidence": ["time, 30 s", "operations, 30 s"],
})  # fmt: skip


def tables(
    first: str = OPEN, second: str = OPEN, *, carries: bool = True, corpus: str = "LibriSpeech", speakers: int = 40
):
    effects = pd.DataFrame([
        {"outcome": "phone_classification", "score": "phone classification", "estimand": key, "value": 0.0, "low": -0.015,
         "high": 0.025, "interest": 0.009, "speakers": speakers, "group": "tasks", "primary": True, "region": "undecided"}
        for key in ("auxiliary", "downsampling", "control")
    ])  # fmt: skip
    training = pd.DataFrame(
        {"condition": ["hubert", "mono", "multi"] * 3, "seed": [0, 0, 0, 1, 1, 1, 2, 2, 2], "step": 800}
    )
    claims = pd.DataFrame({"claim": [1, 2], "verdict": [first, second]})
    gate = pd.DataFrame({"carries": [carries]})
    return ExperimentTables(
        corpus, pd.DataFrame(), training, effects, gate, pd.DataFrame(), claims, {"corpus_hours": 7.25}
    )


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [((SUPPORTS, SUPPORTS), "comes from the auxiliary loss"), ((NOTHING, CONTRADICTS), "downsampling brings a gain."),
     ((OPEN, UNTESTED), "could not be tested")],
)  # fmt: skip
def test_the_paragraph_answers_with_the_verdicts(verdicts, words):
    text = answer([tables(*verdicts)], COSTS)
    assert words in text
    assert "two kinds of small models" in text
    assert "three of each" in text
    assert "25% cheaper (operations on 30 s of speech)" in text
    assert "lies between -0.015 and +0.025" in text
    assert "seeds and 40 test speakers" in text
    assert "7.2 hours of speech in 800 steps" in text
    assert "\n" not in text


def test_other_targets_are_named_beside_the_certainty():
    rows = [
        {"run": run, "outcome": "phone_classification", "measure": "effect", "estimand": "control", "value": value,
         "low": value - 0.01, "high": value + 0.01}
        for run, value in (("Whisper", -0.03), ("MFCC", 0.002), ("own", -0.02))
    ]  # fmt: skip
    text = answer([tables()], COSTS, pd.DataFrame(rows))
    assert (
        "Trained on other targets, MR-HuBERT less HuBERT is, in phone classification: MFCC +0.002 [-0.008, +0.012]; "
        "own -0.020 [-0.030, -0.010]." in text
    )
    assert "Whisper" not in text
    assert "other targets" not in answer([tables()], COSTS, pd.DataFrame(rows[:1]))


def test_models_that_did_not_learn_are_said_to_show_nothing():
    assert "did not learn enough to be compared" in answer([tables(carries=False)], COSTS)
    assert "cover seeds, not speakers" in answer([tables(speakers=0)], COSTS)


def test_what_is_missing_is_said():
    assert "could not be measured" in answer([tables()], COSTS.iloc[:0])
    assert "cannot say" in answer([], COSTS)
    synthetic, real = tables(corpus="synthetic"), tables()
    assert leading([synthetic, real]) is leading([real, synthetic]) is real
    assert leading([synthetic]) is synthetic
    assert leading([]) is None
