"""The files that the page of the model explorer includes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from multires.book.explorer.architectures import registry
from multires.errors import MultiresError
from multires.report.escape import for_markdown
from multires.report.figures.layers import condition_markers
from multires.report.figures.measures import all_curves
from multires.report.figures.style import BASELINE, resolution_color
from multires.report.names import UNTRAINED, condition_name, layer_name, speech_name


def write_page(folder: Path, found: pd.DataFrame, corpus: str, models: str) -> None:
    """Leave what the page includes in a folder: explorer.html, explorer_corpus.md, explorer.png and curves.csv.

    Raises
    ------
    MultiresError
        Where the folder cannot be written.
    """
    data = {"models": registry(), "curves": curve_data(found, corpus, models), "colors": _colors()}
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = (
        '<div id="explorer-models" class="explorer"></div>\n'
        f'<script type="application/json" id="explorer-data">{text}</script>\n'
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "explorer.html").write_text(page, encoding="utf-8")
        (folder / "explorer_corpus.md").write_text(
            f"Speech: {for_markdown(speech_name(corpus))}. Models: {for_markdown(models)}.\n", encoding="utf-8"
        )
        found.to_csv(folder / "curves.csv", index=False)
        all_curves(found, corpus=corpus, models=models).savefig(folder / "explorer.png", dpi=150)
    except OSError as error:
        raise MultiresError(
            f"cannot write {folder}: {error.strerror or error}; choose another output folder"
        ) from error


def curve_data(found: pd.DataFrame, corpus: str, models: str) -> dict[str, Any]:
    """Curves in the form that the page's script draws: conditions with their layers, panels with points."""
    layers = found[found["layer_index"].notna()]
    markers = condition_markers(list(dict.fromkeys(layers["condition"])))
    conditions = []
    for name, (marker, filled) in markers.items():
        own = layers[layers["condition"] == name].drop_duplicates("layer").sort_values("layer_index")
        places = [
            {
                "name": layer_name(row["layer"], row["layer_index"]),
                "depth": int(row["layer_index"]),
                "period": _rounded(1000 * row["frame_period"]),
            }
            for row in own.to_dict("records")
        ]
        conditions.append({
            "name": condition_name(name), "marker": marker, "filled": filled, "untrained": name.startswith(UNTRAINED),
            "layers": places,
        })  # fmt: skip
    panels = []
    for (group, title), part in found.groupby(["group", "panel"], sort=False):
        first, own = part.iloc[0], part[part["layer_index"].notna()]
        beside = part[part["layer_index"].isna()]
        points = [
            [list(markers).index(row["condition"]), int(row["layer_index"]), *map(_rounded, (row["value"], row["low"], row["high"])),
             int(row["n"]), int(row["seeds"])]
            for row in own.to_dict("records")
        ]  # fmt: skip
        panels.append({
            "group": group, "title": title, "points": points,
            "chance": [_rounded(first["chance_low"]), _rounded(first["chance_high"])] if pd.notna(first["chance_low"]) else None,
            "beside": {{"mel": "log-mel", "mfcc": "MFCC"}.get(row["condition"], row["condition"]): _rounded(row["value"])
                       for row in beside.to_dict("records")},
        })  # fmt: skip
    return {"corpus": speech_name(corpus), "models": models, "conditions": conditions, "panels": panels}


def _rounded(value: Any) -> float | None:
    """Five digits are more than any figure shows; JSON has no NaN."""
    return float(f"{value:.5g}") if pd.notna(value) else None


def _colors() -> dict[str, str]:
    return {
        "20": resolution_color(0.02),
        "40": resolution_color(0.04),
        "80": resolution_color(0.08),
        "other": BASELINE,
    }
