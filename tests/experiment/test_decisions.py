"""Regions and verdicts follow from intervals, and narrower intervals never undo a decision."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from multires.experiment.decisions import (
    CONTRADICTS,
    EQUIVALENT,
    INFERIOR,
    NEITHER,
    NOTHING,
    OPEN,
    SUPERIOR,
    SUPPORTS,
    UNDECIDED,
    UNTESTED,
    Effect,
    decide,
    holm,
    regions,
)

DF = 20.0
REACH = stats.t.ppf(0.975, DF)
TASKS = np.array([True, True, False])
INTEREST = np.array([0.03, 0.03, 0.02])


def effect(low, high, artifact=0.0) -> Effect:
    low, high = np.broadcast_to(np.asarray(low, float), 3), np.broadcast_to(np.asarray(high, float), 3)
    return Effect((low + high) / 2, (high - low) / 2 / REACH, np.full(3, DF), np.full(3, artifact))


NONE = effect(-0.003, 0.003)
GAIN = effect(0.05, 0.07)
LOSS = effect(-0.07, -0.05)
VAGUE = effect(-0.2, 0.2)


def verdicts(*, auxiliary=GAIN, downsampling=NONE, difference=GAIN, control=GAIN, **more):
    found = decide(
        auxiliary=auxiliary, downsampling=downsampling, difference=difference, control=control,
        **{"interest": INTEREST, "tasks": TASKS, "seeds": 6, **more},
    )  # fmt: skip
    return str(found.claim_1), str(found.claim_2)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, (SUPPORTS, SUPPORTS)),
        ({"auxiliary": NONE, "downsampling": GAIN, "difference": LOSS}, (CONTRADICTS, CONTRADICTS)),
        ({"auxiliary": NONE, "difference": NONE, "control": NONE}, (NOTHING, SUPPORTS)),
        ({"difference": LOSS, "control": NONE}, (NOTHING, SUPPORTS)),  # never contradicted without a gain
        ({"auxiliary": VAGUE, "downsampling": VAGUE, "difference": VAGUE, "control": VAGUE}, (NOTHING, OPEN)),
        ({"difference": VAGUE, "downsampling": VAGUE}, (OPEN, OPEN)),
        ({"difference": NONE}, (NEITHER, SUPPORTS)),
        ({"auxiliary": NONE, "downsampling": LOSS}, (OPEN, SUPPORTS)),  # downsampling harms, and the loss adds nothing
        ({"downsampling": effect(-0.5, 0.01)}, (SUPPORTS, SUPPORTS)),  # from harm to nothing of interest
        ({"downsampling": effect(0.001, 0.01)}, (SUPPORTS, SUPPORTS)),  # surely a gain, surely too small
        ({"learned": False}, (UNTESTED, UNTESTED)),
        ({"learned": False, "control": NONE}, (NOTHING, UNTESTED)),
        ({"seeds": 1}, (UNTESTED, UNTESTED)),
        ({"seeds": 1, "control": NONE}, (UNTESTED, UNTESTED)),
        ({"interest": np.full(3, np.nan)}, (UNTESTED, UNTESTED)),
        ({"interest": np.array([0.03, 0.03, np.nan])}, (SUPPORTS, OPEN)),  # nothing is known of words
        ({"difference": effect(0.05, 0.07, artifact=1.0)}, (OPEN, SUPPORTS)),  # untrained models show it too
        ({"difference": effect(0.05, 0.07, artifact=-1.0)}, (SUPPORTS, SUPPORTS)),
        ({"difference": effect([0.05, -0.07, 0], [0.07, -0.05, 0.01])}, (OPEN, SUPPORTS)),  # tasks disagree
    ],
)
def test_verdicts_follow_the_rules(given_, expected):
    assert verdicts(**given_) == expected


@pytest.mark.parametrize(
    ("low", "high", "region"),
    [(0.04, 0.05, SUPERIOR), (-0.02, 0.025, EQUIVALENT), (0.001, 0.02, EQUIVALENT), (-0.09, -0.04, INFERIOR),
     (0.02, 0.04, UNDECIDED), (-0.04, 0.04, UNDECIDED)],
)  # fmt: skip
def test_regions_are_those_of_the_interval(low, high, region):
    names, p = regions(effect(low, high), np.full(3, 0.03))
    assert (names[0] if p[0] <= 0.025 else UNDECIDED) == region


def test_equivalence_is_that_of_two_one_sided_tests():
    from statsmodels.stats.weightstats import DescrStatsW

    values = np.random.default_rng(0).normal(0.01, 0.05, 21)
    sample = DescrStatsW(values)
    one = Effect(*(np.full(1, part) for part in (values.mean(), stats.sem(values), 20.0, 0.0)))
    _, p = regions(one, np.array([0.03]))
    assert p[0] == pytest.approx(max(sample.ttost_mean(-0.03, 0.03)[0], 0))


def test_holm_rejects_what_closed_testing_with_bonferroni_rejects():
    p = np.random.default_rng(0).uniform(0, 0.05, (40, 5))
    subsets = [list(chosen) for size in range(1, 6) for chosen in combinations(range(5), size)]
    for row, found in zip(p, holm(p, np.ones(5, bool), 0.05), strict=True):
        rejected = {tuple(some) for some in subsets if row[some].min() <= 0.05 / len(some)}
        expected = [all(tuple(some) in rejected for some in subsets if i in some) for i in range(5)]
        assert found.tolist() == expected


def test_outcomes_outside_the_family_cost_nothing():
    p = np.array([0.03, 0.0, 0.01])
    assert holm(p, np.array([True, False, False]), 0.05).tolist() == [True, False, False]


bounds = st.lists(st.tuples(st.floats(-0.15, 0.15), st.floats(0, 0.1)), min_size=3, max_size=3)
nested = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3)


@st.composite
def pairs(draw):
    """An effect, and one whose intervals lie within those of the first."""
    outer = [(low, low + width) for low, width in draw(bounds)]
    inner = []
    for (low, high), (first, second) in zip(outer, draw(nested), strict=True):
        ends = sorted((low + first * (high - low), low + second * (high - low)))
        inner.append((max(ends[0], low), min(ends[1], high)))
    artifact = draw(st.sampled_from([0.0, 0.0, 1.0, -1.0]))
    return tuple(effect(*np.array(each).T, artifact=artifact) for each in (outer, inner))


@given(auxiliary=pairs(), downsampling=pairs(), difference=pairs(), control=pairs(), learned=st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_narrower_interval_never_undoes_a_decision(learned, **effects):
    outer, inner = (
        decide(
            **{name: pair[i] for name, pair in effects.items()},
            interest=INTEREST,
            tasks=TASKS,
            learned=learned,
            seeds=6,
        )
        for i in (0, 1)
    )
    for name in ("difference", "downsampling"):
        before, after = getattr(outer, name), getattr(inner, name)
        assert ((before == after) | (before == UNDECIDED)).all()
    assert (inner.gained | ~outer.gained).all()
    # Information only grows: nothing to attribute, then open, then decided.
    first, second = str(outer.claim_1), str(inner.claim_1)
    assert first in (NOTHING, OPEN) or first == second
    assert not (first == OPEN and second == NOTHING)
    assert str(outer.claim_2) in (OPEN, str(inner.claim_2))


@given(pairs(), st.floats(0, 0.2))
@settings(max_examples=50, deadline=None)
def test_a_larger_effect_never_ranks_lower(pair, shift):
    order = {INFERIOR: 0, EQUIVALENT: 1, SUPERIOR: 2}
    low = pair[0]
    high = Effect(low.value + shift, low.error, low.df, low.artifact)
    (first, p), (second, q) = (regions(each, INTEREST) for each in (low, high))
    for a, b, sure_a, sure_b in zip(first, second, p <= 0.025, q <= 0.025, strict=True):
        if sure_a and sure_b:
            assert order[a] <= order[b]
