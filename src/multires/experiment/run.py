"""The controlled experiment: auxiliary loss and downsampling switched independently, with seeds, on two corpora.

From a shell (an interrupted run continues)::

    python -m multires.experiment --estimate-only                        # what it would take here
    python -m multires.experiment --seeds 0 1 2                          # the embedded corpus, an hour or two on 2 cores
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --seeds 0 1 2    # two or three hours
    python -m multires.experiment --size gpu --device cuda --seeds 0 1 2 3 4
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --size gpu --device cuda
    torchrun --nproc-per-node 8 -m multires.experiment --size gpu --device cuda      # the same on 8 GPUs

Models and tables are written to ``experiment/<corpus>``. The shipped tables (``src/multires/data/experiment``) and models
(``src/multires/models/pretrained``) are copies of these.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multires.analysis.run import ACOUSTIC, open_run
from multires.corpus.detect import training_corpus
from multires.errors import MultiresError, choose
from multires.experiment.conditions import CONDITIONS, CORPORA, SIZES, Size, Targets
from multires.experiment.earlier import carries, effects
from multires.experiment.estimate import estimate
from multires.experiment.scoring import evaluate, headline
from multires.experiment.train import load_material_of, run_worker, train_all, train_side_by_side, untrained_models
from multires.profiles import once
from multires.results import provenance, write_table
from multires.training.distributed import Processes, own_device
from multires.training.records import training_log


def main_experiment(
    corpus: str = "embedded",
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    size: str | Size = "cpu",
    seeds: Sequence[int] = (0, 1, 2),
    conditions: Sequence[str] = tuple(CONDITIONS),
    out: str | Path = "experiment",
    device: str = "cpu",
    jobs: int = 1,
    steps: int | None = None,
    teacher: Targets | None = None,
    estimate_only: bool = False,
    train_only: bool = False,
    progress: bool = True,
) -> Path:
    """Train every condition with every seed, score all models, and test the effects; an interrupted run continues.

    Parameters
    ----------
    corpus, data
        ``embedded``, or ``librispeech`` with the folder of the corpus, or several folders that each hold a part of it.
    size
        One of `SIZES`, or a `Size`.
    steps, teacher
        In place of the recipe's steps and of the size's targets.
    out
        Holds ``<corpus>/material``, ``<corpus>/models``, ``<corpus>/tables`` (scores, training, effects, carries) and the
        workspace of the evaluation.
    device
        cpu, cuda or cuda:N.
    jobs
        Single-threaded processes that train side by side on the CPU; 1 trains in this process.
    estimate_only
        Measure a few steps, print what the experiment would take, and stop.
    train_only
        Stop when all models are trained; the folder of the models is returned.

    Returns
    -------
    pathlib.Path
        The folder of the tables.

    Raises
    ------
    MultiresError
        For an unknown corpus, size or condition, a missing folder, or a table that cannot be written.
    """
    choose("corpus", corpus, tuple(CORPORA))
    corpus = training_corpus(corpus, data)
    seeds, conditions = once("seeds", seeds), once("conditions", conditions)
    chosen = size if isinstance(size, Size) else SIZES[choose("size", size, tuple(SIZES))]
    if steps is not None:
        chosen = replace(chosen, recipe=replace(chosen.recipe, steps=steps))
    if teacher is not None:
        chosen = replace(chosen, targets=teacher)
    for condition in conditions:
        choose("condition", condition, tuple(CONDITIONS))
    if corpus != "embedded" and not data:
        raise MultiresError(f"corpus {corpus!r} is read from a folder: name it with data (--data)")
    root = Path(out) / corpus
    device = own_device(device)
    team = Processes(torch.device(device))
    progress = progress and team.first
    loaded, material = load_material_of(corpus, data, chosen, device, progress)
    if team.count == 1 or estimate_only:
        print(estimate(material, chosen, conditions, seeds, device), flush=True)
    if estimate_only:
        return root
    if jobs > 1:
        models = train_side_by_side(material, chosen, conditions, seeds, root, jobs=jobs, progress=progress)
    else:
        models = train_all(material, chosen, conditions, seeds, root / "models", progress=progress)
    if train_only:
        return root / "models"
    if not team.first:
        return root / "tables"
    models.update(untrained_models(chosen, conditions, root / "models"))
    scores = _score(
        corpus,
        data if data is None or isinstance(data, str | Path) else data[0],
        chosen,
        models,
        root,
        device,
        progress,
    )
    source = provenance(
        corpus,
        {"size": asdict(chosen), "seeds": list(seeds), "conditions": list(conditions), "data": corpus},
        corpus_fingerprint=material.speech.fingerprint,
        corpus_hours=round(material.speech.seconds / 3600, 3),
        skipped={"count": len(loaded.skipped), "files": list(loaded.skipped)},
    )
    return _write_tables(scores, models, root / "tables", source)


def _score(
    corpus: str,
    data: str | Path | None,
    size: Size,
    models: Mapping[Path, tuple[str, int]],
    root: Path,
    device: str,
    progress: bool,
) -> pd.DataFrame:
    """Every score of every model: a run for each seed, whose tables a later call finds in the workspace again.

    Untrained models are scored with the first seed, and so are the acoustic features, which no seed changes.
    """
    changes = {name: value for name, value in size.evaluation.items() if not name.startswith("recognition")}
    if corpus != "embedded":
        changes.pop("hours", None)
    first = min(seed for condition, seed in models.values() if condition in CONDITIONS)
    groups: dict[int, list[Path]] = {}
    for path, (condition, seed) in models.items():
        groups.setdefault(seed if condition in CONDITIONS else first, []).append(path)
    tables = []
    for seed, group in sorted(groups.items()):
        names = [str(path.resolve()) for path in group]
        run = open_run(
            corpus, data=data, workspace=root / "workspace", device=device, progress=progress,
            models=tuple(names), reference_model=names[0], **changes,
        )  # fmt: skip
        found = evaluate(
            run, dict(zip(names, (models[path] for path in group), strict=True)),
            recognition=size.evaluation.get("recognition", 300), steps=size.evaluation.get("recognition_steps", 600),
        )  # fmt: skip
        tables.append(found if seed == first else found[~found["model"].isin(ACOUSTIC)])
    return pd.concat(tables, ignore_index=True)


def _write_tables(
    scores: pd.DataFrame, models: Mapping[Path, tuple[str, int]], folder: Path, source: Mapping[str, Any]
) -> Path:
    logs = [
        training_log(path).assign(condition=condition, seed=seed)
        for path, (condition, seed) in models.items()
        if condition in CONDITIONS
    ]
    training = pd.concat(logs, ignore_index=True)
    phones = scores[
        (scores["stage"] == "probe") & (scores["view"] == "phone") & (scores["measure"] == "accuracy")
        & (scores["layer"] != "weighted sum")
    ]  # fmt: skip
    tables = {
        "scores": scores,
        "training": training,
        "effects": effects(headline(scores)),
        "carries": carries(phones, training),
    }
    for name, table in tables.items():
        write_table(table, folder / f"{name}.parquet", {**source, "table": name, "rows": len(table)})
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment", description=main_experiment.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--corpus", default="embedded", choices=tuple(CORPORA))
    parser.add_argument("--data", nargs="+", help="the folder of LibriSpeech, or folders that each hold a part of it")
    parser.add_argument("--jobs", type=int, default=1, help="single-threaded processes that train side by side")
    parser.add_argument(
        "--teacher", default="", help="the model whose layer gives the units; the size's own by default"
    )
    parser.add_argument("--teacher-layer", default="", help="its layer")
    parser.add_argument("--train-only", action="store_true", help="stop when all models are trained")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", default="cpu", choices=tuple(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=tuple(CONDITIONS))
    parser.add_argument("--out", default="experiment")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, help="in place of the size's own")
    parser.add_argument("--estimate-only", action="store_true", help="print what it would take, and stop")
    given = vars(parser.parse_args(arguments))
    worker, teacher, layer = (given.pop(name) for name in ("worker", "teacher", "teacher_layer"))
    try:
        if worker is not None:
            run_worker(worker)
            return
        print(main_experiment(**given, teacher=Targets(teacher, layer) if teacher else None))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error
