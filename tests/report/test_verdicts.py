"""Verdicts on tables whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multires.experiment.statistics import TASKS, WORDS
from multires.report.verdicts import (
    CONTRADICTS,
    MARGIN,
    OPEN,
    SUPPORTS,
    THIS_RUN,
    UNTESTED,
    judge,
    judge_experiment,
    paired_effect,
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
                    value = level + own - loss
                    rows.append({
                        "model": f"{condition}-{seed}", "condition": condition, "seed": seed, "layer": f"encoder.0.{depth}",
                        "layer_index": depth + 1, "block": "encoder.0", "frame_period": 0.02, "measure": measure,
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
        mutual_information=scores(levels, measure="normalised", views=("word", "phone"), **settings),
        probes=scores(levels, measure="accuracy", views=("word", "phone"), **settings),
        efficiency=costs(0.8, 0.75, 0.85) if efficiency is None else efficiency,
    )


def of_claim(table: pd.DataFrame, claim: int) -> set[str]:
    return set(table[table["claim"] == claim]["verdict"])


THE_PAPER = {"mono": 0.5, "multi": 0.5, "mono+aux": 0.6, "multi+aux": 0.6}


def test_a_gain_from_the_loss_alone_supports_the_first_two_claims():
    table = verdicts(THE_PAPER)
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert of_claim(table, 1) == {SUPPORTS}
    assert of_claim(table, 2) == {SUPPORTS}
    for row in table[table["claim"] == 1].itertuples():
        assert row.value == pytest.approx(0.1, abs=0.002)
        assert f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" in row.sentence
    assert table[table["claim"] == 2]["value"].abs().max() < MARGIN


def test_a_gain_from_downsampling_contradicts_both():
    table = verdicts({"mono": 0.5, "multi": 0.6, "mono+aux": 0.5, "multi+aux": 0.6})
    assert of_claim(table, 1) == {CONTRADICTS}
    assert of_claim(table, 2) == {CONTRADICTS}


def test_a_gain_lost_in_the_noise_of_seeds_leaves_both_open():
    table = verdicts({"mono": 0.5, "multi": 0.53, "mono+aux": 0.53, "multi+aux": 0.56}, spread=20)
    assert of_claim(table, 1) == {OPEN}
    assert of_claim(table, 2) == {OPEN}


def test_both_helping_equally_does_not_support_the_first_claim():
    table = verdicts({"mono": 0.5, "multi": 0.6, "mono+aux": 0.6, "multi+aux": 0.7})
    assert of_claim(table, 1) == {OPEN}
    assert of_claim(table, 2) == {CONTRADICTS}


def test_untrained_models_are_compared_but_not_judged():
    table = verdicts(THE_PAPER, trained=False)
    assert of_claim(table, 1) | of_claim(table, 2) == {UNTESTED}
    assert table[table["claim"] < 3]["value"].notna().all()
    assert table[table["claim"] == 1]["sentence"].str.contains("no model of this run was trained").all()
    assert table[table["claim"] == 2]["sentence"].str.contains("untrained").all()


def test_untrained_models_beside_trained_ones_change_no_verdict():
    alone = verdicts(THE_PAPER)
    misleading = {"mono": 0.9, "multi": 0.1, "mono+aux": 0.1, "multi+aux": 0.9, "hubert": 0.99}
    both = {
        name: pd.concat([scores(THE_PAPER, **what), scores(misleading, **what, trained=False)], ignore_index=True)
        for name, what in {
            "cca": {"measure": "pwcca", "views": ("word",)},
            "mutual_information": {"measure": "normalised", "views": ("word",)},
            "probes": {"measure": "accuracy", "views": ("word", "phone")},
        }.items()
    }
    pd.testing.assert_frame_equal(judge(**both, efficiency=costs(0.8, 0.75, 0.85)), alone)


@pytest.mark.parametrize(
    ("conditions", "first", "second"),
    [
        (("mono", "multi"), UNTESTED, SUPPORTS),
        (("mono", "mono+aux"), OPEN, UNTESTED),  # nothing says what downsampling does
        (("mono", "multi", "multi+aux"), SUPPORTS, SUPPORTS),
        (("multi",), UNTESTED, UNTESTED),
        (("hubert",), UNTESTED, UNTESTED),
    ],
)
def test_missing_conditions(conditions, first, second):
    table = verdicts({condition: THE_PAPER.get(condition, 0.5) for condition in conditions})
    assert of_claim(table, 1) == {first}
    assert of_claim(table, 2) == {second}


def test_scores_without_words_leave_their_evidence_untested():
    found = scores(THE_PAPER, measure="accuracy", views=("phone",))
    table = judge(
        cca=scores(THE_PAPER, measure="pwcca", views=("mel",)),
        mutual_information=scores(THE_PAPER, measure="normalised", views=("phone",)),
        probes=found,
        efficiency=costs(0.8, 0.75, 0.85),
    )
    assert set(table[table["evidence"].str.contains("word")]["verdict"]) == {UNTESTED}
    assert set(table[table["evidence"].str.contains("phone")]["verdict"]) == {SUPPORTS}


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


def best(**values: list[float]) -> pd.DataFrame:
    return pd.DataFrame([
        {"condition": condition, "seed": seed, "value": value, "low": value - 0.03, "high": value + 0.03}
        for condition, each in values.items()
        for seed, value in enumerate(each)
    ])  # fmt: skip


def test_paired_effect_is_students_interval_over_seeds():
    rng = np.random.default_rng(0)
    for n in (3, 4, 9):
        a, b = rng.standard_normal((2, n))
        effect = paired_effect(best(a=list(a), b=list(b)), "a", "b")
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
        assert effect.value == pytest.approx((a - b).mean())
        assert effect.n == n


def test_paired_effect_of_few_seeds_combines_the_scores_own_intervals():
    one = paired_effect(best(a=[0.6], b=[0.5]), "a", "b")
    assert (one.value, one.n) == (pytest.approx(0.1), 1)
    assert (one.high - one.low) / 2 == pytest.approx(np.hypot(0.03, 0.03))
    two = paired_effect(best(a=[0.6, 0.7], b=[0.5, 0.5]), "a", "b")
    assert two.value == pytest.approx(0.15)
    assert (two.high - two.low) / 2 == pytest.approx(np.hypot(0.03, 0.03) / np.sqrt(2))


def test_paired_effect_pairs_by_seed_and_needs_both():
    table = best(a=[0.6, 0.7, 0.9], b=[0.5, 0.5, 0.5])
    shuffled = table.sample(frac=1, random_state=1)
    assert paired_effect(shuffled, "a", "b") == paired_effect(table, "a", "b")
    assert paired_effect(table, "a", "c") is None
    assert paired_effect(table[(table["condition"] == "a") | (table["seed"] > 1)], "a", "b").n == 1


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([SUPPORTS, OPEN, UNTESTED], SUPPORTS),
        ([CONTRADICTS, OPEN], CONTRADICTS),
        ([SUPPORTS, CONTRADICTS], OPEN),
        ([OPEN, UNTESTED], OPEN),
        ([UNTESTED, UNTESTED], UNTESTED),
    ],
)
def test_summary_combines_the_evidence_on_a_claim(found, verdict):
    table = pd.DataFrame({
        "source": THIS_RUN, "claim": 1, "verdict": [*found, SUPPORTS], "sentence": [*[*"ab", "a"][: len(found)], "c"],
        "evidence": "words", "value": 0.1, "low": 0.0, "high": 0.2, "n": 3, "primary": [True] * len(found) + [False],
    })  # fmt: skip
    (row,) = summary(table).to_dict("records")
    assert row["verdict"] == verdict
    assert row["sentence"] == "a b"
    assert row["title"].startswith("The gain comes from")


def test_summary_has_a_row_for_every_claim():
    assert list(summary(verdicts(THE_PAPER))["claim"]) == [1, 2, 3]
    assert set(summary(verdicts(THE_PAPER))["verdict"]) == {SUPPORTS}


def experiment_effects(auxiliary: tuple[float, float, float], downsampling: tuple[float, float, float], score: str):
    return pd.DataFrame([
        {"score": score, "effect": name, "value": value, "low": low, "high": high, "n": 3}
        for name, (low, value, high) in (("auxiliary loss", auxiliary), ("downsampling", downsampling))
    ])  # fmt: skip


CARRIED = pd.DataFrame({"condition": ["mono", "multi"], "carries": [True, True]})


@pytest.mark.parametrize(
    ("auxiliary", "downsampling", "first", "second"),
    [
        ((0.03, 0.05, 0.07), (-0.01, 0.0, 0.01), SUPPORTS, SUPPORTS),
        ((-0.01, 0.0, 0.01), (0.03, 0.05, 0.07), CONTRADICTS, CONTRADICTS),
        ((-0.1, 0.05, 0.2), (-0.1, 0.05, 0.2), OPEN, OPEN),
        ((0.03, 0.05, 0.07), (0.04, 0.06, 0.08), OPEN, CONTRADICTS),
        ((0.03, 0.05, 0.07), (MARGIN / 4, MARGIN / 2, MARGIN * 0.9), SUPPORTS, OPEN),
    ],
)
def test_the_experiment_is_judged_by_its_primary_outcome(auxiliary, downsampling, first, second):
    effects = experiment_effects(auxiliary, downsampling, TASKS)
    other = experiment_effects((-0.9, -0.8, -0.7), (0.7, 0.8, 0.9), "word accuracy, weighted sum")
    table = judge_experiment(pd.concat([effects, other]), CARRIED, "the experiment")
    found = summary(table).set_index("claim")
    assert found["verdict"].to_dict() == {1: first, 2: second}
    assert set(found["source"]) == {"the experiment"}
    assert found.loc[1, "value"] == auxiliary[1]
    assert len(table) == 4


def test_an_effect_on_an_error_rate_is_turned_round():
    score = "phone error rate, weighted sum"
    table = judge_experiment(experiment_effects((-0.3, -0.2, -0.1), (0, 0, 0), score), CARRIED, "x")
    row = table[table["claim"] == 1].iloc[0]
    assert (row["low"], row["value"], row["high"]) == (0.1, 0.2, 0.3)
    assert row["verdict"] == SUPPORTS


def test_models_that_do_not_carry_the_experiment_give_no_verdict():
    carried = CARRIED.assign(carries=[True, False])
    table = judge_experiment(experiment_effects((0.03, 0.05, 0.07), (0, 0, 0), TASKS), carried, "x")
    assert set(table["verdict"]) == {UNTESTED}
    assert table["sentence"].str.contains("do not carry the experiment (multi)", regex=False).all()
    assert table["value"].notna().all()


def test_one_seed_leaves_the_experiment_open():
    nan = float("nan")
    table = judge_experiment(experiment_effects((nan, 0.5, nan), (nan, 0.5, nan), WORDS), CARRIED, "x")
    assert set(table["verdict"]) == {OPEN}
    assert list(table["claim"]) == [2]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [([SUPPORTS, SUPPORTS], SUPPORTS), ([SUPPORTS, OPEN], OPEN), ([SUPPORTS, CONTRADICTS], CONTRADICTS),
     ([SUPPORTS, UNTESTED], SUPPORTS), ([UNTESTED, UNTESTED], UNTESTED)],
)  # fmt: skip
def test_neither_needs_all_of_its_evidence(found, verdict):
    table = pd.DataFrame({
        "source": THIS_RUN, "claim": 2, "verdict": found, "sentence": ["a", "b"], "evidence": "words", "value": 0.1,
        "low": 0.0, "high": 0.2, "n": 3, "primary": True,
    })  # fmt: skip
    assert summary(table)["verdict"].item() == verdict
