"""Paired differences of models in words."""

from __future__ import annotations

import pandas as pd

from multires.report.escape import for_markdown
from multires.report.names import condition_name, speech_name
from multires.report.verdicts import with_interval
from multires.results import why_empty


def differences(table: pd.DataFrame) -> str:
    """Every pair of models with its paired differences, and how many of these exclude zero.

    Parameters
    ----------
    table
        What `multires.analysis.comparisons` gives.
    """
    if table.empty:
        return "" if why_empty(table) else "This run has no two models to compare."
    parts = []
    for _, part in table.groupby(["model", "seed", "against"], sort=False):
        first = part.iloc[0]
        phrases = ", ".join(
            f"{str(row['view']).replace('_', ' ')} {with_interval(row)}" for row in part.to_dict("records")
        )
        parts.append(f"{_name(table, first, '')} less {_name(table, first, 'against')}: {phrases}")
    clear = int(((table["low"] > 0) | (table["high"] < 0)).sum())
    return (
        f"Best layer less best layer, paired: {'; '.join(parts)}. {clear} of {len(table)} intervals exclude zero; they "
        "cover the sampling of speakers, not the choice of the best layers."
    )


def _name(table: pd.DataFrame, row: pd.Series, side: str) -> str:
    """The name of a model's condition, or its own name where several models share the condition."""
    model, condition = (side, f"{side}_condition") if side else ("model", "condition")
    alike = table.loc[table[condition] == row[condition], model]
    if len(set(alike)) > 1:
        return for_markdown(str(row[model]))
    return for_markdown(condition_name(row[condition]))


def cca_conclusion(differences: pd.DataFrame, corpus: str) -> str:
    """The second chapter's last sentence: the paired differences with and without downsampling, in CCA with labels.

    Parameters
    ----------
    differences
        The rows of `multires.analysis.comparisons.cca_comparisons` that the chapter shows.
    corpus
        Named in the sentence.
    """
    return _resolution_conclusion(differences, "CCA", corpus)


def mutual_information_conclusion(differences: pd.DataFrame, corpus: str) -> str:
    """The third chapter's last sentence: the same in normalized mutual information.

    Parameters
    ----------
    differences
        The rows of `multires.analysis.comparisons.mi_comparisons` that the chapter shows.
    corpus
        Named in the sentence.
    """
    return _resolution_conclusion(differences, "normalized mutual information", corpus)


def _resolution_conclusion(differences: pd.DataFrame, measure: str, corpus: str) -> str:
    heading = f"**In this run ({for_markdown(speech_name(corpus))})**"
    if reason := why_empty(differences):
        return f"{heading} {measure} could not be computed ({for_markdown(reason)})."
    pairs = differences[differences["condition"].isin(["multi", "multi+aux"])]
    pairs = pairs[pairs["against_condition"] == pairs["condition"].str.replace("multi", "mono")]
    parts = []
    for view in ("word", "phone"):
        part = pairs[pairs["view"] == view]
        if len(part):
            row = part.sort_values("condition").iloc[0]
            parts.append(
                f"{_direction(row)} with {view}s ({with_interval(row)}; "
                f"{for_markdown(condition_name(row['condition']))} less {for_markdown(condition_name(row['against_condition']))})"
            )
    if not parts:
        return f"{heading} there are no two models that differ in their resolution alone, so that {measure} says nothing about it."
    untrained = "" if pairs["trained"].fillna(False).astype(bool).any() else " These models are untrained."
    return (
        f"{heading} the best layer with downsampling, compared with the best without, {' and '.join(parts)} in {measure}."
        f"{untrained} It is one model of each kind: another training run could differ by more than this interval, which covers "
        "speakers only. Chapter 5 has several."
    )


def _direction(row: pd.Series) -> str:
    return "is higher" if row["low"] > 0 else "is lower" if row["high"] < 0 else "is not shown to differ"
