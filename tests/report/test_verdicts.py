"""Verdicts on tables whose truth is known."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from multires.experiment.analysis import analyze
from multires.experiment.tables import ExperimentTables, experiment_tables
from multires.report.verdicts import (
    CONTRADICTS,
    NEITHER,
    NOTHING,
    OPEN,
    SUPPORTS,
    THIS_RUN,
    UNTESTED,
    judge,
    judge_experiment,
    summary,
)
from multires.results import COLUMNS, tidy

NOISE = (-0.002, 0.0, 0.003)
"""What each seed adds to every condition that it trains, and half of it to those with the loss."""


def scores(
    levels: dict[str, float], *, measure: str, views: tuple[str, ...], trained: bool = True, spread: float = 1.0
) -> pd.DataFrame:
    """Two layers for each condition and seed, the better one at the condition's level."""
    rows = []
    for view in views:
        for condition, level in levels.items():
            for seed, noise in enumerate(NOISE):
                own = spread * noise * (1.5 if condition.endswith("aux") else 1) * (-1 if "multi" in condition else 1)
                for depth, loss in enumerate((0.1, 0.0)):
                    value = level + own - loss if depth else 0.95
                    rows.append({
                        "model": f"{condition}-{seed}", "condition": condition, "seed": seed, "layer": f"encoder.0.{depth}",
                        "layer_index": depth + 1, "block": "middle" if depth else "conv", "frame_period": 0.02, "measure": measure,
                        "view": view, "value": value, "n": 100, "trained": trained,
                        "low": value - 0.01, "high": value + 0.01,
                    })  # fmt: skip
    rows.append({**rows[-1], "model": "mel", "condition": "mel", "value": 0.99, "trained": False})
    return tidy(rows)


def costs(value: float, low: float, high: float, *, note: str = "", operations: float = 0.7) -> pd.DataFrame:
    """Times of 2 s and 20 s of speech; the verdict is drawn from the longest."""
    common = {"model": "multi", "view": "mono", "batch": 1, "note": ""}
    return tidy([
        {**common, "measure": "ratio", "duration": 2.0, "value": 5.0, "low": 4.9, "high": 5.1, "n": 9},
        {**common, "measure": "ratio", "duration": 20.0, "value": value, "low": low, "high": high, "n": 9, "note": note},
        {**common, "measure": "macs_ratio", "duration": 2.0, "value": 1.4},
        {**common, "measure": "macs_ratio", "duration": 20.0, "value": operations},
    ])  # fmt: skip


def verdicts(levels: dict[str, float], *, trained: bool = True, spread: float = 1.0, efficiency=None) -> pd.DataFrame:
    settings = {"trained": trained, "spread": spread}
    return judge(
        cca=scores(levels, measure="pwcca", views=("word", "mel"), **settings),
        mutual_information=scores(levels, measure="adjusted", views=("word", "phone"), **settings),
        probes=scores(levels, measure="accuracy", views=("word", "phone"), **settings),
        efficiency=costs(0.8, 0.75, 0.85) if efficiency is None else efficiency,
    )


THE_PAPER = {"mono": 0.5, "multi": 0.5, "mono+aux": 0.6, "multi+aux": 0.6}


def test_a_run_describes_its_models_and_judges_nothing_but_cost():
    table = verdicts(THE_PAPER)
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert set(table[table["claim"] < 3]["verdict"]) == {UNTESTED}
    first = table[table["claim"] == 1]
    assert first["value"].to_numpy() == pytest.approx([0.1, 0.1], abs=0.003)
    for row in first.itertuples():
        assert f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}] with 3 seeds" in row.sentence
    assert summary(table)["verdict"].tolist() == [UNTESTED, UNTESTED, SUPPORTS]
    assert set(summary(table)["source"]) == {THIS_RUN}


def test_one_model_of_each_condition_has_no_interval_and_no_verdict():
    settings = {"trained": True, "spread": 1.0}
    one = {
        name: scores(THE_PAPER, measure=measure, views=("word", "phone"), **settings).query("seed == 0")
        for name, measure in (("cca", "pwcca"), ("mutual_information", "adjusted"), ("probes", "accuracy"))
    }
    table = judge(**one, efficiency=costs(0.8, 0.75, 0.85))
    rows = table[table["claim"] < 3]
    assert rows["low"].isna().all()
    assert rows["value"].notna().all()
    assert set(rows["verdict"]) == {UNTESTED}
    assert rows["sentence"].str.contains("one model of each condition").all()


