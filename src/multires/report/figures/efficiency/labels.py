"""Names and notes that the figures of the chapter on efficiency share."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

_NAMES = {"hubert": "HuBERT", "mono": "20 ms control", "multi": "MR-HuBERT", "multi3": "three resolutions"}

NOT_COUNTED = "this table has no counted operations: compute it again with multires efficiency"
"""The note of a figure of operations without them."""

_WITHHELD = "not shown: {reason}"


def display_name(model: str) -> str:
    """Display name of a configuration."""
    return _NAMES.get(model, model)


def size_name(table: pd.DataFrame) -> str:
    """Size of the configurations of a table."""
    return str(table["size"].iloc[0])


def machine_name(table: pd.DataFrame) -> str:
    """Model size, machine, threads and precision of the measurements."""
    first = table.iloc[0]
    threads = f", {first['threads']} thread{'s' if first['threads'] != 1 else ''}" if first["device"] == "cpu" else ""
    return f"{first['size']} size, untrained; {first['machine']}{threads}, {first['precision']}"


def write_reason(axis: Axes, table: pd.DataFrame, measure: str) -> None:
    """Write in the empty panel why it is empty."""
    notes = [note for note in table.loc[table["measure"] == measure, "note"] if note]
    text = _WITHHELD.format(reason=notes[0].partition(";")[0] if notes else "not measured")
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", wrap=True, color="#444444")


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, their keys typed as strings."""
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
