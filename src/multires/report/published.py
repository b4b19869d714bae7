"""Published figures of the checkpoints as a table for reading, and a sentence on what is missing from it."""

from __future__ import annotations

import pandas as pd

from multires.report.escape import for_markdown
from multires.report.names import condition_name
from multires.report.sentences import PUBLISHED

EMPTY = "–"
"""A cell without a verified figure."""

_FIRST = "As published"


def published_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a quantity with a figure, one column a model, in the order of `multires.report.sentences.PUBLISHED`.

    Parameters
    ----------
    scores
        What `multires.analysis.published.published_scores` gives.
    """
    models = [model for model in PUBLISHED if (scores["model"] == model).any()]
    models += [model for model in dict.fromkeys(scores["model"]) if model not in PUBLISHED]
    rows = []
    for quantity, part in scores.groupby("quantity", sort=False):
        if part["value"].isna().all():
            continue
        known = part.set_index("model")["value"]
        row = {_FIRST: _title(str(quantity), part.iloc[0])}
        row |= {_column(model): _figure(known.get(model)) for model in models}
        rows.append(row)
    return pd.DataFrame(rows, columns=[_FIRST, *(_column(model) for model in models)])


def published_summary(scores: pd.DataFrame) -> str:
    """The number of figures, their sources, and how to fill an empty cell; in Markdown."""
    known, empty = scores[scores["value"].notna()], scores[scores["value"].isna()]
    sources = ", ".join(for_markdown(source) for source in dict.fromkeys(known["source"]))
    text = (
        f"The table has {len(known)} published figure{'s' * (len(known) != 1)} ({sources}): no seeds or intervals were reported, "
        "so that no difference between two columns can be judged."
    )
    if empty.empty:
        return text
    filled = set(known["quantity"])
    without = ", ".join(for_markdown(name) for name in dict.fromkeys(empty["quantity"]) if name not in filled)
    left_out = f" Rows without any figure are left out of the table above: {without}." if without else ""
    wanted = ", ".join(for_markdown(source) for source in dict.fromkeys(empty["source"]))
    return (
        f"{text} {len(empty)} cell{'s' * (len(empty) != 1)} could not be verified in public text and stay empty.{left_out} With the paper at hand ({wanted}), "
        "enter a figure, its table and where it stands in one line of `book/data/published_scores.csv`."
    )


def _column(model: str) -> str:
    return f"{condition_name(PUBLISHED[model])} ({model})" if model in PUBLISHED else model


def _title(quantity: str, row: pd.Series) -> str:
    """The quantity with its unit, and where less is better."""
    details = [row["unit"], "less is better" if row["better"] == "lower" else ""]
    named = "; ".join(part for part in details if part)
    shown = quantity[:1].upper() + quantity[1:]
    return f"{shown} ({named})" if named else shown


def _figure(value: object) -> str:
    return EMPTY if value is None or pd.isna(value) else f"{value:g}"
