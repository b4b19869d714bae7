"""The tables of the controlled experiment: those that come with the package, or those of one's own run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.experiment import earlier
from multires.results import read_table

_SHIPPED = Path(__file__).parents[1] / "data" / "experiment"

NAMES = {"embedded": "embedded", "librispeech": "LibriSpeech"}
"""Display names of the corpora."""

TABLES = ("scores", "training", "effects", "carries")

_ACOUSTIC = ("mel", "mfcc")


@dataclass(frozen=True)
class ExperimentTables:
    """One corpus' experiment.

    Attributes
    ----------
    corpus
        Its name for people.
    scores
        Every score of every model (see `multires.experiment.scoring.evaluate`).
    training
        The training logs.
    effects
        See `multires.experiment.analysis.effect_rows`.
    carries
        The first gate, see `multires.experiment.analysis.learned`.
    claims
        claim and verdict: the first two claims.
    source
        Where the tables come from.
    note
        What readers must know about how the models were scored.
    """

    corpus: str
    scores: pd.DataFrame
    training: pd.DataFrame
    effects: pd.DataFrame
    carries: pd.DataFrame
    claims: pd.DataFrame
    source: Mapping[str, Any]
    note: str = ""

    @property
    def seeds(self) -> int:
        """Seeds of each condition."""
        return int(self.training.groupby("condition")["seed"].nunique().min())

    def of_layers(self, stage: str, view: str) -> pd.DataFrame:
        """The scores of the models' layers with a view: means over trials, of every measure and of shuffled labels."""
        rows = self.scores[self.scores["stage"].eq(stage) & self.scores["view"].eq(view) & self.scores["trial"].isna()]
        return rows[rows["layer_index"].notna() & ~rows["model"].isin(_ACOUSTIC)]

    @property
    def title(self) -> str:
        """For rows of tables of verdicts."""
        name = {"embedded": "synthetic speech"}.get(self.corpus, self.corpus)
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
            f"experiment: {folder} holds no tables of the experiment (such as {Path('embedded') / 'tables'}): "
            "name the folder that `multires experiment --out` wrote, or leave it empty"
        )
    for key, name in NAMES.items():
        place = own[key] if key in own and own[key].is_dir() else _SHIPPED / key
        if place.is_dir():
            read = {table: read_table(place / f"{table}.parquet") for table in TABLES}
            tables = {table: value for table, (value, _) in read.items()}
            note = ""
            if (place / "claims.parquet").is_file():
                tables["claims"], _ = read_table(place / "claims.parquet")
            else:
                tables["effects"], tables["claims"] = earlier.adapt(tables["scores"], tables["carries"])
                note = earlier.NOTE
            found.append(ExperimentTables(name, **tables, source=read["effects"][1], note=note))
    return found


def all_effects(tables: list[ExperimentTables]) -> pd.DataFrame:
    """The effects on every corpus, with a column corpus."""
    return pd.concat([each.effects.assign(corpus=each.corpus) for each in tables], ignore_index=True)
