"""Sentences on units, on similarity between layers, and on selectivity."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from multires.report.escape import for_markdown
from multires.report.left_out import of_rows
from multires.report.names import condition_name, layer_name
from multires.report.sentences import ACOUSTIC_NAMES


@of_rows
def similarity(table: pd.DataFrame) -> str:
    """Sentences on the highest and lowest similarity of layers of equal depth in two models.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.layer_similarity`.
    """
    between = table[table["comparison"].ne("within a model")]
    equal = between[between["layer_index"].astype(float).eq(between["against_layer_index"].astype(float))]
    parts = []
    for _, pair in equal.groupby(["model", "seed", "against", "against_seed"], sort=False):
        rows = pair[pair["measure"].eq("cka")]
        chance = pair.loc[pair["measure"].eq("cka (shuffled)"), "value"].max()
        most, least = rows.loc[rows["value"].idxmax()], rows.loc[rows["value"].idxmin()]
        names = [for_markdown(condition_name(most[side])) for side in ("condition", "against_condition")]
        parts.append(
            f"layers of equal depth of {' and '.join(names)} share most at {_layer(most)} ({_number(most)}) and least at "
            f"{_layer(least)} ({_number(least)}; shuffled at most {chance:.2f})"
        )
    if not parts:
        return "This run has no two models that differ in one respect."
    return f"By debiased CKA, {'; '.join(parts)}."


@of_rows
def units(table: pd.DataFrame) -> str:
    """The layer whose clusters say most about phones, beside the acoustic features, for each number of clusters and rate.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.frame_units`.
    """
    parts = []
    for (clusters, rate), part in table.groupby(["clusters_requested", "rate"], sort=False):
        scores = part[part["measure"].eq("pnmi")]
        acoustic = scores["model"].isin(list(ACOUSTIC_NAMES))
        if acoustic.all():
            continue
        best = scores[~acoustic].loc[scores[~acoustic]["value"].idxmax()]
        chance = part.loc[part["measure"].eq("pnmi (shuffled)"), "value"].max()
        parts.append(
            f"with {clusters:.0f} clusters at {rate:.0f} Hz those of {_place(best)} ({_number(best)}; "
            f"{_beside(scores[acoustic])}shuffled at most {chance:.2f})"
        )
    if not parts:
        return "This run has no layers whose clusters could be compared with phones."
    return f"The clusters that say most about phones (PNMI) are, {'; '.join(parts)}."


@of_rows
def selectivity(table: pd.DataFrame) -> str:
    """The layer with the most selective probe of each task, and the one whose vectors shorten the code of words most.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.selectivities`.
    """
    parts = []
    for (view, measure), part in table[table["measure"].isin(["selectivity", "compression"])].groupby(
        ["view", "measure"], sort=False
    ):
        acoustic = part["model"].isin(list(ACOUSTIC_NAMES))
        if acoustic.all():
            continue
        best = part[~acoustic].loc[part[~acoustic]["value"].idxmax()]
        beside = _beside(part[acoustic]).removesuffix("; ")
        found = f"{_place(best)} ({_number(best)}{f'; {beside}' if beside else ''})"
        if measure == "selectivity":
            parts.append(f"probes for the {view} are most selective at {found}")
        else:
            parts.append(f"the code of {view}s is shortened most by {found}, as a factor of the length without vectors")
    return f"In this run {'; '.join(parts)}." if parts else "This run has no layers to probe."


def _beside(rows: pd.DataFrame) -> str:
    """The acoustic features' values, each once."""
    return "".join(f"{ACOUSTIC_NAMES[str(row.model)]} {row.value:.2f}; " for row in rows.itertuples())


def _number(row: pd.Series) -> str:
    ends: Sequence[object] = (row["low"], row["high"])
    return f"{row['value']:.2f}" + ("" if any(map(pd.isna, ends)) else f" [{row['low']:.2f}, {row['high']:.2f}]")


def _layer(row: pd.Series) -> str:
    return for_markdown(layer_name(row["layer"], row["layer_index"]))


def _place(row: pd.Series) -> str:
    name = for_markdown(condition_name(row["condition"]))
    return f"{_layer(row)} of {'the ' * name.startswith('20 ms')}{name}"
