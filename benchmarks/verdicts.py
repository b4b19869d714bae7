"""Simulated experiments through the whole chain: how often verdicts are right, and intervals cover.

    python -m benchmarks.verdicts --json

Tables of the experiment's size (five conditions, six seeds, its development and test speakers, six primary outcomes, several
candidate layers) are drawn under known truths. Layers are chosen, smallest effects of interest estimated, intervals
computed and verdicts drawn by the code that the book uses.

- ``right_share``: the least share of right verdicts over the truths "loss", "downsampling", "none" and "noise"; the first two
  have a true effect of twice the smallest effect of interest.
- ``false_support``: the largest share of "supports" where the claim is false, also at the edge of falsehood: an effect of exactly
  the smallest size of interest, which is given there and not estimated.
- ``coverage``: of the intervals, over all truths, outcomes and estimands. What they are to cover is the contrast of the conditions
  at the layers that were chosen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from multires.experiment.contrasts import Chosen, OutcomeScores, choose_layers, conclude, effects
from multires.experiment.decisions import CONTRADICTS, NOTHING, OPEN, SUPPORTS
from multires.experiment.plan import CONDITIONS, PLAN, REFERENCES
from multires.experiment.statistics import crossed_bootstrap

LEADS = {
    "phone_classification": 0.15, "word_classification": 0.15, "phone_abx": 0.10, "phone_recognition": 0.20,
    "word_cca": 0.10, "word_information": 0.10,
}  # fmt: skip
"""True lead of HuBERT over MFCC on each outcome."""

ITEMS = {
    "phone_classification": 200, "word_classification": 14, "phone_abx": 200, "phone_recognition": 100, "word_cca": 14,
    "word_information": 14,
}  # fmt: skip
"""Items of a speaker's one utterance. Seven speakers of test-other have eight."""

CANDIDATES = {"any layer": 3, "middle block": 2, "weighted sum": 1}
"""Layers to choose from, each worse than the one before by half a smallest effect of interest."""

SHARED, OF_MODEL = 0.5, 0.3
"""Shares of the items' variance that all models have in common, since they are scored on the same items, and that the
layers of one model have in common besides."""


@dataclass(frozen=True)
class Truth:
    """What is true of simulated models, in units of the smallest effect of interest.

    Attributes
    ----------
    loss, downsampling
        Main effects.
    claims
        The right verdicts.
    false
        The claims that are false.
    seed_deviation
        Standard deviation between seeds of a condition, in the same units.
    edge
        Whether the smallest effects of interest are given. Layers are then equally good.
    """

    loss: float
    downsampling: float
    claims: Mapping[int, str] = field(default_factory=dict)
    false: tuple[int, ...] = ()
    seed_deviation: float = 0.15
    edge: bool = False


TRUTHS = {
    "loss": Truth(2.0, 0.0, {1: SUPPORTS, 2: SUPPORTS}),
    "downsampling": Truth(0.0, 2.0, {1: CONTRADICTS, 2: CONTRADICTS}, false=(1, 2)),
    "none": Truth(0.0, 0.0, {1: NOTHING, 2: SUPPORTS}, false=(1,)),
    "noise": Truth(0.0, 0.0, {1: NOTHING, 2: OPEN}, false=(1,), seed_deviation=3.0),
    "edge of claim 1": Truth(1.0, 0.0, false=(1,), edge=True),
    "edge of claim 2": Truth(0.0, 1.0, false=(1, 2), edge=True),
}
"""A gain from the loss, from the downsampling, none, and noise; and effects of exactly the smallest size of interest."""


def simulate(
    truth: Truth, tables: int, rng: np.random.Generator, *, seeds: int = 6, development: int = 25, test: int = 114,
    layers: Mapping[str, int] = CANDIDATES,
) -> list[OutcomeScores]:  # fmt: skip
    """Draw the scores of `tables` experiments on every primary outcome.

    Seeds, speakers, seeds within conditions and speakers within conditions vary at random about the truth, and so do items
    within speakers.
    """
    outcomes = []
    for outcome in PLAN.primary():
        lead = LEADS[outcome.key]
        unit = PLAN.interest.share * lead
        items = {"development": (development, 0), "test": (test, 7)}
        sizes = {role: _sizes(tables, count, long, ITEMS[outcome.key], rng) for role, (count, long) in items.items()}
        easy = {role: rng.normal(0, 0.06, (tables, 1, 1, totals.shape[1])) for role, totals in sizes.items()}
        same = {role: rng.normal(size=(tables, 1, 1, totals.shape[1])) for role, totals in sizes.items()}
        common = rng.normal(0, 0.3 * unit, (tables, 1, seeds, 1))
        cells: dict[str, dict[str, Any]] = {role: {} for role in sizes}
        for name in (*CONDITIONS, *REFERENCES):
            level = 0.35 + (lead if name in CONDITIONS else -0.1 if name.startswith("untrained") else 0.0)
            if name in CONDITIONS:
                level += unit * (truth.loss * name.endswith("+aux") + truth.downsampling * name.startswith("multi"))
                own = common + rng.normal(0, truth.seed_deviation * unit, (tables, 1, seeds, 1))
                worse = _steps(truth) * unit * np.arange(layers[outcome.candidates])
            else:
                own, worse = np.zeros((tables, 1, 1, 1)), np.zeros(1)
            for role, totals in sizes.items():
                taste = rng.normal(0, 0.15 * lead, (tables, 1, 1, totals.shape[1]))
                p = np.clip(level + own + worse[:, None, None] + easy[role] + taste, 0.001, 0.999)
                counts = totals[:, None, None, :]
                # Normal in place of binomial, which also stands for pseudo-values, which are not whole numbers.
                of_model = rng.normal(size=p[:, :1].shape)
                noise = np.sqrt(1 - SHARED - OF_MODEL) * rng.normal(size=p.shape)
                noise = noise + np.sqrt(SHARED) * same[role] + np.sqrt(OF_MODEL) * of_model
                cells[role][name] = p * counts + noise * np.sqrt(counts * p * (1 - p))
        outcomes.append(
            OutcomeScores(outcome.key, cells["development"], cells["test"], sizes["development"], sizes["test"])
        )
    return outcomes


