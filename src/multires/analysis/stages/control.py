"""Probes with control tasks, and the description length of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import INPUTS, Run
from multires.analysis.stages.gather import Place, acoustic_places, gather_rows, subject_places
from multires.analysis.stages.rows import read_vectors, run_parameters, sample_rows, split_rows
from multires.measures.control import description_length, selectivity
from multires.results import Result

TASKS = {"phone": ("phone", "label"), "part of speech": ("word", "part_of_speech")}
"""Labels that are controlled: the kind of segment and the column of the label."""

_ITEMS = 20
"""Words of a label, on average, that a code needs at least."""

_DECAYS = (1e-2,)
"""Weight decay of the probes: one for the task and its control, so that they differ in nothing else."""


def selectivities(run: Run) -> Result:
    """Accuracy of probes on every layer less that on a control task, and the description length of words.

    In the control task each word type (of phones: each phone of a word) has one random label. A probe with high accuracy
    and low selectivity memorizes words. Parts of speech are probed where the corpus has them. The description length is
    the online code length of the labels of frequent words in the evaluation splits, where items are few.
    """

    def rows_of(place: Place) -> list[dict[str, Any]]:
        rows = [row for task in TASKS for row in _task_rows(run, place, task)]
        return rows + _length_rows(run, place)

    def compute() -> pd.DataFrame:
        places = [place for place in subject_places(run, run.subjects) if place[1].block not in INPUTS]
        return gather_rows(run, "selectivity", places + acoustic_places(run), rows_of)

    names = ("train", "evaluation", "probe_instances", "word_types", "word_instances", "resamples")
    return run.table("selectivity", run_parameters(run, *names), compute)


def _task_rows(run: Run, place: Place, task: str) -> list[dict[str, Any]]:
    store, layer, columns = place
    unit, column = TASKS[task]
    table = store.labels(unit)
    known = (table[column] != "").to_numpy() & (table["word"] != "").to_numpy()
    parts = [
        sample_rows(np.flatnonzero(known & part), run.profile.probe_instances, run.seed)
        for part in split_rows(run, table, unit)
    ]
    labels = table[column].to_numpy(str)
    if min(len(np.unique(labels[part])) for part in parts) < 2:
        return []
    words, speakers = table["word"].to_numpy(str), table["speaker"].to_numpy(str)
    types = np.char.add(np.char.add(words, " "), labels) if unit == "phone" else words
    x, test_x = (read_vectors(store, layer, unit, np.isin(np.arange(len(table)), part)) for part in parts)
    fit, judge = parts
    found = selectivity(
        x, labels[fit], test_x, labels[judge], types[fit], types[judge], seed=run.seed, clusters=speakers[judge],
        groups=speakers[fit], decays=_DECAYS,
    )  # fmt: skip
    return found.rows(**columns, view=task)


def _length_rows(run: Run, place: Place) -> list[dict[str, Any]]:
    """Description length of word labels; none where there are too few words."""
    store, layer, columns = place
    table = store.labels("word")
    chosen = code_rows(run, table)
    labels = table["label"].to_numpy(str)[chosen]
    if len(np.unique(labels)) < 2:
        return []
    x = read_vectors(store, layer, "word", np.isin(np.arange(len(table)), chosen))
    found = description_length(
        x, labels, seed=run.seed, clusters=table["speaker"].to_numpy(str)[chosen],
        replicates=max(run.profile.resamples, 2), name=f"{columns['model']}, layer {layer.name}",
    )  # fmt: skip
    return found.rows(**columns, view="word")


def code_rows(run: Run, table: pd.DataFrame) -> np.ndarray:
    """Words of the evaluation splits that are encoded: the most frequent ones, as many as leave 20 items for each."""
    rows = sample_rows(np.flatnonzero(split_rows(run, table, "word")[1]), run.profile.probe_instances, run.seed)
    counts = table["label"].iloc[rows].value_counts()
    enough = np.flatnonzero(counts.cumsum().to_numpy() >= _ITEMS * (1 + np.arange(len(counts))))
    kept = counts.index[: enough[-1] + 1] if len(enough) else []
    return rows[table["label"].iloc[rows].isin(kept).to_numpy()]
