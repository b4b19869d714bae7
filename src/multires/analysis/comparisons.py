"""Paired differences of models: the best layer of each against that of the control, in the same resamples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multires.analysis import stages
from multires.analysis.run import ACOUSTIC, Run
from multires.measures.bootstrap import compare_replicates
from multires.results import Result, tidy

CONTROL = "mono"
"""The condition, with or without ``+aux``, that others are compared with where the run has it; else the first one."""

_INPUTS = ("conv", "input")
"""Blocks before the Transformer, which are not compared: log-mel frames, for one, are what log-mel correlates with most."""

_KEYS = ["model", "condition", "seed", "trained", "layer", "layer_index", "block", "frame_period"]


def cca_comparisons(run: Run, *, group_by: str = "segment", word_vectors: str = "") -> Result:
    """The best layer of every model less the best of its control, for every view, with paired intervals.

    Both scores are taken in the same resamples of speakers or utterances, so that what these have in common drops out.
    Layers before the Transformer are left out. For log-mel, layers are compared in the widest window. The layers are chosen on the same data, by their scores.
    """
    replicates = stages.cca_replicates(run, group_by=group_by, word_vectors=word_vectors)
    parameters = {"control": CONTROL, "replicates": replicates.source["key"]}
    return run.table("cca-comparisons", parameters, lambda: compare(replicates.table))


def mi_comparisons(run: Run) -> Result:
    """As `cca_comparisons`, for the normalized mutual information with phones and words."""
    replicates = stages.mutual_information_replicates(run)

    def compute() -> pd.DataFrame:
        table = replicates.table
        layers = table["measure"].isin(["normalized", stages.REPLICATE]) & ~table["model"].isin(ACOUSTIC)
        return compare(table[layers].assign(window=float("nan")))

    parameters = {"control": CONTROL, "replicates": replicates.source["key"]}
    return run.table("mi-comparisons", parameters, compute)


def probe_comparisons(run: Run) -> Result:
    """As `cca_comparisons`, for the accuracy of linear probes on single layers."""
    replicates = stages.probe_replicates(run)

    def compute() -> pd.DataFrame:
        table = replicates.table
        layers = table["measure"].isin(["accuracy", stages.REPLICATE]) & table["layer_index"].notna()
        return compare(table[layers & ~table["model"].isin(ACOUSTIC)].assign(window=float("nan")))

    parameters = {"control": CONTROL, "replicates": replicates.source["key"]}
    return run.table("probe-comparisons", parameters, compute)


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences from scores and their replicates.

    Parameters
    ----------
    table
        One measure's rows, with those of its resamples, as `multires.analysis.stages.cca_replicates` gives them.

    Returns
    -------
    DataFrame
        Tidy, measure ``difference``; further columns against, against_condition, against_layer, low, high. `n` is the number of clusters.
        A pair without replicates has no interval.
    """
    rows: list[dict[str, Any]] = []
    drawn = table[table["measure"] == stages.REPLICATE]
    scores = table[table["trial"].isna() & (table["measure"] != "shuffled") & ~table["block"].isin(_INPUTS)]
    for view, part in scores.groupby("view", sort=False):
        widest = part["window"].max()
        part = part[part["window"].eq(widest) | part["window"].isna()]
        best = part.loc[part.groupby(["model", "seed"], sort=False)["value"].idxmax()]
        replicates = drawn[(drawn["view"] == view) & (drawn["window"].eq(widest) | drawn["window"].isna())]
        for first in best.to_dict("records"):
            second = _control(first, best)
            if second is not None:
                rows.append(_difference(first, second, replicates, str(view)))
    if not rows:
        return tidy([]).assign(trained=[], against=[], against_condition=[], against_layer=[], low=[], high=[])
    return tidy(rows)


def _control(row: dict[Any, Any], best: pd.DataFrame) -> dict[Any, Any] | None:
    """Model to compare with: the control with the same loss, seed and kind of training; else the first model."""
    suffix = "+aux" if str(row["condition"]).endswith("+aux") else ""
    alike = best[(best["trained"] == row["trained"]) & (best["seed"] == row["seed"])]
    wanted = alike[alike["condition"] == CONTROL + suffix]
    chosen = (wanted if len(wanted) else alike).iloc[0].to_dict()
    return None if chosen["model"] == row["model"] else chosen


def _difference(first: dict[Any, Any], second: dict[Any, Any], drawn: pd.DataFrame, view: str) -> dict[str, Any]:
    pair = [
        drawn[(drawn["model"] == each["model"]) & (drawn["seed"] == each["seed"]) & (drawn["layer"] == each["layer"])]
        for each in (first, second)
    ]
    common = {
        **{str(key): first[key] for key in _KEYS}, "measure": "difference", "view": view, "window": first["window"],
        "against": second["model"], "against_condition": second["condition"],
        "against_layer": second["layer"],
    }  # fmt: skip
    value = float(first["value"] - second["value"])
    if any(part.empty for part in pair):
        return {**common, "value": value, "low": float("nan"), "high": float("nan"), "n": 0}
    a, b = (part.sort_values("trial")["value"].to_numpy(float) for part in pair)
    low, high = compare_replicates(value, a, b)
    return {**common, "value": value, "low": low, "high": high, "n": int(pair[0]["n"].iloc[0])}


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The differences of trained models; of all where none is trained."""
    if table.empty:
        return table
    trained = table["trained"].astype(bool)
    return table[trained] if trained.any() else table
