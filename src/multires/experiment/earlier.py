"""Tables of models that were scored before the plan: means over speakers, one value for each model.

`adapt` gives them the form of the present tables, as far as they allow it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from multires.errors import MultiresError
from multires.experiment.analysis import last_fifth, summarize
from multires.experiment.contrasts import OutcomeEffects
from multires.experiment.plan import CONDITIONS, PLAN, REFERENCES
from multires.experiment.statistics import CrossedInterval, seed_interval

CELLS = ("mono", "mono+aux", "multi", "multi+aux")
"""The four U-shaped conditions: downsampling (multi) crossed with the auxiliary loss (+aux)."""

CONTRASTS: dict[str, dict[str, float]] = {
    "auxiliary loss": {"mono": -0.5, "mono+aux": 0.5, "multi": -0.5, "multi+aux": 0.5},
    "downsampling": {"mono": -0.5, "mono+aux": -0.5, "multi": 0.5, "multi+aux": 0.5},
    "interaction": {"mono": 1.0, "mono+aux": -1.0, "multi": -1.0, "multi+aux": 1.0},
    "mono - hubert": {"mono": 1.0, "hubert": -1.0},
    "multi+aux - hubert": {"multi+aux": 1.0, "hubert": -1.0},
}
"""Weights of each condition. The interaction is how much more the auxiliary loss does with downsampling than without."""

LEVEL = 0.95

TASKS = "all tasks, weighted sum"
"""The first primary outcome: the mean over the tasks of what a light head on all layers gets right."""

WORDS = "words by CCA and MI, best layer"
"""The second: the mean of CCA and normalised MI with words, each at its best layer."""

PARTS = {
    TASKS: {
        "phone accuracy, weighted sum": 1,
        "phone frame accuracy, weighted sum": 1,
        "phone error rate, weighted sum": -1,
        "word accuracy, weighted sum": 1,
        "intent accuracy, weighted sum": 1,
        "speaker accuracy, weighted sum": 1,
    },
    WORDS: {"word CCA, best layer": 1, "word MI, best layer": 1},
}
"""Scores whose means are the primary outcomes; an error rate enters as one minus itself. Chosen before conditions were
compared."""


def with_primary(table: pd.DataFrame) -> pd.DataFrame:
    """A table of scores and, first, the primary outcomes: means of those of their parts that every model has.

    Parameters
    ----------
    table
        Columns condition, seed, score, value.
    """
    wide = table.set_index(["condition", "seed", "score"])["value"].unstack()  # noqa: PD010 (no two values to aggregate)
    wide = wide[[condition in (*CELLS, "hubert") for condition, _ in wide.index]]
    means = []
    for name, parts in PARTS.items():
        found = [part for part in parts if part in wide and wide[part].notna().all()]
        if found:
            each = pd.concat([wide[part] if parts[part] > 0 else 1 - wide[part] for part in found], axis=1)
            means.append(each.mean(axis=1).rename("value").reset_index().assign(score=name))
    return pd.concat([*means, table], ignore_index=True)[["condition", "seed", "score", "value"]]


def effects(table: pd.DataFrame, *, level: float = LEVEL) -> pd.DataFrame:
    """Main effects, interaction and differences from HuBERT on each score, with Student intervals over seeds.

    Each seed gives one value of a contrast, from conditions that share its data order, targets and initial values;
    the mean over seeds is tested against zero. For the first three this is the repeated-measures analysis of
    variance with seeds as subjects (F = t squared).

    Parameters
    ----------
    table
        One number a row: columns condition, seed, score, value.
    level
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns score, effect, value (the estimate), low, high, p, n (seeds with all the conditions that the contrast
        needs) and left_out (seeds without). With one seed low, high and p are NaN. Contrasts without any complete
        seed are absent.

    Raises
    ------
    MultiresError
        Where a column is missing, a value is not finite, or a condition has two values for a seed and score.
    """
    missing = [name for name in ("condition", "seed", "score", "value") if name not in table]
    if missing:
        raise MultiresError(f"the table of scores has no column {', '.join(missing)}")
    if not np.isfinite(table["value"].to_numpy(float)).all():
        raise MultiresError("the table of scores holds values that are not finite: leave those models out")
    if table.duplicated(["condition", "seed", "score"]).any():
        raise MultiresError("the table of scores has two values for one condition, seed and score")
    rows = []
    for score, part in table.groupby("score", sort=False):
        wide = part.set_index(["seed", "condition"])["value"].unstack()  # noqa: PD010 (no two values to aggregate)
        for effect, weights in CONTRASTS.items():
            if not set(weights) <= set(wide.columns):
                continue
            complete = wide[list(weights)].dropna()
            if len(complete):
                values = complete.to_numpy(float) @ np.array(list(weights.values()))
                rows.append(
                    {"score": score, "effect": effect, **_student(values, level), "left_out": len(wide) - len(complete)}
                )
    return pd.DataFrame(rows, columns=["score", "effect", "value", "low", "high", "p", "n", "left_out"])


def _student(values: np.ndarray, level: float) -> dict[str, float]:
    n, mean = len(values), float(values.mean())
    if n < 2:
        return {"value": mean, "low": float("nan"), "high": float("nan"), "p": float("nan"), "n": n}
    error = float(values.std(ddof=1)) / np.sqrt(n)
    reach = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1)) if error > 0 else float(mean == 0)
    return {"value": mean, "low": mean - reach, "high": mean + reach, "p": p, "n": n}


def cell_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation over seeds and number of seeds of each score in each condition, ``hubert`` included."""
    grouped = table.groupby(["score", "condition"], sort=False)["value"]
    return grouped.agg(value="mean", deviation="std", n="size").reset_index()


