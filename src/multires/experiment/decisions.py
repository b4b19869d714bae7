"""Regions of effects and verdicts on claims, from intervals alone.

Everything here is a function of arrays whose last axis are outcomes; leading axes are independent tables. The rules
are those of the book's page on the plan, and monotone: an interval inside another never undoes a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multires.experiment.plan import PLAN, Plan
from multires.measures.student import half_width, one_sided_p

SUPERIOR, EQUIVALENT, INFERIOR, UNDECIDED = "superior", "equivalent", "inferior", "undecided"
"""Regions of an effect."""

SUPPORTS, CONTRADICTS, NEITHER, OPEN, NOTHING, UNTESTED = (
    "supports", "contradicts", "neither switch dominates", "leaves open", "nothing to attribute at this scale",
    "not tested",
)  # fmt: skip
"""Verdicts on a claim."""

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Effect:
    """One estimand on several outcomes.

    Attributes
    ----------
    value, error, df
        Estimates, standard errors and degrees of freedom, shape (..., outcomes).
    artifact
        Sign of an effect of at least the smallest size of interest in untrained models, else 0.
    """

    value: Array
    error: Array
    df: Array
    artifact: Array

    def limits(self, level: float) -> tuple[Array, Array]:
        """Limits of the intervals."""
        reach = half_width(self.error, self.df, level)
        return self.value - reach, self.value + reach

    def p_above(self, bound: Array | float) -> Array:
        """One-sided p of the hypothesis that the effect is at most `bound`."""
        return one_sided_p(self.value - bound, self.error, self.df)

    def p_below(self, bound: Array | float) -> Array:
        """One-sided p of the hypothesis that the effect is at least `bound`."""
        return one_sided_p(bound - self.value, self.error, self.df)

    def take(self, columns: npt.NDArray[np.intp]) -> Effect:
        """The same for some of the outcomes."""
        return Effect(*(part[..., columns] for part in (self.value, self.error, self.df, self.artifact)))


@dataclass(frozen=True)
class Decisions:
    """Decisions drawn from a table.

    Attributes
    ----------
    difference
        Region of the difference of main effects on each task, after Holm's correction and without artifacts.
    downsampling
        Region of the effect of downsampling on each outcome, the same.
    gained
        Whether the positive control holds on each task.
    claim_1, claim_2
        Verdicts.
    """

    difference: Names
    downsampling: Names
    gained: Flags
    claim_1: Names
    claim_2: Names


def holm(p: Array, family: Flags, alpha: float) -> Flags:
    """Rejections by Holm's method along the last axis.

    Parameters
    ----------
    p
        Shape (..., tests).
    family
        Which tests belong to the family; the others are never rejected.
    alpha
        Error of the family.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]), np.array([True, True, True]), 0.05)
    array([ True, False, False])
    """
    family = np.broadcast_to(family, p.shape)
    values = np.where(family, p, np.inf)
    order = np.argsort(values, axis=-1, kind="stable")
    ranks = np.arange(p.shape[-1])
    left = family.sum(-1, keepdims=True) - ranks
    passes = np.take_along_axis(values, order, -1) <= alpha / np.maximum(left, 1)
    stepped = np.logical_and.accumulate(passes, axis=-1)
    rejected = np.zeros(p.shape, bool)
    np.put_along_axis(rejected, order, stepped, -1)
    return rejected & family


def regions(effect: Effect, interest: Array) -> tuple[Names, Array]:
    """The region that each effect most likely lies in, and the one-sided p of its lying elsewhere.

    The interval of level 1 - 2a lies within the region if and only if p is at most a.

    Parameters
    ----------
    effect
        The estimates.
    interest
        Smallest effects of interest, shape (..., outcomes).
    """
    p = np.stack([
        effect.p_above(interest),
        np.maximum(effect.p_above(-interest), effect.p_below(interest)),
        effect.p_below(-interest),
    ])  # fmt: skip
    best = p.argmin(0)
    return np.array([SUPERIOR, EQUIVALENT, INFERIOR])[best], np.take_along_axis(p, best[None], 0)[0]


def decide(
    *,
    auxiliary: Effect,
    downsampling: Effect,
    difference: Effect,
    control: Effect,
    interest: Array,
    tasks: Flags,
    learned: Flags | bool = True,
    seeds: int = PLAN.gates.seeds,
    plan: Plan = PLAN,
) -> Decisions:
    """Regions of the primary tests and verdicts on the first two claims.

    Parameters
    ----------
    auxiliary, downsampling, difference, control
        The plan's estimands of these keys on the primary outcomes, shape (..., outcomes).
    interest
        Smallest effect of interest of each outcome; NaN where there is none, which leaves the outcome out.
    tasks
        Which outcomes are tasks, shape (outcomes,); the others are about words.
    learned
        Whether the models passed the first gate, shape (...).
    seeds
        Complete seeds.
    plan
        Holds the levels.
    """
    usable = np.isfinite(interest)
    margin = np.where(usable, interest, 1.0)
    alpha = plan.family_error / 2
    on_tasks = np.flatnonzero(tasks)
    task_usable, task_margin = usable[..., on_tasks], margin[..., on_tasks]
    gap, gain, loss = (each.take(on_tasks) for each in (difference, control, auxiliary))
    names_1, p_1 = regions(gap, task_margin)
    names_2, p_2 = regions(downsampling, margin)
    family = np.concatenate([task_usable, usable], axis=-1)
    sure = holm(np.concatenate([p_1, p_2], axis=-1), family, alpha)
    region_1 = _counted(names_1, sure[..., : len(on_tasks)], gap)
    region_2 = _counted(names_2, sure[..., len(on_tasks) :], downsampling)
    gained = holm(gain.p_above(0.0), task_usable, alpha)

    low, high = gap.limits(plan.level)
    not_below = ((low > -task_margin) | ~task_usable).all(-1)
    not_above = ((high < task_margin) | ~task_usable).all(-1)
    loss_low, _ = loss.limits(plan.level)
    superior = (gained & (region_1 == SUPERIOR) & (loss_low > 0)).any(-1)
    inferior = (gained & (region_1 == INFERIOR)).any(-1)
    enough = np.asarray(seeds >= plan.gates.seeds)
    tested = np.asarray(learned) & enough
    claim_1 = np.select(
        [~(enough & task_usable.any(-1)), ~gained.any(-1), ~tested, superior & not_below, inferior & not_above,
         not_below & not_above],
        [UNTESTED, NOTHING, UNTESTED, SUPPORTS, CONTRADICTS, NEITHER],
        OPEN,
    )  # fmt: skip

    _, top = downsampling.limits(plan.level)
    below = ((top < margin) | ~usable).all(-1)
    both = task_usable.any(-1) & (usable & ~tasks).any(-1)
    claim_2 = np.select(
        [~(tested & usable.any(-1)), (region_2 == SUPERIOR).any(-1), below & both],
        [UNTESTED, CONTRADICTS, SUPPORTS],
        OPEN,
    )
    return Decisions(region_1, region_2, gained, claim_1, claim_2)


def _counted(names: Names, sure: Flags, effect: Effect) -> Names:
    """Regions of which Holm's method is sure, without those that untrained models reach too."""
    artifact = ((names == SUPERIOR) & (effect.artifact > 0)) | ((names == INFERIOR) & (effect.artifact < 0))
    return np.where(sure & ~artifact, names, UNDECIDED)
