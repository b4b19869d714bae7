"""Scores of the controlled experiment on test speakers, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.figures.layers import layer_curves
from multires.report.names import seed_count, speech_name

_FORMS = {"averaged": "20 ms layers averaged to 40 ms", "decimated": "20 ms layers decimated to 40 ms"}

_ACOUSTIC = {"mfcc": "MFCC", "mel": "log-mel"}


def outcome_layers(
    experiments: Sequence[ExperimentTables], outcomes: Sequence[str], *, ylabel: str, forms: bool = False
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
    """
    parts, titles, references = [], {}, {}
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
                references[panel] = dict(kept[kept["labels"] == "true"].groupby("condition")["value"].max())
    table = pd.concat(parts, ignore_index=True)
    acoustic = table["condition"].isin(list(_ACOUSTIC))
    true = table["labels"] == "true"
    lines = {
        label: {panel: values[name] for panel, values in references.items() if name in values}
        for name, label in _ACOUSTIC.items()
    }
    return layer_curves(
        table[true & ~acoustic], panels="panel", ylabel=ylabel, panel_titles=titles, references=lines,
        title="; ".join([
            ", ".join(speech_name(each.corpus) for each in experiments), "the experiment's models, test speakers",
            f"mean over {seed_count([each.seeds for each in experiments])}",
        ]),
        baselines=table[~true & ~acoustic], columns=2,
    )  # fmt: skip
