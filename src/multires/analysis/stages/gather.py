"""Rows of a table, gathered over models and layers in threads, processes or on a cluster."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import torch
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from multires.analysis.kept import NotKept, only_kept_tables
from multires.analysis.run import ACOUSTIC, Run, Subject
from multires.errors import MultiresError, TooLittleSpeech
from multires.features.store import FeatureStore
from multires.models.layers import Layer
from multires.results import Result, tidy
from multires.runtime.parallel import in_processes
from multires.runtime.progress import step_bar


def distinct_models(run: Run) -> list[str]:
    """The first model of each shape: others have the same layers and predict from the same ones."""
    found: dict[Any, str] = {}
    for name in run.profile.models:
        found.setdefault((tuple(run.chosen_layers(name)), tuple(run.model(name).predicts_from)), name)
    return list(found.values())


def layer_table(run: Run, models: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a layer of each model: name, label, block, depth, frame period and first center (ms), width."""
    rows = []
    for name in run.profile.models if models is None else models:
        for layer in run.chosen_layers(name):
            rows.append({
                "model": name, "layer": layer.name, "label": layer.label, "block": layer.block, "depth": layer.index,
                "frame_period": layer.frame_period * 1000, "first_center": layer.first_center * 1000, "width": layer.dim,
            })  # fmt: skip
    return pd.DataFrame(rows)


def subject_columns(run: Run, subject: Subject) -> dict[str, Any]:
    """Columns of a table that name the model."""
    return {
        "model": subject.name,
        "condition": run.condition(subject),
        "seed": subject.seed,
        "trained": run.model(subject.name, subject.seed).trained,
    }


def subject_table(run: Run) -> pd.DataFrame:
    """One row a model of the run and seed: model, condition, seed, trained."""
    return pd.DataFrame([subject_columns(run, subject) for subject in run.subjects])


def layer_columns(layer: Layer) -> dict[str, Any]:
    """Columns of a table that name the layer."""
    return {
        "layer": layer.name,
        "layer_index": layer.index,
        "block": layer.block,
        "frame_period": layer.frame_period,
    }


def subject_layers(run: Run, subject: Subject) -> list[Layer]:
    """The layers of a model that the run looks at."""
    return run.chosen_layers(subject.name, subject.seed)


Place = tuple[FeatureStore, Layer, dict[str, Any]]
"""A layer, where its vectors are, and the columns that name it."""


def subject_places(run: Run, subjects: list[Subject]) -> list[Place]:
    """Every layer of some models; extracts what the workspace does not hold yet."""
    return [
        (run.features(subject.name, subject.seed), layer, {**subject_columns(run, subject), **layer_columns(layer)})
        for subject in subjects
        for layer in subject_layers(run, subject)
    ]


def kept_or(run: Run, stage: Callable[[Run], Result], part: Callable[[], Result]) -> Result:
    """The table of a stage if the workspace holds it, else a part of the table that takes less time."""
    try:
        with only_kept_tables():
            return stage(run)
    except NotKept:
        return part()


def gather_rows(
    run: Run,
    stage: str,
    work: Sequence[Any],
    rows_of: Callable[[Any], list[dict[str, Any]]],
    unit: str = "layer",
    spreads: Callable[[Any], bool] = lambda piece: False,
) -> pd.DataFrame:
    """The rows of every piece of work, in order, worked on here or by the workers of a cluster.

    A piece that `spreads` is itself spread over the workers: it is started from here.
    """
    if run.engine.remote:
        rows = _gather_there(run, stage, work, rows_of, unit, spreads)
    else:
        rows = _gather_here(run, stage, work, rows_of, unit)
    if not rows:
        raise TooLittleSpeech(f"{stage}: corpus {run.corpus.name} {_too_little(run)}")
    return tidy(rows)


def _too_little(run: Run) -> str:
    """Reason and remedy for a table without rows."""
    if not run.segments["unit"].isin(["phone", "word"]).any():
        return "has no phones and words with times: give recordings with alignments"
    if len({utterance.speaker for utterance in run.corpus}) < 2:
        return (
            "has one speaker, and this is evaluated on others than it is fitted to: give recordings of more speakers, in a "
            "folder each"
        )
    return (
        "has too few phones and words with times for it: give recordings with more of them, or, in Python, lower "
        "word_instances of open_run"
    )