def carries(probes: pd.DataFrame, log: pd.DataFrame, *, margin: float = 0.03, flat: float = 0.1) -> pd.DataFrame:
    """Training adequacy of a set of models, by condition.

    A condition carries it where, on held-out speakers, its best layer beats MFCC, log-mel and the untrained model of
    its shape in the phone probe by more than `margin`, the mean over seeds each time, and its loss has flattened: the
    last fifth of the steps brought no more than a share `flat` of the whole fall of the loss.

    Parameters
    ----------
    probes
        Phone probes: columns condition (``mfcc``, ``mel`` and ``untrained <architecture>`` among them), seed, layer,
        value.
    log
        Training logs: columns condition, seed, step, part, resolution, loss.

    Returns
    -------
    pandas.DataFrame
        A row a trained condition: condition, best (accuracy), mfcc, mel, untrained, baseline (the best of the three),
        baseline_name, above, last_fifth (share of the fall), beats, flattened, carries.
    """
    best = probes.groupby(["condition", "seed"])["value"].max().groupby("condition").mean()
    if absent := [name for name in ("mfcc", "mel") if name not in best]:
        raise MultiresError(f"the phone probes lack the baseline {', '.join(absent)}")
    rows = []
    for condition in (name for name in best.index if name in (*CELLS, "hubert")):
        untrained = f"untrained {condition.removesuffix('+aux')}"
        if untrained not in best:
            raise MultiresError(f"the phone probes lack the baseline {untrained}")
        baselines = best[["mfcc", "mel", untrained]]
        share = last_fifth(log[log["condition"] == condition])
        above = float(best[condition] - baselines.max())
        beats, flattened = above > margin, share <= flat
        rows.append(
            {"condition": condition, "best": best[condition], "mfcc": best["mfcc"], "mel": best["mel"],
             "untrained": best[untrained], "baseline": baselines.max(), "baseline_name": baselines.idxmax(),
             "above": above, "last_fifth": share, "beats": beats, "flattened": flattened,
             "carries": beats and flattened}
        )  # fmt: skip
    return pd.DataFrame(rows)


NOTE = (
    "These models were scored before the plan. Their tables have no speakers, so that intervals cover seeds only; the layer "
    "and the smallest effect of interest are taken from the evaluation speakers themselves; CCA is projection-weighted; "
    "ABX and phone recognition on a common grid are missing."
)
"""Stated wherever the verdicts of such tables are shown."""

_OUTCOMES = {
    "phone_classification": ("probe", "phone frame", "accuracy", "any layer"),
    "word_classification": ("probe", "word", "accuracy", "any layer"),
    "word_cca": ("cca", "word", "pwcca", "middle block"),
    "word_information": ("information", "word", "adjusted", "middle block"),
}
"""Stage, view, measure and candidates of the plan's outcomes that such tables have."""


def adapt(scores: pd.DataFrame, carried: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects and verdicts in the form of `multires.experiment.analysis.summarize`.

    Parameters
    ----------
    scores
        Every score of every model, without speakers.
    carried
        The result of `carries`.
    """
    means = scores[scores["trial"].isna() & scores["layer_index"].notna()]
    means = means.assign(condition=means["condition"].where(~means["model"].isin(["mel", "mfcc"]), means["model"]))
    middle = means.loc[means["block"].astype(str).str.startswith("middle"), "layer_index"].unique()
    found = {}
    for key, (stage, view, measure, candidates) in _OUTCOMES.items():
        part = means[means["stage"].eq(stage) & means["view"].eq(view) & means["measure"].eq(measure)]
        acoustic = part["condition"].isin(REFERENCES[:2])
        allowed = part["layer_index"].isin(middle) if candidates == "middle block" else part["block"].ne("conv")
        best = part[allowed | acoustic].groupby(["condition", "seed"])["value"].max()
        found[key] = _effects_of(best)
    return summarize(found, bool(carried["carries"].all()), {}, PLAN)


def _effects_of(best: pd.Series) -> OutcomeEffects:
    values = {name: part.droplevel("condition") for name, part in best.groupby("condition")}
    complete = sorted(set.intersection(*(set(values[name].index) for name in CONDITIONS if name in values)))
    trained = {name: values[name].loc[complete].to_numpy(float) for name in CONDITIONS if name in values}
    others = {name: float(part.mean()) for name, part in values.items() if name in REFERENCES}

    def of(weights: dict[str, float]) -> CrossedInterval:
        return seed_interval(sum(weight * trained[name] for name, weight in weights.items()))

    baseline = others.get(PLAN.interest.baseline, np.nan)  # CCA was not computed for acoustic features
    nan = np.asarray(np.nan)
    unknown = CrossedInterval(nan, nan, nan, nan, nan, nan, 0, 0)
    lead = seed_interval(trained[PLAN.interest.condition] - baseline) if np.isfinite(baseline) else unknown
    interest = np.where(np.nan_to_num(lead.low) > 0, PLAN.interest.share * lead.value, np.nan)
    estimands = {each.key: dict(each.weights) for each in PLAN.estimands if set(each.weights) <= set(trained)}
    shape = others.get("untrained multi", np.nan) - others.get("untrained mono", np.nan)
    random = {"downsampling": seed_interval([shape])} if np.isfinite(shape) else {}
    return OutcomeEffects(lead, interest, {key: of(weights) for key, weights in estimands.items()}, random)