def _sizes(tables: int, speakers: int, long: int, items: int, rng: np.random.Generator) -> np.ndarray:
    totals = np.maximum(rng.normal(items, items / 4, (tables, speakers)).round(), max(2.0, items / 10))
    totals[:, :long] *= 8
    return totals


def run(tables: int, *, seed: int = 0, batch: int = 50) -> dict[str, Any]:
    """Simulate `tables` experiments under each truth and summarize."""
    began = time.monotonic()
    rng = np.random.default_rng(seed)
    shares: dict[str, dict[str, float]] = {}
    covered: list[float] = []
    of_bootstrap: list[float] = []
    right, wrong = 1.0, 0.0
    for name, truth in TRUTHS.items():
        verdicts: dict[int, list[str]] = {1: [], 2: []}
        for first in range(0, tables, batch):
            drawn = simulate(truth, min(batch, tables - first), rng)
            chosen = [choose_layers(each) for each in drawn]
            found = [(each.key, effects(each)) for each in chosen]
            if truth.edge:
                found = [
                    (key, replace(each, interest=np.full_like(each.interest, PLAN.interest.share * LEADS[key])))
                    for key, each in found
                ]
            decided = conclude(found, learned=True)
            verdicts[1] += decided.claim_1.tolist()
            verdicts[2] += decided.claim_2.tolist()
            for of_layers, (_, each) in zip(chosen, found, strict=True):
                for estimand, interval in each.effects.items():
                    true = _true(truth, of_layers, PLAN.estimand(estimand).weights)
                    covered += ((interval.low <= true) & (true <= interval.high)).tolist()
            of_bootstrap += _bootstrap_covers(chosen[0], truth)
        shares[name] = {
            f"claim {claim}: {verdict}": round(said.count(verdict) / len(said), 4)
            for claim, said in verdicts.items()
            for verdict in sorted(set(said))
        }
        for claim, verdict in truth.claims.items():
            right = min(right, verdicts[claim].count(verdict) / tables)
        for claim in truth.false:
            wrong = max(wrong, verdicts[claim].count(SUPPORTS) / tables)
    return {
        "right_share": round(right, 4),
        "false_support": round(wrong, 4),
        "coverage": round(float(np.mean(covered)), 4),
        "coverage_percentile_bootstrap": round(float(np.mean(of_bootstrap)), 4),
        "tables": tables * len(TRUTHS),
        "intervals": len(covered),
        "shares": shares,
        "seconds": round(time.monotonic() - began, 1),
    }


def _steps(truth: Truth) -> float:
    """How much better each further candidate is, in units of the smallest effect of interest."""
    return 0.0 if truth.edge else -0.5


def _true(truth: Truth, chosen: Chosen, weights: Mapping[str, float]) -> np.ndarray:
    """The true contrast at the layers that were chosen, for each table."""
    unit = PLAN.interest.share * LEADS[chosen.key]
    parts = [
        weight * (truth.loss * name.endswith("+aux") + truth.downsampling * name.startswith("multi")
                  + _steps(truth) * chosen.index[name])
        for name, weight in weights.items()
    ]  # fmt: skip
    return unit * np.sum(parts, axis=0)


def _bootstrap_covers(chosen: Chosen, truth: Truth) -> list[bool]:
    """Whether percentiles of the crossed bootstrap cover, for one contrast of a few tables."""
    weights = PLAN.estimand("difference").weights
    few = slice(0, 10)
    cells = np.sum([weight * chosen.test[name][few] for name, weight in weights.items()], axis=0)
    replicates = crossed_bootstrap(cells, chosen.test_totals[few], draws=400)
    low, high = np.quantile(replicates, [0.025, 0.975], axis=-1)
    true = _true(truth, chosen, weights)[few]
    return [bool(inside) for inside in (low <= true) & (true <= high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=400, help="simulated experiments under each truth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    found = run(given.tables, seed=given.seed)
    if given.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
