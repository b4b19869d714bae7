"""Sensitivity of the experiment's result to its targets and its recipe.

Models that were trained with other units, or with one number of the recipe changed, are scored on tasks that need little
time, and MR-HuBERT is compared with HuBERT under each. From a shell, for the table that comes with the package::

    multires experiment --corpus librispeech --data LIBRISPEECH --conditions hubert,multi+aux --seeds 0,1 --jobs 2 \\
        --recipe precision=float32 --out sensitivity/mfcc --train-only
    python -m multires.experiment.sensitivity --data LIBRISPEECH --main experiment/librispeech \\
        "MFCC=sensitivity/mfcc/librispeech"

"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multires.corpus.utterance import Utterance
from multires.errors import MultiresError
from multires.experiment.analysis import arrange
from multires.experiment.conditions import CONDITIONS, SIZES, Size
from multires.experiment.contrasts import choose_layers, contrast, effects
from multires.experiment.material import load_units
from multires.experiment.plan import PLAN, REFERENCES
from multires.experiment.run import middle_depths
from multires.experiment.score import score_all, smaller, speech_by_role, trained
from multires.experiment.speakers import Settings
from multires.experiment.speech import load_experiment_speech
from multires.experiment.tables import experiment_tables
from multires.experiment.teacher import frame_phones
from multires.measures.units import unit_scores
from multires.models.checkpoint import read_header
from multires.results import provenance, read_table, write_table
from multires.runtime.notices import show_notices
from multires.training.speech import Speech, frame_count, load_speech

_LOG = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "data" / "experiment" / "sensitivity.parquet"
"""The table that comes with the package."""

_MODEL = re.compile(r"(.+)-(\d+)\.safetensors")


def shipped_sensitivity() -> pd.DataFrame:
    """The table that comes with the package (see `compare_runs`)."""
    return read_table(SHIPPED)[0]


def compare_runs(
    runs: Mapping[str, str | Path],
    data: Sequence[str | Path],
    *,
    main: str | Path,
    main_name: str = "Whisper encoder",
    out: Path = SHIPPED,
    size: Size = SIZES["cpu"],
    jobs: int = 1,
    progress: bool = True,
) -> Path:
    """Score the models of each run, and write the quality of its targets, what its models learn, and its effects.

    Parameters
    ----------
    runs
        Name and folder (``<out>/librispeech`` of the experiment, with models and material) of each sensitivity run.
    data
        Folders that each hold a part of LibriSpeech, the same as in training.
    main, main_name
        Folder of the main run, whose material holds its units, and the name of its targets. Its scores are those of the
        package.
    out
        The ``.parquet`` file to write.
    size
        Its evaluation settings, those of the main run.
    jobs
        Single-threaded processes that score.

    Returns
    -------
    pathlib.Path
        `out`, a table with the columns run, changes, outcome, measure, estimand, value, low, high, seeds, speakers.
        Measures: ``pnmi`` of the targets with phones of speakers that no model was trained on; ``lead`` of HuBERT over
        MFCC on test speakers; ``effect``, the plan's estimands for which the run has the conditions.

    Raises
    ------
    MultiresError
        If a folder holds no trained models or no units, or speech differs from that of the main run.
    """
    corpus, roles = load_experiment_speech(data, progress=progress)
    held_out = load_speech(corpus, corpus.splits, speakers=set(roles.fit), progress=progress)
    heard = [each for each in corpus if each.speaker in set(roles.fit) and frame_count(len(each.audio)) > 0]
    (shipped,) = (each for each in experiment_tables() if each.corpus == "LibriSpeech")
    baselines = shipped.scores[shipped.scores["condition"].isin(REFERENCES)]
    speech = speech_by_role(corpus, roles)
    rows = [
        *_targets(main_name, Path(main), held_out, heard),
        *_effects(main_name, "", shipped.scores),
    ]
    details = {}
    for name, place in runs.items():
        folder = Path(place)
        models = _models(folder)
        scores = score_all(
            trained(models), speech, folder, settings=smaller(Settings(), size.evaluation), middle=middle_depths(size),
            corpus={"corpus": "librispeech", "data": [str(Path(each).resolve()) for each in data], "hours": 0.0, "most": None},
            outcomes=PLAN.sensitivity, jobs=jobs, progress=progress,
        )  # fmt: skip
        changes = _changes(models, shipped.source)
        details[name] = {"models": sorted(path.stem for path in models), "changes": changes}
        rows += _targets(name, folder, held_out, heard, changes)
        rows += _effects(name, changes, pd.concat([scores, baselines], ignore_index=True))
    source = provenance(
        "librispeech", {"outcomes": list(PLAN.sensitivity), "runs": details}, corpus_fingerprint=corpus.fingerprint,
        command="python -m multires.experiment.sensitivity --data LIBRISPEECH --main experiment/librispeech NAME=FOLDER ...",
    )  # fmt: skip
    return write_table(pd.DataFrame(rows), out, source)


def _models(folder: Path) -> dict[Path, tuple[str, int]]:
    """Condition and seed of each trained model of a run."""
    found = _trained_files(folder)
    if not found:
        raise MultiresError(f"{folder} holds no trained models: name the folder <out>/librispeech of the experiment")
    return found


def _trained_files(folder: Path) -> dict[Path, tuple[str, int]]:
    matches = {path: _MODEL.fullmatch(path.name) for path in sorted((folder / "models").glob("*.safetensors"))}
    return {path: (match[1], int(match[2])) for path, match in matches.items() if match and match[1] in CONDITIONS}


def _changes(models: Mapping[Path, Any], main_run: Mapping[str, Any]) -> str:
    """Units and fields of the recipe in which a run differs from the main one, as text."""
    headers = [read_header(path) for path in models]
    recipe = main_run["parameters"]["size"]["recipe"]
    if other := [path for path, each in zip(models, headers, strict=True)
                 if each["corpus_fingerprint"] != main_run["corpus_fingerprint"]]:  # fmt: skip
        raise MultiresError(
            f"{other[0]} was trained on other speech than the experiment in the package; give the same data"
        )
    found = {(each["units"], each["recipe"]) for each in headers}
    if len(found) != 1:
        raise MultiresError(f"{next(iter(models)).parent} holds models of different recipes or units; keep them apart")
    units, own = found.pop()
    fields = {name: value for name, value in json.loads(own).items() if value != recipe.get(name)}
    return "; ".join([f"units of {units}", *(f"{name} {value}" for name, value in sorted(fields.items()))])


def _targets(
    name: str, folder: Path, speech: Speech, heard: Sequence[Utterance], changes: str = ""
) -> list[dict[str, Any]]:
    """PNMI of a run's units with the phones of speakers that no model is trained on."""
    kept = sorted((folder / "material").glob("units-*.json"))
    predicted = {read_header(path)["units_fingerprint"] for path in _trained_files(folder)}
    for path in kept:
        found = load_units(path.stem.removeprefix("units-"), folder / "material")
        if found is None or found[1][1] != speech.fingerprint:
            continue
        (train, units), _ = found
        if predicted and train.fingerprint not in predicted:
            continue
        phones = [frame_phones(each.phones or (), frame_count(len(each.audio))) for each in heard]
        labels = np.concatenate(phones)
        speakers = np.repeat([each.speaker for each in heard], [len(part) for part in phones])
        inside = labels != ""
        scores = unit_scores(units.labels.numpy()[inside], labels[inside], speakers[inside], name=name)
        low, high = scores.bootstrap["pnmi"].interval
        row = {"value": scores.values["pnmi"], "low": low, "high": high, "speakers": len(set(speakers[inside]))}
        return [{"run": name, "changes": changes, "outcome": "", "measure": "pnmi", "estimand": "", "seeds": 0, **row}]
    raise MultiresError(f"{folder}/material holds no units of this speech: train the run's models with the same data")


