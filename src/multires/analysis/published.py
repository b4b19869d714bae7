"""Figures that papers and public code report on the published checkpoints: a table that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from multires.errors import MultiresError

SHIPPED = Path(__file__).parents[1] / "data" / "published" / "published_scores.csv"
"""The table; ``book/data/published_scores.csv`` of the repository is a link to it."""

COLUMNS = ("quantity", "model", "value", "unit", "better", "source", "table", "stands", "note")
"""`source` and `table` name the publication and the place in it, `stands` the public text in which the figure was read."""

_TEXT = [column for column in COLUMNS if column != "value"]


def published_scores(path: str | Path = SHIPPED) -> pd.DataFrame:
    """One row for each quantity and model; `value` is missing where no public text was found to verify it.

    Parameters
    ----------
    path
        A file in the format of `SHIPPED`.

    Raises
    ------
    MultiresError
        If columns are missing, a value is not a number, a figure does not say where it stands, or a figure is there
        twice.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    if missing := [column for column in COLUMNS if column not in table]:
        raise MultiresError(f"{path} lacks the column {missing[0]!r}: it needs {', '.join(COLUMNS)}")
    table = table[list(COLUMNS)]
    values = pd.to_numeric(table["value"].replace("", None), errors="coerce")
    for line, (text, value, row) in enumerate(
        zip(table["value"], values, table.to_dict("records"), strict=True), start=2
    ):
        named = f"line {line} of {path} ({row['quantity']}, {row['model']})"
        if text and pd.isna(value):
            raise MultiresError(f"{named}: value {text!r} is not a number; write one, or leave it empty")
        if text and not (row["source"] and row["stands"]):
            raise MultiresError(
                f"{named}: a value needs source and stands, the publication and where the figure was read"
            )
    twice = table[table.duplicated(["quantity", "model"])]
    if len(twice):
        first = twice.iloc[0]
        raise MultiresError(f"{path} has {first['quantity']!r} of {first['model']} twice: leave one line")
    return table.assign(value=values.astype(float), **{column: table[column].astype(str) for column in _TEXT})
