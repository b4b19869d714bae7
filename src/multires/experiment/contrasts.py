"""Scores of speakers to chosen layers, smallest effects of interest, and effects: the plan applied to arrays.

All arrays may have leading axes, one entry for each independent table; a table of the experiment has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multires.experiment.decisions import Decisions, Effect, decide
from multires.experiment.plan import CONDITIONS, PLAN, Plan
from multires.experiment.statistics import CrossedInterval, crossed_interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OutcomeScores:
    """Scores of all models on one outcome.

    Attributes
    ----------
    key
        Of the outcome in the plan.
    development, test
        By condition or reference: correct items, shape (..., candidates, seeds, speakers). References have one seed.
    development_totals, test_totals
        Items of each speaker, shape (..., speakers).
    """

    key: str
    development: Mapping[str, Array]
    test: Mapping[str, Array]
    development_totals: Array
    test_totals: Array


@dataclass(frozen=True)
class Chosen:
    """The same at the layer that development speakers chose for each condition.

    Attributes
    ----------
    key
        Of the outcome.
    index
        By condition: the candidate, shape (...).
    development, test
        By condition: shape (..., seeds, speakers).
    development_totals, test_totals
        As before.
    """

    key: str
    index: Mapping[str, npt.NDArray[np.intp]]
    development: Mapping[str, Array]
    test: Mapping[str, Array]
    development_totals: Array
    test_totals: Array


@dataclass(frozen=True)
class OutcomeEffects:
    """Effects on one outcome.

    Attributes
    ----------
    lead
        Of the plan's condition over its baseline, on development speakers.
    interest
        The smallest effect of interest; NaN where the lead is not above zero.
    effects
        By key of the estimand, where all its conditions were scored.
    untrained
        The same contrast of untrained models; absent where they do not differ or were not scored.
    """

    lead: CrossedInterval
    interest: Array
    effects: Mapping[str, CrossedInterval]
    untrained: Mapping[str, CrossedInterval]


def choose_layers(scores: OutcomeScores) -> Chosen:
    """Take each condition's best candidate on development speakers, on average over seeds."""
    index = {
        name: (cells.sum(-1) / scores.development_totals.sum(-1)[..., None, None]).mean(-1).argmax(-1)
        for name, cells in scores.development.items()
    }
    return Chosen(
        scores.key,
        index,
        {name: _take(cells, index[name]) for name, cells in scores.development.items()},
        {name: _take(cells, index[name]) for name, cells in scores.test.items()},
        scores.development_totals,
        scores.test_totals,
    )


def _take(cells: Array, index: npt.NDArray[np.intp]) -> Array:
    taken: Array = np.take_along_axis(cells, np.asarray(index)[..., None, None, None], axis=-3)[..., 0, :, :]
    return taken


def contrast(
    cells: Mapping[str, Array], totals: Array, weights: Mapping[str, float], level: float = PLAN.level
) -> CrossedInterval | None:
    """A weighted sum of conditions with its interval; None where a condition was not scored.

    Conditions with one seed are paired with every seed of the others.
    """
    if not set(weights) <= set(cells):
        return None
    parts = np.broadcast_arrays(*(weight * cells[name] for name, weight in weights.items()))
    return crossed_interval(np.sum(parts, axis=0), totals, level=level)


def smallest_effect(chosen: Chosen, plan: Plan = PLAN) -> tuple[CrossedInterval | None, Array]:
    """The lead on development speakers and the smallest effect of interest.

    Returns
    -------
        None and NaN where the condition or the baseline was not scored.
    """
    weights = {plan.interest.condition: 1.0, plan.interest.baseline: -1.0}
    lead = contrast(chosen.development, chosen.development_totals, weights, plan.level)
    if lead is None:
        return None, np.full(chosen.test_totals.shape[:-1], np.nan)
    return lead, np.where(lead.low > 0, plan.interest.share * lead.value, np.nan)


def effects(chosen: Chosen, plan: Plan = PLAN) -> OutcomeEffects:
    """All estimands on test speakers, those of untrained models, and the smallest effect of interest."""
    lead, interest = smallest_effect(chosen, plan)
    trained, untrained = {}, {}
    for each in plan.estimands:
        found = contrast(chosen.test, chosen.test_totals, each.weights, plan.level)
        if found is None:
            continue
        trained[each.key] = found
        of_shapes: dict[str, float] = {}
        for name, weight in each.weights.items():
            shape = f"untrained {name.removesuffix('+aux')}"
            of_shapes[shape] = of_shapes.get(shape, 0.0) + weight
        of_shapes = {name: weight for name, weight in of_shapes.items() if weight}
        random = contrast(chosen.test, chosen.test_totals, of_shapes, plan.level) if of_shapes else None
        if random is not None:
            untrained[each.key] = random
    missing = np.full(interest.shape, np.nan)
    nothing = CrossedInterval(missing, missing, missing, missing, missing, missing, 0, 0)
    return OutcomeEffects(lead or nothing, interest, trained, untrained)


def artifact(found: OutcomeEffects, key: str) -> Array:
    """Sign of the untrained models' effect where it excludes zero and is of interest, else 0."""
    random = found.untrained.get(key)
    if random is None:
        return np.zeros(found.interest.shape)
    flagged = ((random.low > 0) | (random.high < 0)) & (np.abs(random.value) >= found.interest)
    return np.where(flagged, np.sign(random.value), 0.0)


def leads(chosen: Chosen, plan: Plan = PLAN) -> dict[tuple[str, str], CrossedInterval]:
    """Each condition's lead over each baseline on test speakers: MFCC, log-mel and the untrained model of its shape."""
    found = {}
    for condition in CONDITIONS:
        for baseline in ("mfcc", "mel", f"untrained {condition.removesuffix('+aux')}"):
            lead = contrast(chosen.test, chosen.test_totals, {condition: 1.0, baseline: -1.0}, plan.level)
            if lead is not None:
                found[condition, baseline] = lead
    return found


def conclude(
    outcomes: Sequence[tuple[str, OutcomeEffects]], *, learned: npt.NDArray[np.bool_] | bool, plan: Plan = PLAN
) -> Decisions:
    """Decide on the claims from the effects on the primary outcomes.

    Parameters
    ----------
    outcomes
        Key and effects of each primary outcome, all estimands present.
    learned
        Whether the models passed the first gate.
    """
    found = [each for _, each in outcomes]

    def gathered(key: str) -> Effect:
        parts = [each.effects[key] for each in found]
        return Effect(
            np.stack([part.value for part in parts], -1),
            np.stack([part.error for part in parts], -1),
            np.stack([part.df for part in parts], -1),
            np.stack([artifact(each, key) for each in found], -1),
        )

    return decide(
        auxiliary=gathered("auxiliary"),
        downsampling=gathered("downsampling"),
        difference=gathered("difference"),
        control=gathered("control"),
        interest=np.stack([each.interest for each in found], -1),
        tasks=np.array([plan.outcome(key).group == "tasks" for key, _ in outcomes]),
        learned=learned,
        seeds=min(part.seeds for each in found for part in each.effects.values()),
        plan=plan,
    )
