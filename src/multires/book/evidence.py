"""Verdicts on the paper's claims from the tables of a run and of the controlled experiment, kept in the workspace."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from multires.analysis import stages
from multires.analysis.attempt import attempt
from multires.analysis.run import Run
from multires.analysis.stages.rows import run_parameters
from multires.experiment.tables import experiment_tables
from multires.report import verdicts as judged
from multires.results import Result


def claims(run: Run, experiment: str | Path | None = None) -> Result:
    """The verdict on each of the paper's claims, from the tables of the other stages and of the controlled experiment.

    `experiment` is the folder of one's own experiment, or None for the one that comes with the package. Evidence for which
    there is too little speech says so.
    """
    switched = experiment_tables(experiment)
    found = {
        "cca": attempt(stages.cca, run),
        "mutual_information": attempt(stages.mutual_information, run),
        "probes": attempt(stages.probes, run),
        "efficiency": stages.efficiency(run),
    }
    tables = {name: each.table for name, each in found.items()}
    names = tuple(name for name in vars(run.profile) if name not in ("name", "description", "models"))

    def compute() -> pd.DataFrame:
        of_experiments = [judged.judge_experiment(each) for each in switched]
        return pd.concat([judged.judge(**tables), *of_experiments], ignore_index=True)

    digests = [(each.title, each.source.get("table_sha256")) for each in switched]
    return run.table("claims", {**run_parameters(run, *names), "experiment": digests}, compute)