def _effects(name: str, changes: str, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """HuBERT's lead over MFCC, and every estimand for which there are conditions, on test speakers."""
    rows = []
    for key in PLAN.sensitivity:
        part = scores[scores["outcome"].eq(key) & scores["candidate"].astype(bool) & scores["labels"].eq("true")]
        if absent := {"development", "test"} - set(part["role"]):
            _LOG.warning("%s: no %s speaker has been scored on %s; it is left out", name, sorted(absent)[0], key)
            continue
        chosen = choose_layers(arrange(part, key)[0])
        found: dict[tuple[str, str], Any] = {("effect", name): each for name, each in effects(chosen).effects.items()}
        lead = contrast(chosen.test, chosen.test_totals, {PLAN.interest.condition: 1.0, PLAN.interest.baseline: -1.0})
        if lead is not None:
            found["lead", ""] = lead
        rows += [
            {"run": name, "changes": changes, "outcome": key, "measure": measure, "estimand": estimand,
             "value": float(each.value), "low": float(each.low), "high": float(each.high), "seeds": each.seeds,
             "speakers": each.speakers}
            for (measure, estimand), each in found.items()
        ]  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.sensitivity``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.sensitivity", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument(
        "runs", nargs="+", metavar="NAME=FOLDER", help="folders <out>/librispeech of the sensitivity runs"
    )
    parser.add_argument("--data", required=True, nargs="+", help="folders that each hold a part of LibriSpeech")
    parser.add_argument("--main", required=True, type=Path, help="folder <out>/librispeech of the main run")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the .parquet file to write")
    parser.add_argument("--jobs", type=int, default=1, help="single-threaded processes that score")
    given = vars(parser.parse_args(arguments))
    show_notices()
    runs: dict[str, str] = {}
    try:
        for pair in given.pop("runs"):
            name, equal, folder = pair.partition("=")
            if not (name and equal and folder) or name in runs:
                raise MultiresError(f"runs: {pair!r} is not NAME=FOLDER with a name of its own")
            runs[name] = folder
        print(compare_runs(runs, given.pop("data"), **given))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