def test_input_layers_and_untrained_models_describe_nothing():
    # The input layer scores 0.95 in every condition: as a best layer it would make every difference zero.
    assert (verdicts(THE_PAPER).query("claim == 1")["value"] > 0.09).all()
    table = verdicts(THE_PAPER, trained=False)
    assert table[table["claim"] < 3]["value"].isna().all()
    assert table[table["claim"] == 1]["sentence"].str.contains("no model of this run was trained").all()
    part = verdicts({"mono": 0.5, "multi": 0.6})
    assert part[part["claim"] == 1]["sentence"].str.contains("it lacks one of").all()


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [((0.8, 0.75, 0.85), SUPPORTS), ((1.2, 1.15, 1.25), CONTRADICTS), ((0.98, 0.9, 1.06), OPEN)],
)
def test_the_cost_is_judged_on_the_longest_speech(ratio, verdict):
    table = verdicts(THE_PAPER, efficiency=costs(*ratio))
    timed, counted = (row for row in table[table["claim"] == 3].itertuples())
    assert timed.verdict == verdict
    assert timed.value == ratio[0]
    assert f"20 s of speech it takes {ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]" in timed.sentence
    assert counted.verdict == SUPPORTS
    assert counted.value == 0.7


def test_a_withheld_time_is_open_and_says_why():
    table = verdicts(THE_PAPER, efficiency=costs(np.nan, np.nan, np.nan, note="the machine was busy", operations=1.3))
    timed, counted = (row for row in table[table["claim"] == 3].itertuples())
    assert timed.verdict == OPEN
    assert np.isnan(timed.value)
    assert (
        timed.sentence
        == "Its time beside the same model without downsampling could not be measured (the machine was busy)."
    )
    assert counted.verdict == CONTRADICTS


EFFECTS = {
    "control": "multi+aux less hubert",
    "difference": "auxiliary loss less downsampling",
    "downsampling": "downsampling",
}


def experiment(claims: tuple[str, str], decided: dict[str, str], *, high: float = 0.02, interest: float = 0.03):
    rows = [
        {"outcome": outcome, "score": outcome, "group": group, "primary": True, "estimand": key, "effect": name,
         "value": 0.0, "low": -high, "high": high, "n": 6, "interest": interest, "decided": decided.get(key, "undecided")}
        for outcome, group in (("phones", "tasks"), ("words", "words"))
        for key, name in EFFECTS.items()
    ]  # fmt: skip
    nothing = pd.DataFrame()
    training = pd.DataFrame({"condition": ["mono"] * 6, "seed": range(6)})
    verdict = pd.DataFrame({"claim": [1, 2], "verdict": claims})
    return ExperimentTables("toy", nothing, training, pd.DataFrame(rows), nothing, nothing, verdict, {})


def test_an_experiments_verdicts_are_those_of_its_claims():
    table = judge_experiment(experiment((SUPPORTS, OPEN), {"difference": "superior", "control": "gain"}, high=0.05))
    assert summary(table)["verdict"].tolist() == [SUPPORTS, OPEN]
    assert set(table["source"]) == {"experiment, toy, 6 seeds"}
    first = table[table["claim"] == 1]
    assert first["evidence"].tolist() == ["auxiliary loss less downsampling: phones", "MR-HuBERT less HuBERT: phones"]
    assert first["verdict"].tolist() == [SUPPORTS, OPEN]
    assert table[table["claim"] == 2]["view"].tolist() == ["phones", "words"]
    assert set(table["interest"]) == {0.03}


def test_where_there_is_no_gain_the_positive_control_is_shown_first():
    table = judge_experiment(
        experiment((NOTHING, SUPPORTS), {"difference": "equivalent", "downsampling": "equivalent"})
    )
    first = summary(table).iloc[0]
    assert (first["evidence"], first["verdict"]) == ("MR-HuBERT less HuBERT: phones", NOTHING)
    assert table[table["claim"] == 1]["verdict"].tolist() == [NOTHING, NEITHER]


@pytest.mark.parametrize(
    ("decided", "high", "interest", "verdict"),
    [("superior", 0.09, 0.03, CONTRADICTS), ("inferior", 0.02, 0.03, SUPPORTS), ("undecided", 0.02, 0.03, SUPPORTS),
     ("undecided", 0.04, 0.03, OPEN), ("undecided", 0.02, np.nan, UNTESTED)],
)  # fmt: skip
def test_an_outcome_supports_that_downsampling_brings_nothing_where_a_gain_of_interest_is_excluded(
    decided, high, interest, verdict
):
    table = judge_experiment(experiment((OPEN, OPEN), {"downsampling": decided}, high=high, interest=interest))
    assert set(table[table["claim"] == 2]["verdict"]) == {verdict}


def test_the_verdicts_of_the_package_are_what_its_scores_give():
    for each in experiment_tables():
        found = analyze(each.scores, each.training)
        pd.testing.assert_frame_equal(found.claims, each.claims)
        pd.testing.assert_frame_equal(found.effects, each.effects)
        verdicts = summary(judge_experiment(each)).set_index("claim")["verdict"]
        assert verdicts.loc[[1, 2]].tolist() == each.claims["verdict"].tolist()


def test_reports_need_no_torch():
    code = "import sys, multires.report.verdicts, multires.report.sentences; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
