"""The data of the book's model explorer: every model of the registry, and every curve of the models that were analyzed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multires.analysis import stages
from multires.analysis.run import Run
from multires.efficiency.counting import count
from multires.errors import MultiresError
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables, experiment_tables
from multires.models.acoustic import ACOUSTIC
from multires.models.checkpoint import read_config
from multires.models.config import ModelConfig, preset
from multires.models.registry import published, shipped, untrained
from multires.report.escape import for_markdown
from multires.report.figures.layers import apart, condition_markers
from multires.report.figures.measures import VIEW_TITLES, all_curves
from multires.report.figures.style import BASELINE, resolution_colour
from multires.report.names import UNTRAINED, architecture_name, condition_name, layer_name, speech_name

DURATIONS = (2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds of speech for which costs are given."""

COLUMNS = ("group", "panel", "condition", "seeds", "layer", "layer_index", "frame_period", "value", "low", "high", "n",
           "chance_low", "chance_high")  # fmt: skip
"""Of `curves`."""


@dataclass(frozen=True)
class _Kind:
    """Source of the rows of one kind of curve."""

    group: str
    stage: str
    measure: str | None  # None: the variant of the run, whatever it is called
    shuffled: str | None
    titles: Mapping[str, str]


_VIEWS = {"phone": "phones", "word": "words"}
_KINDS = (
    _Kind("CCA", "cca", None, "shuffled", {**VIEW_TITLES, **_VIEWS}),
    _Kind("Mutual information, adjusted", "mutual information", "adjusted", "adjusted shuffled", _VIEWS),
    _Kind("Probe accuracy", "probes", "accuracy", "shuffled accuracy", {**_VIEWS, "speaker": "speakers"}),
    _Kind("Frames", "extraction", "participation ratio", None, {"frame80": "participation ratio"}),
    _Kind("Frames", "extraction", "neighbour similarity", None, {"frame20": "similarity to the 80 ms around"}),
)


# -- the registry -------------------------------------------------------------------------------------------------


def registry() -> list[dict[str, Any]]:
    """Every model that has a key: what it is, its blocks, its parameters and its costs.

    Returns
    -------
    list of dict
        key, kind (shipped, published, untrained, acoustic), description, data, reference, known_from, and where the
        architecture is known: width, blocks (name, layers, frame period in ms, parameters), parameters (without the
        prediction heads) and macs, by duration and block, of one forward pass.
    """
    rows = []
    for key, path in shipped().items():
        header, config = read_config(path)
        rows.append({"key": key, "kind": "shipped", "description": header.get("description", ""), "data": "",
                     "reference": "this companion", "known_from": "its file", **_architecture(config)})  # fmt: skip
    for entry in published().values():
        known = "papers and training configurations" if entry.config else "the checkpoint alone, once it is loaded"
        row = {"key": entry.key, "kind": "published", "description": entry.description, "data": entry.data,
               "reference": entry.reference, "known_from": known}  # fmt: skip
        rows.append({**row, **(_architecture(entry.config) if entry.config else {})})
    for key in untrained():
        architecture, _, size = key.partition("/")[2].partition("-")
        rows.append({"key": key, "kind": "untrained", "description": f"{_named(architecture)}, {size}, random weights",
                     "data": "none", "reference": "this companion", "known_from": "its preset",
                     **_architecture(preset(architecture, size))})  # fmt: skip
    for key, kind in ACOUSTIC.items():
        model = kind()
        (layer,) = model.layers
        block = {"name": key, "layers": [layer.label], "period": 1000 * layer.frame_period, "parameters": 0}
        rows.append({"key": key, "kind": "acoustic", "description": model.description, "data": "none", "reference": "",
                     "known_from": "code", "width": layer.dim, "parameters": 0, "blocks": [block]})  # fmt: skip
    return rows


def _named(architecture: str) -> str:
    return "MR-HuBERT with three resolutions" if architecture == "multi3" else architecture_name(architecture)


def _architecture(config: ModelConfig) -> dict[str, Any]:
    tables = {seconds: count(config, seconds) for seconds in DURATIONS}
    table = tables[DURATIONS[0]]
    table = table[table["part"] != "prediction heads"]
    first = config.first_layer
    blocks = [{"name": first, "layers": [first], "period": 1000 * config.frame_periods[0]}]
    counts = {"encoder": 0, "middle": 0, "decoder": 0}
    for name, depth, level in zip(config.blocks, config.depths, config.block_resolutions, strict=True):
        kind = name.partition(".")[0]
        labels = [f"{kind[0].upper()}{counts[kind] + index + 1}" for index in range(depth)]
        counts[kind] += depth
        blocks.append({"name": name, "layers": labels, "period": 1000 * config.frame_periods[level]})
    parameters = table.groupby(table["block"].map(lambda name: _block(name, first)))["parameters"].sum()
    for block in blocks:
        block["parameters"] = int(parameters[str(block["name"])])
    macs = {
        f"{seconds:g}": {
            str(name): int(value)
            for name, value in each.groupby(each["block"].map(lambda name: _block(name, first)))["macs"].sum().items()
            if value
        }
        for seconds, each in tables.items()
    }
    return {"width": config.width, "parameters": int(table["parameters"].sum()), "blocks": blocks, "macs": macs}


