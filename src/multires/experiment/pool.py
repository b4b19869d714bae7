"""Seeds of several runs of the controlled experiment, pooled into one set of tables.

Runs on different machines or days may each train some of the seeds. From a shell::

    python -m multires.experiment.pool RUN/librispeech/tables OTHER/librispeech/tables --out pooled/librispeech/tables

"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.experiment.conditions import CONDITIONS
from multires.experiment.plan import REFERENCES
from multires.experiment.tables import write_tables
from multires.results import provenance, read_table
from multires.training.targets import without_folder

_LOG = logging.getLogger(__name__)

TOLERANCE = 0.002
"""Largest difference between two runs' scores of one baseline, over all test speakers of an outcome."""

_SAME = ("corpus_fingerprint", "corpus_hours", "speakers")

_PLACE = ["outcome", "condition", "role", "layer", "form", "labels"]


def pool(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Pool the seeds of several runs, and analyze them as one experiment.

    Models of different runs are compared only where everything but the seed is the same. The recipe, the targets, the
    speech and the conditions are read from the provenance; that the models were scored alike is seen from the baselines,
    which every run scores itself.

    Parameters
    ----------
    runs
        Folders of tables; each is ``<out>/<corpus>/tables`` of a run.
    out
        Folder for the pooled tables; it may be one of `runs`.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    MultiresError
        If there are fewer than two runs, a run has another recipe, speech or set of conditions, two runs hold the same
        seed of a condition, or their scores of a baseline differ by more than `TOLERANCE`.
    """
    folders = [Path(run).expanduser() for run in runs]
    if len(folders) < 2:
        raise MultiresError("pooling needs the tables of at least two runs")
    scores, sources = zip(*(read_table(folder / "scores.parquet") for folder in folders), strict=True)
    logs = [read_table(folder / "training.parquet")[0] for folder in folders]
    settings = [_settings(source) for source in sources]
    for folder, each in zip(folders[1:], settings[1:], strict=True):
        if different := sorted(name for name in each if each[name] != settings[0][name]):
            raise MultiresError(f"{folder} has another {different[0]} than {folders[0]}: {each[different[0]]} and "
                                f"{settings[0][different[0]]}; only seeds of one experiment can be pooled")  # fmt: skip
    seeds = _disjoint_seeds(scores, folders)
    largest = max(
        (_baseline_difference(scores[0], other, folder, folders[0])
         for other, folder in zip(scores[1:], folders[1:], strict=True)),
    )  # fmt: skip
    trained = [table[table["condition"].isin(CONDITIONS)] for table in scores]
    baselines = scores[0][~scores[0]["condition"].isin(CONDITIONS)]
    source = {
        **provenance(sources[0]["profile"], {**sources[0]["parameters"], "seeds": seeds}),
        **{name: sources[0][name] for name in (*_SAME, "skipped") if name in sources[0]},
        "pooled": {
            "runs": [
                {name: each.get(name) for name in ("date", "revision", "machine")}
                | {"seeds": each["parameters"]["seeds"]}
                for each in sources
            ],
            "largest_difference_of_baselines": largest,
        },
    }
    pooled = pd.concat([*trained, baselines], ignore_index=True)
    return write_tables(pooled, pd.concat(logs, ignore_index=True), Path(out).expanduser(), source)


def _settings(source: Mapping[str, Any]) -> dict[str, str]:
    """The settings that must agree between runs, as text; a teacher without the folder that it is in."""
    parameters = dict(source["parameters"])
    size = json.loads(json.dumps(parameters.get("size", {})))
    if "model" in size.get("targets", {}):
        size["targets"]["model"] = without_folder(size["targets"]["model"])
    values = {"profile": source.get("profile"), "conditions": parameters.get("conditions")}
    values |= {name: source.get(name) for name in _SAME}
    values |= {f"size ({name})": value for name, value in size.items()}
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


def _disjoint_seeds(scores: Sequence[pd.DataFrame], folders: Sequence[Path]) -> list[int]:
    """All seeds; an error where two runs trained the same condition with the same seed."""
    where: dict[tuple[str, int], Path] = {}
    for table, folder in zip(scores, folders, strict=True):
        trained = table[table["condition"].isin(CONDITIONS)]
        for condition, seed in trained[["condition", "seed"]].drop_duplicates().itertuples(index=False):
            if (condition, seed) in where:
                raise MultiresError(f"{where[condition, seed]} and {folder} both hold seed {seed} of {condition}; "
                                    "leave one of them out")  # fmt: skip
            where[condition, int(seed)] = folder
    return sorted({seed for _, seed in where})


def _baseline_difference(first: pd.DataFrame, other: pd.DataFrame, folder: Path, reference: Path) -> float:
    """The largest difference of a baseline's score over all speakers of a role; an error above the tolerance."""
    sums = [
        table[table["condition"].isin(REFERENCES)].groupby(_PLACE)[["correct", "total"]].sum()
        for table in (first, other)
    ]
    joined = sums[0].join(sums[1].add_suffix("_other"), how="inner")
    if joined.empty:
        raise MultiresError(
            f"{folder} and {reference} have no baseline in common: score {' or '.join(REFERENCES)} in both"
        )
    if not joined["total"].equals(joined["total_other"]):
        outcome = joined.index[joined["total"] != joined["total_other"]][0][0]
        raise MultiresError(
            f"{folder} and {reference} scored {outcome} on different items; score them on the same speech"
        )
    difference = (joined["correct"] / joined["total"] - joined["correct_other"] / joined["total_other"]).abs()
    _LOG.info("scores of the baselines of %s differ by at most %.2g", folder, difference.max())
    if difference.max() > TOLERANCE:
        place = ", ".join(map(str, difference.idxmax()))
        raise MultiresError(f"{folder} and {reference} differ by {difference.max():.4f} in a baseline ({place}), more than "
                            f"{TOLERANCE}: they were scored by different versions or settings; score one of them again")  # fmt: skip
    return float(difference.max())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.pool``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.pool", description=pool.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("runs", type=Path, nargs="+", help="folders of tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pooled tables")
    try:
        print(pool(**vars(parser.parse_args(arguments))))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
