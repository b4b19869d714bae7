"""The book's answer in one paragraph, from the tables of the controlled experiment and of costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.escape import for_markdown
from multires.report.names import number_name, pair_name, speech_name
from multires.report.sentences import claim_1, claim_2, loss_and_words
from multires.report.verdicts import UNTESTED, with_interval

PAPER_HOURS = 960
"""Hours of LibriSpeech that the published models are trained on."""

_ASKED = (
    "MR-HuBERT differs from HuBERT in two ways: its middle layers work every 40 ms instead of every 20 ms, and they have a "
    "training loss of their own. The paper attributes its gain to the loss and says that the lower resolution only makes it "
    "cheaper."
)


def leading(experiments: Sequence[ExperimentTables]) -> ExperimentTables | None:
    """The experiment that the landing page shows: the one on real speech where there is one."""
    real = [each for each in experiments if each.corpus != "synthetic"]
    found = real or list(experiments)
    return found[-1] if found else None


def answer(
    experiments: Sequence[ExperimentTables], judged: pd.DataFrame, sensitivity: pd.DataFrame | None = None
) -> str:
    """The question, the finding, its certainty and its limits, in Markdown.

    Parameters
    ----------
    experiments
        All of them; the one on real speech leads.
    judged
        The evidence on the third claim, as `multires.report.verdicts.judge` gives it.
    sensitivity
        Runs with other targets, as `multires.experiment.sensitivity.compare_runs` writes them.
    """
    main = leading(experiments)
    if main is None:
        found = "The tables of the controlled experiment are not in this version, so that this book cannot say which of the two it is."
        return f"**What was asked.** {_ASKED} **What is found.** {found} {_cost(judged)}".strip()
    conditions = [name for name in dict.fromkeys(main.training["condition"]) if name != "hubert"]
    tested = (
        f"This book trains {number_name(len(conditions))} kinds of small models that differ in these two switches alone, and "
        f"HuBERT beside them, {number_name(main.seeds)} of each, and scores them on speakers that they have not heard."
    )
    others = [each for each in experiments if each is not main]
    beside = " ".join(
        f"On {for_markdown(speech_name(each.corpus))}, {claim_1(each, numbers=False)}; {claim_2(each)}."
        for each in others
    )
    shown = f"On {for_markdown(speech_name(main.corpus))}, {claim_1(main)}; {claim_2(main)}. {loss_and_words(main)} {beside}".strip().replace(
        "  ", " "
    )
    return " ".join(
        part
        for part in (
            f"**What was asked.** {_ASKED}",
            f"**What is found.** {tested} {shown} {_cost(judged)}".strip(),
            f"**How sure.** {_certainty(main)} {_other_targets(sensitivity)}".strip(),
            f"**What this cannot show.** {_limits(main)}",
        )
        if part
    )


def _cost(judged: pd.DataFrame) -> str:
    rows = judged[judged["claim"].eq(3) & judged["value"].notna() & judged["sentence"].astype(str).ne("")]
    if rows.empty:
        return "What downsampling saves could not be measured in this run."
    counted = rows[~rows["evidence"].astype(str).str.startswith("time")]
    row = (rows if counted.empty else counted).iloc[0].to_dict()
    saved = 1 - float(row["value"])
    way = "cheaper" if saved > 0 else "dearer"
    where = str(row["evidence"]).rpartition(", ")[2]
    return f"Downsampling makes the model {abs(saved):.0%} {way} ({'operations' if len(counted) else 'time'} on {where} of speech)."


def _certainty(main: ExperimentTables) -> str:
    """Gates, the bound on the effect of downsampling that matters most, and what the intervals cover."""
    verdicts = dict(zip(main.claims["claim"], main.claims["verdict"], strict=True))
    parts = []
    if len(main.carries) and not main.carries["carries"].all():
        parts.append("Not sure at all: these models did not learn enough to be compared.")
    elif UNTESTED not in verdicts.values():
        parts.append("The rules were fixed before the models were scored ([the analysis plan](plan.md)).")
    bound = _bound(main.effects)
    if bound:
        parts.append(bound)
    speakers = main.effects["speakers"].max() if "speakers" in main.effects else np.nan
    covered = f"seeds and {int(speakers)} test speakers" if np.isfinite(speakers) and speakers > 0 else "seeds"
    parts.append(f"Intervals are at 95 % and cover {covered}{'' if 'and' in covered else ', not speakers'}.")
    return " ".join(parts)


def _bound(effects: pd.DataFrame) -> str:
    """The range of the effect of each switch on the plan's first outcome, beside the smallest effect of interest."""
    rows = effects[effects["outcome"].eq(PLAN.gates.learned_outcome)].set_index("estimand")
    phrases = [
        f"{name} lies between {row['low']:+.3f} and {row['high']:+.3f}"
        for key, name in (("auxiliary", "the effect of the loss"), ("downsampling", "that of downsampling"))
        if key in rows.index and np.isfinite((row := rows.loc[key])["low"])
    ]
    if not phrases:
        return ""
    smallest = float(rows["interest"].iloc[0])
    interest = (
        f"; what is smaller than {smallest:.3f}, a fifth of HuBERT's lead over MFCC, counts as no effect"
        if np.isfinite(smallest)
        else ""
    )
    return f"In {for_markdown(rows['score'].iloc[0])}, {' and '.join(phrases)}{interest}."


def _other_targets(table: pd.DataFrame | None) -> str:
    """MR-HuBERT less HuBERT on the plan's first outcome under each kind of targets but the main run's."""
    if table is None or table.empty:
        return ""
    outcome = PLAN.gates.learned_outcome
    rows = table[table["measure"].eq("effect") & table["estimand"].eq("control") & table["outcome"].eq(outcome)]
    others = "; ".join(f"{for_markdown(row['run'])} {with_interval(row)}" for _, row in rows.iloc[1:].iterrows())
    name = pair_name(PLAN.estimand("control").name)
    return f"Trained on other targets, {name} is, in {PLAN.outcome(outcome).name}: {others}." if others else ""


def _limits(main: ExperimentTables) -> str:
    hours = main.source.get("corpus_hours")
    steps = int(main.training["step"].max()) if "step" in main.training else 0
    trained = f"learned from {float(hours):.1f} hours of speech" if hours else "are small"
    trained += f" in {steps:,} steps" if steps else ""
    return (
        f"These models {trained}; the paper's from {PAPER_HOURS}. An effect that needs their size or their data cannot show here, "
        f"and none of the paper's own models is judged."
    )
