"""Scores of the controlled experiment on test speakers, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from multires.experiment.plan import CONDITIONS, PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.figures.empty import nothing
from multires.report.figures.layers import layer_curves
from multires.report.figures.paired import curves_with_differences
from multires.report.names import seed_count, speech_name

_FORMS = {"averaged": "20 ms layers averaged to 40 ms", "decimated": "20 ms layers decimated to 40 ms"}

_ACOUSTIC = {"mfcc": "MFCC", "mel": "log-mel"}


def outcome_layers(
    experiments: Sequence[ExperimentTables],
    outcomes: Sequence[str],
    *,
    ylabel: str,
    forms: bool = False,
    differences: bool = False,
) -> Figure:
    """Scores of every layer of the experiment's models on test speakers: a row for each corpus.

    Parameters
    ----------
    experiments
        One or more corpora.
    outcomes
        Keys of outcomes of the plan, a panel each. Outcomes without layers are left out.
    ylabel
        Of the figure.
    forms
        Whether 20 ms layers that are averaged to 40 ms and those of which every second frame is kept have panels of
        their own; otherwise the averaged ones are drawn.
    differences
        Whether the difference of each condition from its control is drawn beside the curves (see `seed_differences`).
    """
    parts, titles, references = [], {}, {}
    compared = []
    for each in experiments:
        for outcome in outcomes:
            rows = each.layers(outcome)
            name = PLAN.outcome(outcome).name
            for form in ("averaged", "decimated") if forms else ("averaged",):
                panel = f"{outcome}, {form}, {each.corpus}"
                kept = rows[rows["form"].isin([form, "native"]) & rows["layer_index"].notna()]
                parts.append(kept.assign(panel=panel, condition=kept["condition"].str.replace("untrained ", "")))
                shown = _FORMS[form] if forms else name.partition(", ")[0]
                titles[panel] = shown if len(experiments) == 1 else f"{shown}, {speech_name(each.corpus)}"
                if differences:
                    compared.append(seed_differences(each, outcome).assign(panel=panel))
                references[panel] = dict(kept[kept["labels"] == "true"].groupby("condition")["value"].max())
    if not any(map(len, parts)):
        return nothing(", ".join(speech_name(each.corpus) for each in experiments))
    table = pd.concat(parts, ignore_index=True)
    acoustic = table["condition"].isin(list(_ACOUSTIC))
    true = table["labels"] == "true"
    lines = {
        label: {panel: values[name] for panel, values in references.items() if name in values}
        for name, label in _ACOUSTIC.items()
    }
    title = "; ".join([
        ", ".join(speech_name(each.corpus) for each in experiments), "the experiment's models, test speakers",
        f"mean over {seed_count([each.seeds for each in experiments])}",
    ])  # fmt: skip
    curves, shuffled = table[true & ~acoustic], table[~true & ~acoustic]
    if differences:
        return curves_with_differences(
            curves, pd.concat(compared, ignore_index=True), panels="panel", ylabel=ylabel, title=title,
            panel_titles=titles, baselines=shuffled, references=lines,
        )  # fmt: skip
    return layer_curves(
        curves, panels="panel", ylabel=ylabel, panel_titles=titles, references=lines, title=title, baselines=shuffled,
        columns=2,
    )  # fmt: skip


def seed_differences(experiment: ExperimentTables, outcome: str) -> pd.DataFrame:
    """The best layer of each condition less that of the 20 ms control with the same loss, paired by seed.

    Layers are those that development speakers chose.

    Returns
    -------
    DataFrame
        Columns condition, model (equal to it), against_condition, value (mean over seeds), low and high (their range).
    """
    scores = experiment.by_seed(outcome).pivot_table(index="seed", columns="condition", values="value")
    rows = []
    for condition in (name for name in CONDITIONS if name in scores):
        control = "mono+aux" if condition.endswith("+aux") else "mono"
        if condition == control or control not in scores:
            continue
        paired = (scores[condition] - scores[control]).dropna()
        if len(paired):
            rows.append({
                "condition": condition, "model": condition, "against_condition": control, "value": paired.mean(),
                "low": paired.min(), "high": paired.max(),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["condition", "model", "against_condition", "value", "low", "high"])
