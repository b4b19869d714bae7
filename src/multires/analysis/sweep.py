"""The same measures over many models and seeds, gathered into one tidy table."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from multires.analysis import stages
from multires.analysis.run import ACOUSTIC, Run, open_run
from multires.errors import MultiresError, choose
from multires.models.registry import published, shipped, untrained
from multires.profiles import DEFAULT, once
from multires.results import Result, provenance, write_table

MEASURES: dict[str, Callable[[Run], Result]] = {
    "extract": stages.extraction,
    "cca": stages.cca,
    "mi": stages.mutual_information,
    "probe": stages.probes,
}
"""Stages that can be swept, by the name of their command."""


@dataclass(frozen=True)
class Sweep:
    """Result of `sweep`.

    Attributes
    ----------
    table
        The rows of every combination, with the further columns stage and run_seed (`seed` is that of a model's weights).
    path
        The file that holds it.
    failed
        Combinations that could not be measured, such as ``cca of mono_base, seed 1``, with the reason.
    """

    table: pd.DataFrame
    path: Path
    failed: tuple[tuple[str, str], ...]


def named(patterns: str | Sequence[str]) -> list[str]:
    """Models by name or by pattern: ``*`` and ``?`` stand for any characters of the names in the registry.

    Raises
    ------
    MultiresError
        Where a pattern fits no name. Names without ``*`` or ``?`` are checked when the run is opened.
    """
    known = [*shipped(), *untrained(), *published(), *ACOUSTIC]
    found: dict[str, None] = {}
    for pattern in patterns.split(",") if isinstance(patterns, str) else patterns:
        pattern = pattern.strip()
        fits = fnmatch.filter(known, pattern) if {"*", "?"} & set(pattern) else [pattern] * bool(pattern)
        if pattern and not fits:
            raise MultiresError(f"no model is called {pattern!r}: choose among {', '.join(known)}")
        found.update(dict.fromkeys(fits))
    return list(found)


def sweep(
    models: str | Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    measures: Sequence[str] = ("cca", "mi", "probe"),
    *,
    profile: str = DEFAULT,
    workspace: str | Path = "workspace",
    progress: bool = True,
    **options: Any,
) -> Sweep:
    """Measure every model with every seed; what the workspace holds already is not done again.

    Each combination is a run of its own, as if a notebook had been executed with these `models` and this `seed`. A
    combination that fails is named and left out, and the others go on.

    Parameters
    ----------
    models
        Names or patterns (see `named`), as a list or a comma-separated string; the profile's own where empty.
    seeds
        Of the runs.
    measures
        Some of `MEASURES`.
    profile, workspace, progress, options
        As `multires.analysis.run.open_run` takes them.

    Raises
    ------
    MultiresError
        For a wrong parameter, before any work is done, or where every combination failed.
    """
    chosen = [choose("measure", measure, tuple(MEASURES)) for measure in once("measures", measures)]
    if not chosen or not seeds:
        raise MultiresError("a sweep needs at least one seed and one measure")
    runs = [
        open_run(profile, seed=seed, workspace=workspace, models=named(models) or None, progress=progress, **options)
        for seed in once("seeds", seeds)
    ]
    work = [(run, model, measure) for run in runs for model in run.profile.models for measure in chosen]
    parts, failed = [], []
    with tqdm(work, desc="sweep", unit="table", disable=not progress) as bar:
        for run, model, measure in bar:
            bar.set_postfix_str(f"{measure} of {model}, seed {run.seed}")
            try:
                table = MEASURES[measure](_only(run, model)).table
            except MultiresError as error:
                failed.append((f"{measure} of {model}, seed {run.seed}", str(error)))
                continue
            parts.append(table.assign(stage=measure, run_seed=run.seed))
    if not parts:
        raise MultiresError(f"nothing could be measured; the first: {failed[0][0]}: {failed[0][1]}")
    gathered = pd.concat([part.astype(object) for part in parts], ignore_index=True).infer_objects()
    parameters = {
        "models": list(runs[0].profile.models), "seeds": [run.seed for run in runs], "measures": chosen, **options,
    }  # fmt: skip
    left_out = {"count": len(failed), "combinations": failed}
    source = provenance(runs[0].profile.name, parameters, stage="sweep", rows=len(gathered), left_out=left_out)
    path = write_table(_plain(gathered), runs[0].workspace / "sweeps" / f"{runs[0].profile.name}.parquet", source)
    return Sweep(gathered, path, tuple(failed))


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """The best layer of each model for each view: mean over seeds, lowest and highest, and the layer found most often.

    Parameters
    ----------
    table
        Of a `Sweep`.

    Returns
    -------
    pandas.DataFrame
        Columns stage, view, measure, model, layer, value, lowest, highest, seeds.
    """
    means = table[table["trial"].isna() & table["layer_index"].notna() & table["value"].notna()]
    means = means[~means["measure"].str.contains("shuffled") & ~means["measure"].isin(["segments", "layer weight"])]
    keys = ["stage", "view", "measure", "model"]
    best = means.loc[means.astype({"value": float}).groupby([*keys, "run_seed"], sort=False)["value"].idxmax()]
    rows = []
    for values, part in best.groupby(keys, sort=False):
        rows.append({
            **dict(zip(keys, values, strict=True)), "layer": part["layer"].mode().iloc[0],
            "value": part["value"].mean(), "lowest": part["value"].min(), "highest": part["value"].max(),
            "seeds": part["run_seed"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _only(run: Run, model: str) -> Run:
    """The same run with one of its models; the corpus that was read is shared."""
    one = replace(run, profile=replace(run.profile, models=(model,)))
    # Cached properties live in the instance's dictionary, which `replace` leaves behind.
    vars(one).update(corpus=run.corpus, segments=run.segments)
    return one


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of one kind each, as Parquet needs them: what is mixed becomes text."""
    mixed = [name for name in table.columns if len({type(value) for value in table[name].dropna()}) > 1]
    return table.assign(**{name: table[name].map(str, na_action="ignore") for name in mixed})
