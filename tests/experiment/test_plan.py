"""The plan's constants are consistent with each other and with the experiment."""

from datetime import date

import pytest

from multires.experiment.conditions import CONDITIONS as TRAINED
from multires.experiment.plan import CONDITIONS, PLAN, REFERENCES


def test_conditions_are_those_that_are_trained():
    assert tuple(TRAINED) == CONDITIONS


@pytest.mark.parametrize("estimand", PLAN.estimands, ids=lambda each: each.key)
def test_estimands_are_contrasts_of_known_conditions(estimand):
    assert set(estimand.weights) <= set(CONDITIONS)
    assert sum(estimand.weights.values()) == 0


def test_the_difference_is_that_of_the_two_main_effects():
    weights = {key: PLAN.estimand(key).weights for key in ("auxiliary", "downsampling", "difference")}
    for condition in CONDITIONS:
        expected = weights["auxiliary"].get(condition, 0) - weights["downsampling"].get(condition, 0)
        assert weights["difference"].get(condition, 0) == expected


def test_names_are_found_and_unique():
    for parts in (PLAN.outcomes, PLAN.estimands):
        assert len({each.key for each in parts}) == len({each.name for each in parts}) == len(parts)
    assert PLAN.outcome(PLAN.gates.learned_outcome).primary
    assert PLAN.interest.condition in CONDITIONS
    assert PLAN.interest.baseline in REFERENCES
    assert {each.group for each in PLAN.primary()} == {"tasks", "words"}


def test_history_is_in_order_and_ends_before_scores():
    dates = [date.fromisoformat(each.date) for each in PLAN.revisions]
    assert dates == sorted(dates)
    assert PLAN.revisions[-1].before_scores
