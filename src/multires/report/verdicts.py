"""Tables to verdicts on the paper's claims.

Verdicts on the first two claims are those of the controlled experiment under its plan
(`multires.experiment.decisions`). The models of a run are described beside them and never judged: they are single
models of each condition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multires.experiment.decisions import (
    CONTRADICTS,
    EQUIVALENT,
    INFERIOR,
    NEITHER,
    NOTHING,
    OPEN,
    SUPERIOR,
    SUPPORTS,
    UNTESTED,
)
from multires.experiment.plan import INPUT_BLOCKS, PLAN
from multires.experiment.statistics import CrossedInterval, seed_interval
from multires.experiment.tables import ExperimentTables
from multires.report.names import condition_name, pair_name
from multires.results import tidy, why_empty

__all__ = [
    "CLAIMS",
    "CONTRADICTS",
    "NEITHER",
    "NOTHING",
    "OPEN",
    "SUPPORTS",
    "THIS_RUN",
    "UNTESTED",
    "judge",
    "judge_experiment",
    "summary",
]

CLAIMS = {
    1: "The gain comes from the auxiliary low-resolution loss, not from the downsampling.",
    2: "Downsampling improves neither downstream results nor the correlation with higher-level units such as words.",
    3: "Downsampling makes the model cheaper.",
}
"""As this book reads the paper (arXiv 2410.23955)."""

THIS_RUN = "this run"
"""The source of evidence from the models that a run looks at; other sources are experiments."""

CHAPTERS = {1: "05_downstream", 2: "02_cca", 3: "04_efficiency"}

_REGION_VERDICTS = {
    "difference": {SUPERIOR: SUPPORTS, INFERIOR: CONTRADICTS, EQUIVALENT: NEITHER},
    "downsampling": {SUPERIOR: CONTRADICTS, INFERIOR: SUPPORTS, EQUIVALENT: SUPPORTS},
}
"""Verdict of one outcome by the estimand and its region."""


def judge(
    *, cca: pd.DataFrame, mutual_information: pd.DataFrame, probes: pd.DataFrame, efficiency: pd.DataFrame
) -> pd.DataFrame:
    """One row for each piece of evidence from the models of a run.

    Parameters
    ----------
    cca, mutual_information, probes, efficiency
        The tables of the stages of the same names.

    Returns
    -------
    pandas.DataFrame
        Tidy, with the effect as value and further columns source, claim (1 to 3), title, evidence, low, high, verdict,
        conclusion (the source's verdict on the claim), sentence and primary. The first two claims are never decided: a
        run has no development speakers, and mostly one model of each condition.
    """
    accuracy = probes[probes["measure"] == "accuracy"]
    scores = {
        "phone probe accuracy": _best(accuracy, "phone"),
        "word probe accuracy": _best(accuracy, "word"),
        "CCA with words, middle block": _best(cca[cca["measure"] != "shuffled"], "word", middle=True),
        "adjusted MI with words, middle block": _best(
            mutual_information[mutual_information["measure"] == "adjusted"], "word", middle=True
        ),
    }
    reasons = dict(zip(scores, map(why_empty, (probes, probes, cca, mutual_information)), strict=True))
    rows = [_described(1, "difference", name, best, reasons[name]) for name, best in list(scores.items())[:2]]
    rows += [_described(2, "downsampling", name, best, reasons[name]) for name, best in scores.items()]
    costs = _cost(efficiency)
    conclusion = _of_costs([row["verdict"] for row in costs])
    return _evidence([*({**row, "conclusion": UNTESTED} for row in rows),
                      *({**row, "conclusion": conclusion} for row in costs)], THIS_RUN)  # fmt: skip


def judge_experiment(experiment: ExperimentTables) -> pd.DataFrame:
    """The controlled experiment's evidence on the first two claims: one row for each claim, outcome and estimand.

    Returns
    -------
    pandas.DataFrame
        As `judge`, with the smallest effect of interest as a further column. For claim 1 the positive control of each
        task comes first where there is nothing to attribute, else the difference of main effects.
    """
    effects = experiment.effects
    found = dict(zip(experiment.claims["claim"], experiment.claims["verdict"], strict=True))
    rows: list[dict[str, Any]] = []
    for claim, keys in ((1, ("control", "difference")), (2, ("downsampling",))):
        if found[claim] not in (NOTHING, UNTESTED):
            keys = keys[::-1]
        for key in keys:
            chosen = effects[effects["estimand"].eq(key) & effects["primary"].astype(bool)]
            chosen = chosen[chosen["group"].eq("tasks")] if claim == 1 else chosen
            rows += [{**_row(claim, row), "conclusion": found[claim]} for row in chosen.to_dict("records")]
    return _evidence(rows, experiment.title)


def _row(claim: int, row: dict[Any, Any]) -> dict[str, Any]:
    name = f"{pair_name(row['effect'])}: {row['score']}"
    return {
        "claim": claim, "evidence": name, "measure": "difference", "view": row["score"], "primary": True,
        "value": row["value"], "low": row["low"], "high": row["high"], "n": row["n"], "interest": row["interest"],
        "verdict": _verdict(row), "sentence": f"{name}: {with_interval(row)}.",
    }  # fmt: skip


def _verdict(row: dict[Any, Any]) -> str:
    """Of one outcome. An interval between inferior and equivalent supports claim 2, since it excludes a gain of interest."""
    if not np.isfinite(row["interest"]) or row["n"] < PLAN.gates.seeds:
        return UNTESTED
    if row["estimand"] == "control":
        return OPEN if row["decided"] == "gain" else NOTHING
    if row["estimand"] == "downsampling" and row["high"] < row["interest"]:
        return SUPPORTS
    return _REGION_VERDICTS[row["estimand"]].get(row["decided"], OPEN)


def with_interval(row: dict[Any, Any]) -> str:
    """An effect with its interval, in numbers."""
    if not np.isfinite(row["low"]):
        return f"{row['value']:+.3f}"
    return f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _evidence(rows: list[dict[str, Any]], source: str) -> pd.DataFrame:
    return tidy([{"primary": True, **row, "source": source, "title": CLAIMS[row["claim"]]} for row in rows])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a source and claim: its title, the source's verdict, sentences, an effect and chapter.

    The effect is the first whose own verdict is that on the claim, else the first.
    """
    rows = []
    for (source, claim), part in table[table["primary"].astype(bool)].groupby(["source", "claim"], sort=False):
        telling = part[part["verdict"] == part["conclusion"]]
        first = (part if telling.empty else telling).iloc[0]
        rows.append({
            "source": source, "claim": claim, "title": CLAIMS[int(claim)], "verdict": first["conclusion"],
            "sentence": " ".join(dict.fromkeys(part["sentence"])),
            **{name: first[name] for name in ("evidence", "value", "low", "high", "n")},
            "chapter": CHAPTERS[int(claim)] if source == THIS_RUN else "05_downstream",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _best(table: pd.DataFrame, view: str, *, middle: bool = False) -> pd.DataFrame:
    """The best single layer of each trained condition and seed; the depths of the middle block where it is asked for."""
    rows = table[(table["view"] == view) & table["trial"].isna() & table["layer_index"].notna()]
    if rows.empty:
        return pd.DataFrame()
    rows = rows[rows["trained"].astype(bool) & ~rows["block"].isin(INPUT_BLOCKS) & ~rows["model"].isin(["mel", "mfcc"])]
    if middle:
        depths = rows.loc[rows["block"].astype(str).str.startswith("middle"), "layer_index"].unique()
        rows = rows[rows["layer_index"].isin(depths)]
    return rows.groupby(["seed", "condition"])["value"].max().unstack()  # noqa: PD010 (no two values to aggregate)


def _described(claim: int, key: str, evidence: str, best: pd.DataFrame, reason: str) -> dict[str, Any]:
    """A contrast of this run's models, without a verdict; `reason` says why there are no scores, where there are none."""
    estimand = PLAN.estimand(key)
    name = pair_name(estimand.name)
    common = {"claim": claim, "evidence": f"{name}: {evidence}", "measure": "difference", "view": evidence,
              "verdict": UNTESTED}  # fmt: skip
    found = _contrast(best, dict(estimand.weights))
    if found is None:
        why = reason or (
            "no model of this run was trained"
            if best.empty
            else f"it lacks one of {', '.join(map(condition_name, estimand.weights))}"
        )
        return {**common, "sentence": f"This run cannot describe it: {why}."}
    seeds = f"{found.seeds} seeds of each condition" if found.seeds > 1 else "one model of each condition"
    row = {"value": float(found.value), "low": float(found.low), "high": float(found.high), "n": found.seeds}
    why = "which is no test of the claim; the controlled experiment is"
    return {**common, **row, "sentence": f"{name}, {evidence}: {with_interval(row)} with {seeds}, {why}."}


def _contrast(best: pd.DataFrame, weights: dict[str, float]) -> CrossedInterval | None:
    if not set(weights) <= set(best.columns):
        return None
    complete = best[list(weights)].dropna()
    return seed_interval(complete.to_numpy(float) @ np.array(list(weights.values()))) if len(complete) else None


def _of_costs(verdicts: list[str]) -> str:
    """Claim 3: supported where some measurement supports it and none contradicts it, and the other way round."""
    found = set(verdicts)
    if SUPPORTS in found and CONTRADICTS not in found:
        return SUPPORTS
    return CONTRADICTS if CONTRADICTS in found and SUPPORTS not in found else OPEN


def _cost(efficiency: pd.DataFrame) -> list[dict[str, Any]]:
    """Claim 3: time and operations of the model that downsamples over those of the same model that does not."""
    rows: list[dict[str, Any]] = []
    timed = efficiency[
        (efficiency["measure"] == "ratio") & (efficiency["model"] == "multi") & (efficiency["batch"] == 1)
    ]
    for against in ("mono", "hubert"):
        part = timed[timed["view"] == against]
        if part.empty:
            continue
        longest = part.loc[part["duration"].idxmax()]
        evidence = f"time, MR-HuBERT / {condition_name(against)}, {longest['duration']:.0f} s"
        common: dict[str, Any] = {"claim": 3, "evidence": evidence, "measure": "ratio", "view": against}
        named = "the same model without downsampling" if against == "mono" else "HuBERT"
        if pd.isna(longest["value"]):
            why = f"Its time beside {named} could not be measured ({longest['note']})."
            rows.append({**common, "verdict": OPEN, "sentence": why})
            continue
        value, low, high = (float(longest[name]) for name in ("value", "low", "high"))
        verdict = SUPPORTS if high < 1 else CONTRADICTS if low > 1 else OPEN
        sentence = f"On {longest['duration']:.0f} s of speech it takes {value:.2f} [{low:.2f}, {high:.2f}] of the time of {named}."
        rows.append({**common, "value": value, "low": low, "high": high, "n": int(longest["n"]), "verdict": verdict,
                     "sentence": sentence})  # fmt: skip
    counted = efficiency[
        (efficiency["measure"] == "macs_ratio") & (efficiency["model"] == "multi") & (efficiency["view"] == "mono")
    ]
    if len(counted):
        longest = counted.loc[counted["duration"].idxmax()]
        value = float(longest["value"])
        rows.append({
            "claim": 3, "evidence": f"operations, MR-HuBERT / 20 ms control, {longest['duration']:.0f} s", "measure": "ratio",
            "view": "mono", "value": value, "low": value, "high": value, "n": 1,
            "verdict": SUPPORTS if value < 1 else CONTRADICTS,
            "sentence": f"Counted, it needs {value:.2f} of the operations on {longest['duration']:.0f} s.",
        })  # fmt: skip
    return rows
