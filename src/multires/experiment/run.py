"""The controlled experiment: auxiliary loss and downsampling switched independently, with seeds, on two corpora.

From a shell (an interrupted run continues)::

    python -m multires.experiment --estimate-only                        # what it would take here
    python -m multires.experiment --seeds 0 1 2                          # synthetic speech, an hour or two on 2 cores
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --seeds 0 1 2    # two or three hours
    python -m multires.experiment --size gpu --device cuda --seeds 0 1 2 3 4
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --size gpu --device cuda
    torchrun --nproc-per-node 8 -m multires.experiment --size gpu --device cuda      # the same on 8 GPUs

Models and tables are written to ``experiment/<corpus>``. The shipped tables (``src/multires/data/experiment``) and models
(``src/multires/models/pretrained``) are copies of these.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multires.corpus.detect import training_corpus
from multires.errors import MultiresError, choose
from multires.experiment.conditions import CONDITIONS, CORPORA, SIZES, Size, Targets, changed, condition_config
from multires.experiment.estimate import estimate
from multires.experiment.score import references, run_score_worker, score_all, smaller, speech_by_role, trained
from multires.experiment.speakers import Settings
from multires.experiment.tables import write_tables
from multires.experiment.train import load_material_of, run_worker, train_all, train_side_by_side, untrained_models
from multires.models.mr_hubert import MultiResHubert
from multires.profiles import once, present_name
from multires.results import provenance
from multires.runtime.notices import show_notices
from multires.runtime.processes import Terminated, interrupt_on_termination
from multires.training.distributed import Processes, own_device
from multires.training.records import training_log
from multires.training.targets import without_folder


def main_experiment(
    corpus: str = "synthetic",
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    size: str | Size = "cpu",
    seeds: Sequence[int] = (0, 1, 2),
    conditions: Sequence[str] = tuple(CONDITIONS),
    out: str | Path = "experiment",
    device: str = "cpu",
    jobs: int = 1,
    steps: int | None = None,
    teacher: Targets | tuple[str, str] | None = None,
    classes: int | None = None,
    recipe: Sequence[str] = (),
    estimate_only: bool = False,
    train_only: bool = False,
    progress: bool = True,
) -> Path:
    """Train every condition with every seed, score all models, and test the effects; an interrupted run continues.

    Parameters
    ----------
    corpus, data
        ``synthetic``, or ``librispeech`` with the folder of the corpus, or several folders that each hold a part of it.
    size
        One of `SIZES`, or a `Size`.
    steps, classes
        In place of the recipe's.
    recipe
        Further changes of it, such as ``auxiliary_weight=2``.
    teacher
        Model and layer whose clusters are predicted, in place of the size's targets.
    out
        Holds ``<corpus>/material``, ``<corpus>/models``, ``<corpus>/scores`` and ``<corpus>/tables`` (scores, training,
        effects, carries, chosen, claims).
    device
        cpu, cuda or cuda:N.
    jobs
        Single-threaded processes that train and score side by side on the CPU; 1 does so in this process.
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
    corpus = choose("corpus", present_name("corpus", corpus), tuple(CORPORA))
    corpus = training_corpus(corpus, data)
    seeds, conditions = once("seeds", seeds), once("conditions", conditions)
    chosen = size if isinstance(size, Size) else SIZES[choose("size", size, tuple(SIZES))]
    chosen = changed(chosen, steps=steps, teacher=teacher, classes=classes, recipe=recipe)
    for condition in conditions:
        choose("condition", condition, tuple(CONDITIONS))
    if corpus != "synthetic" and not data:
        raise MultiresError(f"corpus {corpus!r} is read from a folder: name it with data (--data)")
    root = Path(out) / corpus
    device = own_device(device)
    team = Processes(torch.device(device))
    progress = progress and team.first
    loaded, roles, material = load_material_of(corpus, data, chosen, device, progress, root / "material")
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
    settings = dict(chosen.evaluation)
    most = settings.pop("utterances", None)
    scores = score_all(
        [*trained(models), *references(untrained_models(chosen, conditions, root / "models"))],
        speech_by_role(loaded, roles, most=most), root,
        settings=smaller(Settings(), settings), middle=middle_depths(chosen), jobs=jobs, device=device, progress=progress,
        corpus={"corpus": corpus, "data": _folders(data), "hours": chosen.hours, "most": most},
    )  # fmt: skip
    source = provenance(
        corpus,
        {"size": _published(chosen), "seeds": list(seeds), "conditions": list(conditions), "data": corpus},
        corpus_fingerprint=material.speech.fingerprint,
        corpus_hours=round(material.speech.seconds / 3600, 3),
        skipped={"count": len(loaded.skipped), "files": list(loaded.skipped)},
        speakers={role: len(speakers) for role, speakers in asdict(roles).items()},
    )
    logs = [training_log(path).assign(condition=condition, seed=seed) for path, (condition, seed) in models.items()]
    return write_tables(scores, pd.concat(logs, ignore_index=True), root / "tables", source)


def middle_depths(size: Size) -> list[int]:
    """Depths of the middle block of the U-shaped models, where models without one are compared with it."""
    layers = MultiResHubert(condition_config("mono", size), seed=None).layers
    return [layer.index for layer in layers if layer.block.startswith("middle")]


def _published(size: Size) -> dict[str, Any]:
    """The fields of a size, the teacher without the folder that it is in."""
    return asdict(replace(size, targets=replace(size.targets, model=without_folder(size.targets.model))))


def _folders(data: str | Path | Sequence[str | Path] | None) -> list[str] | None:
    if data is None:
        return None
    places = [data] if isinstance(data, str | Path) else list(data)
    return [str(Path(place).expanduser().resolve()) for place in places]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment", description=main_experiment.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--corpus", default="synthetic", help="synthetic or librispeech")
    parser.add_argument("--data", nargs="+", help="the folder of LibriSpeech, or folders that each hold a part of it")
    parser.add_argument("--jobs", type=int, default=1, help="single-threaded processes that train side by side")
    parser.add_argument(
        "--teacher", default="", help="the model whose layer gives the units; the size's own by default"
    )
    parser.add_argument("--teacher-layer", default="", help="its layer")
    parser.add_argument("--classes", type=int, help="clusters to predict, in place of the recipe's")
    parser.add_argument("--recipe", nargs="+", default=(), metavar="NAME=VALUE", help="changes of the recipe")
    parser.add_argument("--train-only", action="store_true", help="stop when all models are trained")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--score-worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", default="cpu", choices=tuple(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=tuple(CONDITIONS))
    parser.add_argument("--out", default="experiment")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, help="in place of the size's own")
    parser.add_argument("--estimate-only", action="store_true", help="print what it would take, and stop")
    given = vars(parser.parse_args(arguments))
    show_notices()
    interrupt_on_termination()
    worker, scorer, teacher, layer = (
        given.pop(name) for name in ("worker", "score_worker", "teacher", "teacher_layer")
    )
    try:
        if worker is not None:
            run_worker(worker)
            return
        if scorer is not None:
            run_score_worker(scorer)
            return
        print(main_experiment(**given, teacher=Targets(teacher, layer) if teacher else None))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error
    except KeyboardInterrupt:
        print("multires: interrupted; the next run continues from here", file=sys.stderr)
        raise SystemExit(128 + (Terminated.last or signal.SIGINT)) from None
