"""From a table of speakers' scores to the tables that figures and sentences read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from multires.errors import MultiresError
from multires.experiment import contrasts
from multires.experiment.contrasts import Chosen, OutcomeEffects, OutcomeScores
from multires.experiment.decisions import UNDECIDED, Effect, regions
from multires.experiment.plan import CONDITIONS, PLAN, REFERENCES, Plan
from multires.experiment.statistics import CrossedInterval

_LOG = logging.getLogger(__name__)

SCORE_COLUMNS = (
    "outcome", "condition", "seed", "role", "layer", "form", "labels", "candidate", "speaker", "correct", "total",
)  # fmt: skip
"""A row for each model, layer and speaker.

`role` is development or test, `form` native, averaged or decimated, `labels` true or shuffled, `candidate` whether
development speakers may choose the layer, and `correct` may be a pseudo-value times `total`.
"""


@dataclass(frozen=True)
class Analysis:
    """Everything that is drawn from one table of scores.

    Attributes
    ----------
    chosen
        outcome, condition, layer, form, and its development and test score.
    effects
        A row for each outcome and estimand: see `effect_rows`.
    learned
        The first gate, a row for each condition.
    claims
        claim, verdict.
    """

    chosen: pd.DataFrame
    effects: pd.DataFrame
    learned: pd.DataFrame
    claims: pd.DataFrame


def analyze(scores: pd.DataFrame, training: pd.DataFrame, plan: Plan = PLAN) -> Analysis:
    """Apply the plan to the scores of all models.

    Parameters
    ----------
    scores
        The columns of `SCORE_COLUMNS`.
    training
        The training logs: condition, seed, step, part, resolution, loss.
    plan
        The rules.

    Raises
    ------
    MultiresError
        Where a column is missing, a model was scored on other items than the others, or a condition has no complete
        seed.
    """
    if missing := [name for name in SCORE_COLUMNS if name not in scores]:
        raise MultiresError(f"the table of scores has no column {', '.join(missing)}")
    rows = scores[scores["candidate"].astype(bool) & scores["labels"].eq("true")]
    picked, places, left_out = {}, [], {}
    for outcome in plan.outcomes:
        part = rows[rows["outcome"] == outcome.key]
        if part.empty:
            continue
        if absent := {"development", "test"} - set(part["role"]):
            if outcome.key == plan.gates.learned_outcome:
                raise MultiresError(f"{outcome.key}: no {sorted(absent)[0]} speaker has been scored")
            _LOG.warning("%s is left out: no %s speaker has been scored", outcome.name, " or ".join(sorted(absent)))
            continue
        arrays, candidates, left_out[outcome.key] = arrange(part, outcome.key)
        picked[outcome.key] = contrasts.choose_layers(arrays)
        places += _places(picked[outcome.key], candidates)
    if plan.gates.learned_outcome not in picked:
        raise MultiresError(
            f"{plan.outcome(plan.gates.learned_outcome).name} was not scored, and the first gate needs it"
        )
    gate = learned(picked[plan.gates.learned_outcome], training, plan)
    found = {key: contrasts.effects(each, plan) for key, each in picked.items()}
    table, claims = summarize(found, bool(gate["carries"].all()), left_out, plan)
    return Analysis(pd.DataFrame(places), table, gate, claims)


def arrange(rows: pd.DataFrame, outcome: str) -> tuple[OutcomeScores, dict[str, list[tuple[str, str]]], int]:
    """One outcome's scores as arrays, the layer and form of each condition's candidates, and how many seeds were left out.

    A seed counts where all conditions that were trained at all have it.
    """
    seeds = {
        name: set(rows.loc[rows["condition"] == name, "seed"])
        for name in CONDITIONS
        if (rows["condition"] == name).any()
    }
    complete = sorted(set.intersection(*seeds.values())) if seeds else []
    if not complete:
        raise MultiresError(f"{outcome}: no seed has been scored in every condition")
    speakers, totals = {}, {}
    for role in ("development", "test"):
        of_role = rows[rows["role"] == role]
        counts = of_role.groupby("speaker")["total"].agg(["min", "max"])
        if counts.empty:
            raise MultiresError(f"{outcome}: no {role} speaker has been scored")
        if not np.allclose(counts["min"], counts["max"]):
            speaker = (counts["max"] - counts["min"]).idxmax()
            raise MultiresError(
                f"{outcome}: models were scored on different items of speaker {speaker}; score them again"
            )
        speakers[role], totals[role] = list(counts.index), counts["max"].to_numpy(float)
    cells: dict[str, dict[str, Any]] = {"development": {}, "test": {}}
    candidates = {}
    for name in (*CONDITIONS, *REFERENCES):
        part = rows[rows["condition"] == name]
        if part.empty:
            continue
        pairs = list(zip(part["layer"], part["form"], strict=True))
        candidates[name] = list(dict.fromkeys(pairs))
        codes = {pair: code for code, pair in enumerate(candidates[name])}
        part = part.assign(candidate=[codes[pair] for pair in pairs])
        if name in CONDITIONS:
            part = part[part["seed"].isin(complete)]
        for role, names in speakers.items():
            cells[role][name] = _cube(
                part[part["role"] == role], len(candidates[name]), names, f"{outcome}, {name}, {role}"
            )
    arrays = OutcomeScores(outcome, cells["development"], cells["test"], totals["development"], totals["test"])
    return arrays, candidates, len(set.union(*seeds.values())) - len(complete)


def _cube(part: pd.DataFrame, candidates: int, speakers: Sequence[str], where: str) -> npt.NDArray[np.float64]:
    """Correct items by candidate, seed and speaker."""
    seeds = sorted(part["seed"].unique())
    shape = (candidates, len(seeds), len(speakers))
    places = (
        part["candidate"].to_numpy(),
        np.searchsorted(seeds, part["seed"]),
        pd.Index(speakers).get_indexer(part["speaker"]),
    )
    flat = np.ravel_multi_index(places, shape)
    if len(flat) != np.prod(shape) or len(np.unique(flat)) != len(flat):
        raise MultiresError(f"{where}: {len(flat)} scores where {np.prod(shape)} are needed, one for each layer, seed and "
                            "speaker; score the missing models or leave them out")  # fmt: skip
    cube = np.empty(shape)
    cube.ravel()[flat] = part["correct"].to_numpy(float)
    return cube


def _places(chosen: Chosen, candidates: Mapping[str, list[tuple[str, str]]]) -> list[dict[str, Any]]:
    return [
        {
            "outcome": chosen.key, "condition": name, "layer": candidates[name][int(place)][0],
            "form": candidates[name][int(place)][1],
            "development": chosen.development[name].sum(-1).mean() / chosen.development_totals.sum(),
            "test": chosen.test[name].sum(-1).mean() / chosen.test_totals.sum(),
        }
        for name, place in chosen.index.items()
    ]  # fmt: skip


def learned(chosen: Chosen, training: pd.DataFrame, plan: Plan = PLAN) -> pd.DataFrame:
    """The first gate: each condition's leads over the baselines on test speakers, and whether its loss is flat.

    Returns
    -------
    pandas.DataFrame
        condition, best (its score), mfcc, mel, untrained (theirs), baseline and baseline_name (of the smallest lead),
        above, low, high (the smallest lead with its interval), last_fifth (share of the loss's fall), beats, flattened,
        carries.
    """
    means = {name: float(cells.sum(-1).mean() / chosen.test_totals.sum()) for name, cells in chosen.test.items()}
    all_leads = contrasts.leads(chosen, plan)
    rows = []
    for condition in (name for name in CONDITIONS if name in means):
        untrained = f"untrained {condition.removesuffix('+aux')}"
        baselines = ("mfcc", "mel", untrained)
        if absent := [name for name in baselines if name not in means]:
            raise MultiresError(f"the first gate needs the scores of {', '.join(absent)}")
        least = min(baselines, key=lambda name: float(all_leads[condition, name].low))
        lead = all_leads[condition, least]
        share = last_fifth(training[training["condition"] == condition])
        beats = bool(lead.low > plan.gates.learned_margin)
        flat = 0 <= share <= plan.gates.last_fifth
        rows.append(
            {"condition": condition, "best": means[condition], "mfcc": means["mfcc"], "mel": means["mel"],
             "untrained": means[untrained], "baseline": means[least], "baseline_name": least,
             "above": float(lead.value), "low": float(lead.low), "high": float(lead.high), "last_fifth": share,
             "beats": beats, "flattened": flat, "carries": beats and flat}
        )  # fmt: skip
    return pd.DataFrame(rows)


def last_fifth(log: pd.DataFrame) -> float:
    """The share of the fall of the finest resolution's loss that the last fifth of the steps brought.

    On held-out speech where it was scored; the mean over seeds; infinite where the loss did not fall, negative where
    it rises at the end.
    """
    fine = log[log["resolution"] == 0]
    part = "held out" if (fine["part"] == "held out").any() else "train"
    curve = fine[fine["part"] == part].groupby("step")["loss"].mean()
    if len(curve) < 5:
        raise MultiresError(f"a training log of {len(curve)} rows is too short to see whether the loss has flattened")
    fall = curve.iloc[0] - curve.iloc[-1]
    late = np.interp(0.8 * curve.index[-1], curve.index.to_numpy(float), curve.to_numpy())
    return float((late - curve.iloc[-1]) / fall) if fall > 0 else float("inf")


def summarize(
    found: Mapping[str, OutcomeEffects], passed: bool, left_out: Mapping[str, int], plan: Plan = PLAN
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects as a tidy table, and verdicts on the first two claims.

    Parameters
    ----------
    found
        Effects by key of the outcome.
    passed
        Whether the models passed the first gate.
    left_out
        Seeds that were left out, by key of the outcome.

    Returns
    -------
        The effects (see `effect_rows`) with the column ``decided``, and a table with the columns claim and verdict.
    """
    needed = {"auxiliary", "downsampling", "difference", "control"}
    primary = [(each.key, found[each.key]) for each in plan.primary() if each.key in found]
    primary = [(key, each) for key, each in primary if needed <= set(each.effects)]
    rows = [row for key, each in found.items() for row in effect_rows(key, each, left_out.get(key, 0), plan)]
    table = pd.DataFrame(rows)
    if not primary:
        return table.assign(decided=""), pd.DataFrame({"claim": [1, 2], "verdict": ["not tested"] * 2})
    decisions = contrasts.conclude(primary, learned=passed, plan=plan)
    keys = [key for key, _ in primary]
    tasks = [key for key in keys if plan.outcome(key).group == "tasks"]
    decided = {(key, "difference"): str(name) for key, name in zip(tasks, decisions.difference, strict=True)}
    decided |= {(key, "downsampling"): str(name) for key, name in zip(keys, decisions.downsampling, strict=True)}
    gained = dict(zip(tasks, decisions.gained, strict=True))
    decided |= {(key, "control"): "gain" if gained[key] else "no gain shown" for key in tasks}
    table["decided"] = [decided.get(pair, "") for pair in zip(table["outcome"], table["estimand"], strict=True)]
    verdicts = {1: str(decisions.claim_1), 2: str(decisions.claim_2)}
    return table, pd.DataFrame({"claim": list(verdicts), "verdict": list(verdicts.values())})


def effect_rows(key: str, found: OutcomeEffects, left_out: int, plan: Plan = PLAN) -> list[dict[str, Any]]:
    """One row for each estimand.

    Columns: outcome, score (its name), group, primary, estimand, effect (its name), value, low, high, error, df, p (sign
    flips over seeds), n (seeds), speakers, left_out, lead, interest, region (of the interval), untrained, untrained_low,
    untrained_high, flagged (untrained models show it).
    """
    outcome = plan.outcome(key)
    rows = []
    for each in plan.estimands:
        if each.key not in found.effects:
            continue
        effect = found.effects[each.key]
        random = found.untrained.get(each.key)
        rows.append({
            "outcome": key, "score": outcome.name, "group": outcome.group, "primary": outcome.primary,
            "estimand": each.key, "effect": each.name, "value": float(effect.value), "low": float(effect.low),
            "high": float(effect.high), "error": float(effect.error), "df": float(effect.df),
            "p": float(effect.p_seeds), "n": effect.seeds, "speakers": effect.speakers, "left_out": left_out,
            "lead": float(found.lead.value), "interest": float(found.interest),
            "region": _region(effect, float(found.interest), plan),
            **{f"untrained{end}": float(getattr(random, name)) if random else np.nan
               for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))},
            "flagged": bool(contrasts.artifact(found, each.key) != 0),
        })  # fmt: skip
    return rows


def _region(effect: CrossedInterval, interest: float, plan: Plan) -> str:
    if not np.isfinite([float(effect.error), interest]).all():
        return UNDECIDED
    one = Effect(*(np.atleast_1d(part) for part in (effect.value, effect.error, effect.df, np.zeros(1))))
    names, p = regions(one, np.array([interest]))
    return str(names[0]) if p[0] <= (1 - plan.level) / 2 else UNDECIDED
