"""Meaning of the results for a reader who chooses or trains a model, from the tables of the experiment and of costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.answer import leading
from multires.report.escape import for_markdown
from multires.report.names import condition_name, listed, speech_name
from multires.report.sentences import verdict_of, with_interval
from multires.report.verdicts import CONTRADICTS, NEITHER, NOTHING, SUPPORTS, UNTESTED

_CHOOSE = {
    SUPPORTS: "No gain in accuracy is to be expected from the lower resolution: take a model that downsamples for its cost.",
    CONTRADICTS: "The lower resolution brings a gain here, so that such a model is worth trying for its scores too.",
}
_CHOOSE_OPEN = (
    "Whether the lower resolution changes accuracy is not settled here: compare both kinds of model on your own task."
)
_TRAIN = {
    SUPPORTS: "Add the auxiliary loss first, and treat the downsampling as a way to save.",
    CONTRADICTS: "Do not expect the auxiliary loss alone to bring the gain.",
    NEITHER: "The two switches contribute alike: decide by cost.",
    NOTHING: "At this scale both switches together do not beat a plain HuBERT, which is the simplest start.",
}
_TRAIN_OPEN = "Where a gain comes from is left open here: train with each switch alone before you adopt both."


def advice(experiments: Sequence[ExperimentTables], judged: pd.DataFrame) -> str:
    """Advice in Markdown: for who chooses a model, who trains one, who reads its layers, and how far it carries.

    Parameters
    ----------
    experiments
        The experiments; the one that the landing page shows is spoken of.
    judged
        The evidence on the third claim, as `multires.report.verdicts.judge` gives it.
    """
    main = leading(experiments)
    if main is None:
        return "Without the tables of the controlled experiment nothing can be advised."
    if len(main.carries) and not main.carries["carries"].astype(bool).all():
        return "These models did not learn enough to be compared, so that nothing is advised from them."
    parts = [
        f"**If you choose a model.** {_saving(judged)} {_of(main, 2, _CHOOSE, _CHOOSE_OPEN)} {_size(main, 'downsampling', 'downsampling')}",
        f"**If you train one.** {_of(main, 1, _TRAIN, _TRAIN_OPEN)} {_size(main, 'auxiliary', 'the auxiliary loss')}",
        _layers(main),
        f"**How far this carries.** All of it is from small models on {for_markdown(speech_name(main.corpus))}. Larger models, more "
        "data or another language can turn it: [run the same tables on your model](../book/rerun) before you rely on it, and look "
        "at more than one seed.",
    ]
    return "\n\n".join(" ".join(part.split()) for part in parts if part)


def _of(main: ExperimentTables, claim: int, known: dict[str, str], otherwise: str) -> str:
    verdict = verdict_of(main, claim)
    return known.get(verdict, otherwise if verdict != UNTESTED else "It could not be tested here.")


def _saving(judged: pd.DataFrame) -> str:
    """The cost with downsampling over that without: operations where they were counted, else time."""
    rows = judged[judged["claim"].eq(3) & judged["value"].notna()]
    if rows.empty:
        return "What downsampling saves could not be measured in this run."
    counted = rows[~rows["evidence"].astype(str).str.startswith("time")]
    row = (rows if counted.empty else counted).iloc[0]
    what = "operations" if len(counted) else "time"
    longest = str(row["evidence"]).rpartition(", ")[2]
    return f"Downsampling takes {float(row['value']):.2f} of the {what} of the same model at 20 ms, on {longest} of speech."


def _size(main: ExperimentTables, estimand: str, name: str) -> str:
    """The effect of a switch on every primary task, in numbers."""
    rows = main.effects[
        main.effects["estimand"].eq(estimand) & main.effects["primary"].astype(bool) & main.effects["group"].eq("tasks")
    ]
    rows = rows[np.isfinite(rows["value"].astype(float))]
    phrases = "; ".join(f"{for_markdown(row['score'])} {with_interval(row)}" for _, row in rows.iterrows())
    if not phrases:
        return ""
    for clear, word in ((rows["high"] < 0, "lowers"), (rows["low"] > 0, "raises")):
        if clear.all():
            small = bool((rows["value"].abs() < rows["interest"]).all())
            size = "by less than is of interest" if small else "by a size of interest in at least one"
            return f"Here {name} {word} the score of every task, {size}: {phrases}."
    return f"The effect of {name} here: {phrases}."


def _layers(main: ExperimentTables) -> str:
    """The layer of each condition that development speakers chose, for the tasks that have one layer."""
    phrases: dict[str, list[str]] = {}
    for outcome in dict.fromkeys(main.chosen["outcome"]):
        rows = main.chosen[main.chosen["outcome"] == outcome]
        rows = rows[rows["condition"].isin(["hubert", "multi+aux"]) & rows["layer"].ne("weighted sum")]
        places = main.layers(str(outcome))[["condition", "layer", "layer_index"]].drop_duplicates()
        rows = rows.merge(places.dropna(), on=["condition", "layer"])
        if rows.empty:
            continue
        each = " and ".join(
            f"layer {int(row['layer_index'])} of {condition_name(row['condition'])}" for row in rows.to_dict("records")
        )
        phrases.setdefault(each, []).append(for_markdown(PLAN.outcome(str(outcome)).name))
    if not phrases:
        return ""
    return (
        "**If you read its layers.** The best layer depends on the task. Development speakers chose "
        f"{'; '.join(f'{each} for ' + listed(names) for each, names in phrases.items())}. A learned weighted sum of all layers spares the choice."
    )
