"""Summary of an experiment's tables: what was trained, whether it learned, and how narrow its intervals are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multires.errors import MultiresError
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables, experiment_tables


def summary(experiment: ExperimentTables) -> dict[str, Any]:
    """Key figures of the tables of one corpus.

    Returns
    -------
        `corpus`, `conditions`, `seeds`, `test_speakers`, `least_lead` (the smallest lead of a condition's best layer over
        MFCC in phone classification), `half_width` (the largest half-width of an interval of a primary effect of the
        auxiliary loss or the downsampling), `gates` (whether each gate was passed) and `verdicts` (by claim).
    """
    effects = experiment.effects[experiment.effects["primary"].astype(bool)]
    primary = effects[effects["estimand"].isin(["auxiliary", "downsampling"])]
    control = effects[effects["estimand"].eq("control") & effects["group"].eq("tasks")]
    carries = experiment.carries
    return {
        "corpus": experiment.corpus,
        "conditions": list(carries["condition"]),
        "seeds": experiment.seeds,
        "test_speakers": experiment.speakers,
        "least_lead": round(float((carries["best"] - carries["mfcc"]).min()), 4),
        "half_width": round(float(((primary["high"] - primary["low"]) / 2).max()), 4),
        "gates": {
            "learned": bool(carries["carries"].all()),
            "positive_control": bool((control["decided"] == "gain").any()),
            "seeds": experiment.seeds >= PLAN.gates.seeds,
        },
        "verdicts": {str(row.claim): row.verdict for row in experiment.claims.itertuples()},
    }


def print_summary(folder: str | Path | None = None, *, as_json: bool = False) -> str:
    """The summary of the real-speech experiment as text or as one JSON object.

    Parameters
    ----------
    folder
        Where ``multires experiment --out`` wrote; the tables in the package by default.

    Raises
    ------
    MultiresError
        If there are no tables of an experiment on LibriSpeech.
    """
    found = [each for each in experiment_tables(folder) if each.corpus == "LibriSpeech"]
    if not found:
        raise MultiresError("no tables of an experiment on LibriSpeech: run `multires experiment --data FOLDER` first")
    values = summary(found[0])
    return json.dumps(values) if as_json else "\n".join(f"{name:14} {value}" for name, value in values.items())
