"""Sentences on whether the experiment's result depends on its targets or recipe."""

from __future__ import annotations

import pandas as pd

from multires.experiment.plan import PLAN
from multires.report.escape import for_markdown
from multires.report.names import listed, pair_name, seed_count
from multires.report.verdicts import with_interval


def sensitivity(table: pd.DataFrame, estimand: str = "control") -> str:
    """Lists of the targets of each run, the lead of HuBERT trained on them, and the sign of one effect.

    Parameters
    ----------
    table
        What `multires.experiment.sensitivity.compare_runs` writes.
    estimand
        Key of the effect.
    """
    if table.empty:
        return "The experiment has been run with one kind of targets only."
    phrases = []
    for run in dict.fromkeys(table["run"]):
        own = table[table["run"] == run]
        quality = own.loc[own["measure"] == "pnmi", "value"]
        lead = own[own["measure"].eq("lead")]
        parts = [f"PNMI with phones {quality.iloc[0]:.2f}"] if len(quality) else []
        parts += [
            f"HuBERT less MFCC {with_interval(row)} in {PLAN.outcome(row['outcome']).name}"
            for _, row in lead[:1].iterrows()
        ]
        seeds = sorted({int(each) for each in own.loc[own["measure"] == "effect", "seeds"]})
        phrases.append(f"- {for_markdown(run)}: {', '.join([*parts, seed_count(seeds)])}")
    targets = "\n".join(phrases)
    phrases = []
    effects = table[table["measure"].eq("effect") & table["estimand"].eq(estimand)]
    name = pair_name(PLAN.estimand(estimand).name)
    for outcome, rows in effects.groupby("outcome", sort=False):
        below, above = rows[rows["high"] < 0], rows[rows["low"] > 0]
        each = "; ".join(f"{for_markdown(row['run'])} {with_interval(row)}" for _, row in rows.iterrows())
        shown = [
            f"{side} zero under {listed([for_markdown(run) for run in part['run']])}"
            for side, part in (("below", below), ("above", above))
            if len(part)
        ]
        open_runs = [for_markdown(run) for run in rows.loc[~rows.index.isin([*below.index, *above.index]), "run"]]
        verdict = " and ".join(shown) if shown else "not shown to differ from zero under any"
        if shown and open_runs:
            verdict += f", and not shown to differ from zero under {listed(open_runs)}"
        phrases.append(f"- {PLAN.outcome(str(outcome)).name}: {verdict} ({each})")
    compared = f"\n\n{name}:\n\n" + "\n".join(phrases) if phrases else ""
    return f"Targets:\n\n{targets}{compared}"