def _gather_here(
    run: Run, stage: str, work: Sequence[Any], rows_of: Callable[[Any], list[dict[str, Any]]], unit: str
) -> list[dict[str, Any]]:
    """Side by side with one thread each: a core for each layer is several times faster than all cores for one layer.

    Threads of Python wait for one another; where there is enough to do, processes are started, which do not.
    """
    if not work:
        return []
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            warnings.catch_warnings(),
            threadpool_limits(1),
            step_bar(stage, len(work), unit, shown=run.progress) as bar,
        ):
            warnings.filterwarnings("ignore", message=_NOTED_IN_TABLE)
            began = time.perf_counter()
            rows = rows_of(work[0])
            bar.update()
            ahead = (time.perf_counter() - began) * (len(work) - 1)
            apart = cores > 1 and ahead > _WORTH_PROCESSES and run.device == "cpu"
            gathered = _in_processes if apart else _in_threads
            for found in gathered(rows_of, work[1:], min(cores, max(len(work) - 1, 1))):
                rows += found
                bar.update()
            return rows
    finally:
        torch.set_num_threads(cores)


_WORTH_PROCESSES = 6.0
"""Seconds of work on one core that are worth the few that processes take to start; they stay for the next stage."""


def _in_threads(
    rows_of: Callable[[Any], list[dict[str, Any]]], work: Sequence[Any], count: int
) -> Iterator[list[dict[str, Any]]]:
    """The rows of every piece, in order."""
    yield from Parallel(n_jobs=count, backend="threading", return_as="generator")(delayed(rows_of)(w) for w in work)


def _in_processes(
    rows_of: Callable[[Any], list[dict[str, Any]]], work: Sequence[Any], count: int
) -> Iterator[list[dict[str, Any]]]:
    """As `_in_threads`, by processes, whose warnings are repeated here.

    A piece with a damaged shard, which only this process can extract again, is done here, and so is one that fails:
    the error is then raised here.
    """

    def caught(piece: Any) -> tuple[list[dict[str, Any]] | None, list[tuple[str, type[Warning]]]]:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            try:
                rows = rows_of(piece)
            except MultiresError:
                rows = None
        return rows, [(str(warning.message), warning.category) for warning in found]

    for piece, (rows, messages) in zip(work, in_processes(caught, work, count), strict=True):
        for message, category in messages:
            warnings.warn(message, category, stacklevel=2)
        yield rows_of(piece) if rows is None else rows


_NOTED_IN_TABLE = ".* clusters were reduced to"
"""Said once for a whole table, by its columns clusters and clusters_requested and the sentence drawn from them."""


def _gather_there(
    run: Run,
    stage: str,
    work: Sequence[Any],
    rows_of: Callable[[Any], list[dict[str, Any]]],
    unit: str,
    spreads: Callable[[Any], bool],
) -> list[dict[str, Any]]:
    """By the workers, which read the vectors from the workspace; the rows come back in any order."""

    def numbered(job: _Job) -> tuple[int, list[dict[str, Any]]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_NOTED_IN_TABLE)
            return job.number, rows_of(job.piece)

    jobs = [_Job(number, piece) for number, piece in enumerate(work)]
    spread = [job for job in jobs if spreads(job.piece)]
    sent = [job for job in jobs if not spreads(job.piece)]
    done = chain(run.engine.each(numbered, sent, f"{unit}s of {stage}"), map(numbered, spread))
    found = {}
    with step_bar(stage, len(jobs), unit, shown=run.progress) as bar:
        for number, rows in done:
            found[number] = rows
            bar.update()
    return [row for job in jobs for row in found[job.number]]


@dataclass(frozen=True)
class _Job:
    """One piece of work and its place among the others."""

    number: int
    piece: Any

    def __str__(self) -> str:
        if not isinstance(self.piece, tuple):
            return str(self.piece)
        columns = self.piece[2]
        return " ".join(str(columns[name]) for name in ("model", "layer", "view") if name in columns)


def acoustic_places(run: Run) -> list[Place]:
    """Log-mel and MFCC as models of one layer."""
    found = []
    for name in ACOUSTIC:
        layer = run.model(name).layers[0]
        columns = {"model": name, "condition": name, "seed": 0, "trained": False, **layer_columns(layer)}
        found.append((run.features(name), layer, columns))
    return found
