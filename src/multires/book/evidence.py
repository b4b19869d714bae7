"""Verdicts on the paper's claims from the tables of a run and of the controlled experiment, kept in the workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from multires.analysis import stages
from multires.analysis.attempt import attempt
from multires.analysis.part import part_of
from multires.analysis.run import Run
from multires.analysis.stages.rows import run_parameters
from multires.experiment.tables import experiment_tables
from multires.report import verdicts as judged
from multires.results import Result


def claims(run: Run, experiment: str | Path | None = None) -> Result:
    """The verdict on each of the paper's claims, from the tables of the other stages and of the controlled experiment.

    Of tables that the workspace does not hold, only what the verdicts need is computed: words, and trained models.
    `experiment` is the folder of one's own experiment, or None for the one that comes with the package. Evidence for which
    there is too little speech says so.
    """
    switched = experiment_tables(experiment)
    trained = [subject.name for subject in run.subjects if run.model(subject.name, subject.seed).trained]
    views = tuple(view for view in run.profile.views if view == "word") or run.profile.views
    _ = run.corpus  # is read once, for the part too
    part = part_of(run, trained or run.profile.models, views=views)
    needed: dict[str, tuple[Callable[..., Result], dict[str, Any]]] = {
        "cca": (stages.cca, {}),
        "mutual_information": (stages.mutual_information, {"views": ["word"], "layers_only": True}),
        "probes": (stages.probes, {"tasks": ["phone", "word"], "layers_only": True}),
    }
    found = {
        name: attempt(lambda whole, of=of, of_part=of_part: stages.kept_or(whole, of, lambda: of(part, **of_part)), run)
        for name, (of, of_part) in needed.items()
    }
    found["efficiency"] = stages.efficiency(run)
    tables = {name: each.table for name, each in found.items()}
    names = tuple(name for name in vars(run.profile) if name not in ("name", "description", "models"))

    def compute() -> pd.DataFrame:
        of_experiments = [judged.judge_experiment(each) for each in switched]
        return pd.concat([judged.judge(**tables), *of_experiments], ignore_index=True)

    digests = [(each.title, each.source.get("table_sha256")) for each in switched]
    return run.table("claims", {**run_parameters(run, *names), "experiment": digests}, compute)
