"""The tables of the controlled experiment: those that come with the package, or those of one's own run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.experiment.analysis import analyze
from multires.experiment.plan import CONDITIONS, PLAN
from multires.results import read_table, write_table

_SHIPPED = Path(__file__).parents[1] / "data" / "experiment"

NAMES = {"synthetic": "synthetic", "librispeech": "LibriSpeech"}
"""Display names of the corpora."""

TABLES = ("scores", "training", "effects", "carries", "chosen", "claims")


@dataclass(frozen=True)
class ExperimentTables:
    """One corpus' experiment.

    Attributes
    ----------
    corpus
        Its display name.
    scores
        Correct and total items of every model, layer and speaker (see `multires.experiment.analysis.SCORE_COLUMNS`).
    training
        The training logs.
    effects
        See `multires.experiment.analysis.effect_rows`.
    carries
        The first gate, see `multires.experiment.analysis.learned`.
    chosen
        The layer of each condition and outcome that development speakers chose.
    claims
        claim and verdict: the first two claims.
    source
        Provenance of the tables.
    """

    corpus: str
    scores: pd.DataFrame
    training: pd.DataFrame
    effects: pd.DataFrame
    carries: pd.DataFrame
    chosen: pd.DataFrame
    claims: pd.DataFrame
    source: Mapping[str, Any]

    @property
    def seeds(self) -> int:
        """Seeds of each condition."""
        return int(self.training.groupby("condition")["seed"].nunique().min())

    @property
    def speakers(self) -> int:
        """Test speakers of the outcome that has most of them."""
        test = self.scores[self.scores["role"] == "test"]
        return int(test.groupby("outcome")["speaker"].nunique().max())

    def layers(self, outcome: str) -> pd.DataFrame:
        """Scores of one outcome over all test speakers, a row for each model, layer, form and kind of labels.

        Columns: condition, seed, layer, layer_index, block, frame_period, form, labels, value, low, high (both equal to
        value), trained.
        """
        keys = ["condition", "seed", "layer", "layer_index", "block", "frame_period", "form", "labels"]
        rows = self.scores[self.scores["outcome"].eq(outcome) & self.scores["role"].eq("test")]
        sums = rows.groupby(keys, as_index=False, dropna=False)[["correct", "total"]].sum()
        value = sums["correct"] / sums["total"]
        return sums.assign(value=value, low=value, high=value, trained=sums["condition"].isin(CONDITIONS))

    def by_seed(self, outcome: str) -> pd.DataFrame:
        """Scores of each trained model at the layer that development speakers chose: condition, seed, score, value."""
        rows = self.layers(outcome)
        places = self.chosen[self.chosen["outcome"] == outcome]
        kept = rows[rows["labels"].eq("true") & rows["trained"]].merge(places[["condition", "layer", "form"]])
        return kept.assign(score=PLAN.outcome(outcome).name)[["condition", "seed", "score", "value"]]

    @property
    def title(self) -> str:
        """For rows of tables of verdicts."""
        name = {"synthetic": "synthetic speech"}.get(self.corpus, self.corpus)
        return f"experiment, {name}, {self.seeds} seed{'s' if self.seeds != 1 else ''}"


def experiment_tables(folder: str | Path | None = None) -> list[ExperimentTables]:
    """The experiments there are, one a corpus.

    Parameters
    ----------
    folder
        What ``multires experiment --out`` names; the tables that come with the package where None or empty, and for a
        corpus that the folder does not have.

    Raises
    ------
    MultiresError
        Where the folder holds no finished experiment, or a table cannot be read.
    """
    found = []
    own = {key: Path(folder).expanduser() / key / "tables" for key in NAMES} if folder else {}
    if folder and not any(place.is_dir() for place in own.values()):
        raise MultiresError(
            f"experiment: {folder} holds no tables of the experiment (such as {Path('synthetic') / 'tables'}): "
            "name the folder that `multires experiment --out` wrote, or leave it empty"
        )
    for key, name in NAMES.items():
        place = own[key] if key in own and own[key].is_dir() else _SHIPPED / key
        if place.is_dir():
            read = {table: read_table(place / f"{table}.parquet") for table in TABLES}
            tables = {table: value for table, (value, _) in read.items()}
            found.append(ExperimentTables(name, **tables, source=read["effects"][1]))
    return found


def write_tables(scores: pd.DataFrame, training: pd.DataFrame, folder: Path, source: Mapping[str, Any]) -> Path:
    """Analyze the scores by the plan, and write them with the training logs and everything that is drawn from them.

    Parameters
    ----------
    scores
        The columns of `multires.experiment.analysis.SCORE_COLUMNS`.
    training
        The training logs, with the columns condition and seed.
    folder
        Is made.
    source
        Provenance of all tables.

    Returns
    -------
    pathlib.Path
        `folder`.
    """
    found = analyze(scores, training)
    tables = (scores, training, found.effects, found.learned, found.chosen, found.claims)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in zip(TABLES, tables, strict=True):
        write_table(table, folder / f"{name}.parquet", {**source, "table": name, "rows": len(table)})
    return folder


def all_effects(tables: list[ExperimentTables]) -> pd.DataFrame:
    """The effects on every corpus, with a column corpus."""
    return pd.concat([each.effects.assign(corpus=each.corpus) for each in tables], ignore_index=True)