def _block(name: str, first: str) -> str:
    """Samplers are together, whichever blocks they stand between; what precedes the Transformer has its layer's name."""
    return {"up": "samplers", "down": "samplers", "conv": first}.get(name.partition(".")[0], name)


# -- the curves ---------------------------------------------------------------------------------------------------


def collect(run: Run) -> pd.DataFrame:
    """All curves of a run, from the tables in its workspace (made there where they are missing), and the experiment's.

    See `curves` and `experiment_curves`.
    """
    tables = {
        "extraction": stages.extraction(run).table,
        "cca": stages.cca(run).table,
        "mutual information": stages.mutual_information(run).table,
        "probes": stages.probes(run).table,
    }
    return pd.concat([curves(tables), *map(experiment_curves, experiment_tables())], ignore_index=True)


def experiment_curves(experiment: ExperimentTables) -> pd.DataFrame:
    """The score of every layer of the controlled experiment's models on test speakers, on the grid of 40 ms.

    Columns are those of `curves`: means over seeds, from the lowest seed to the highest; `n` counts speakers. Layers of
    20 ms are averaged to 40 ms. Outcomes of the middle block alone are given for all layers.
    """
    rows: list[dict[str, Any]] = []
    for outcome in PLAN.outcomes:
        scores = experiment.layers(outcome.key)
        scores = scores[scores["form"].isin(["averaged", "native"])]
        acoustic = scores["condition"].isin(list(ACOUSTIC))
        scores = scores[scores["layer_index"].notna() | acoustic]
        if scores["layer_index"].isna().all():
            continue  # an outcome of weighted sums alone
        scores = scores.assign(layer_index=scores["layer_index"].mask(acoustic))
        shuffled = scores[scores["labels"] != "true"]["value"].astype(float)
        true = scores[scores["labels"] == "true"]
        grouped = true.groupby(["condition", "layer", "layer_index", "frame_period"], sort=False, dropna=False).agg(
            value=("value", "mean"), low=("low", "min"), high=("high", "max"), seeds=("seed", "nunique")
        )
        test = experiment.scores[experiment.scores["outcome"].eq(outcome.key) & experiment.scores["role"].eq("test")]
        common = {
            "group": f"Experiment on {speech_name(experiment.corpus)}, all seeds", "panel": outcome.name.removesuffix(", middle block"),
            "n": test["speaker"].nunique(), "chance_low": shuffled.min(), "chance_high": shuffled.max(),
        }  # fmt: skip
        rows += [{**common, **row} for row in grouped.reset_index().to_dict("records")]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def curves(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The score of every layer of every condition in every panel.

    Parameters
    ----------
    tables
        The tables of the stages extraction, cca, mutual information and probes, by these names.

    Returns
    -------
    pandas.DataFrame
        A row a layer with the columns `COLUMNS`: the value is the mean over seeds, low and high the lowest and highest
        end of their intervals, as in the chapters' figures; chance is the range of shuffled labels in the panel. Rows
        of log-mel and MFCC have no layer_index.
    """
    rows = [row for kind in _KINDS for view in kind.titles for row in _panel(tables[kind.stage], kind, view)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _panel(table: pd.DataFrame, kind: _Kind, view: str) -> list[dict[str, Any]]:
    table = apart(table)
    part = table[(table["view"] == view) & table["trial"].isna() & (table["layer"] != "weighted sum")]
    if view == "mel" and "window" in part:  # each layer in windows of its own frame period
        part = part[np.isclose(part["window"].astype(float), part["frame_period"].astype(float) * 1000)]
    shuffled = part[part["measure"] == kind.shuffled]["value"].astype(float)
    part = part[part["measure"].eq(kind.measure) if kind.measure else part["measure"].ne("shuffled")]
    keys = ["condition", "layer", "layer_index", "frame_period"]
    acoustic = part["model"].isin(list(ACOUSTIC))
    part = part.assign(
        condition=part["condition"].where(~acoustic, part["model"]), layer_index=part["layer_index"].mask(acoustic)
    )
    grouped = part.groupby(keys, sort=False, dropna=False).agg(
        value=("value", "mean"), low=("low", "min"), high=("high", "max"), n=("n", "max"), seeds=("seed", "nunique")
    )
    chance = {"chance_low": shuffled.min(), "chance_high": shuffled.max()}
    title = kind.titles[view]
    return [{"group": kind.group, "panel": title, **row, **chance} for row in grouped.reset_index().to_dict("records")]


# -- the page -----------------------------------------------------------------------------------------------------


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
        "20": resolution_colour(0.02),
        "40": resolution_colour(0.04),
        "80": resolution_colour(0.08),
        "other": BASELINE,
    }
