"""The controlled experiment: auxiliary loss and downsampling switched independently, with seeds, on two corpora.

From a shell, each line continuing where it was stopped::

    python -m multires.experiment --estimate-only                        # what it would take here
    python -m multires.experiment --seeds 0 1 2                          # the embedded corpus, an hour or two on 2 cores
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --seeds 0 1 2    # two or three hours
    python -m multires.experiment --size gpu --device cuda --seeds 0 1 2 3 4
    python -m multires.experiment --corpus librispeech --data LIBRISPEECH --size gpu --device cuda
    torchrun --nproc-per-node 8 -m multires.experiment --size gpu --device cuda      # the same on 8 GPUs

Set OMP_NUM_THREADS to the cores that are free. Models and tables come to lie in ``experiment/<corpus>``; what ships with
the package is copied from there: the tables to ``src/multires/data/experiment``, models to ``models/pretrained``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from multires.analysis.run import ACOUSTIC, open_run
from multires.corpus import Corpus, load_corpus
from multires.corpus.detect import training_corpus
from multires.errors import MultiresError, choose
from multires.experiment.earlier import carries, effects
from multires.experiment.material import Material, load_material, load_units, save_speech, save_units
from multires.experiment.queue import Job, Reporter, end_with_parent, run_workers, work
from multires.experiment.scoring import evaluate, headline
from multires.experiment.speech import load_experiment_speech
from multires.models import load_model
from multires.models.checkpoint import save_model
from multires.models.config import LOG_MEL_GEOMETRY, ModelConfig, preset
from multires.models.mr_hubert import MultiResHubert
from multires.models.whisper import WhisperEncoder
from multires.profiles import once
from multires.results import provenance, write_table
from multires.runtime.storage import making, replace_file
from multires.training.distributed import Processes, own_device
from multires.training.pretrain import Recipe, pretrain, training_log, warm_start
from multires.training.targets import Labeller, Speech, Units, cepstral_units, layer_units, load_speech

CONDITIONS: dict[str, tuple[str, bool]] = {
    "hubert": ("hubert", False),
    "mono": ("mono", False),
    "mono+aux": ("mono", True),
    "multi": ("multi", False),
    "multi+aux": ("multi", True),
}
"""The architecture of each condition, and whether its low-resolution block has a loss of its own."""

CORPORA: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "embedded": (("train",), ("evaluation",)),
    "librispeech": (("train-clean-100",), ("test-other",)),
}
"""The splits that models and probes are trained on, and those of other speakers that they are judged on."""


@dataclass(frozen=True)
class Targets:
    """What the units are clusters of.

    Attributes
    ----------
    model
        ``mfcc``, or any name that `load_model` takes.
    layer
        The model's layer; without meaning for ``mfcc``.
    padded
        Whether Whisper's encoder reads windows filled up to 30 s. Without, units are computed several times faster.
    """

    model: str = "mfcc"
    layer: str = ""
    padded: bool = False


@dataclass(frozen=True)
class Size:
    """How large an experiment is.

    Attributes
    ----------
    recipe
        Of all conditions.
    shape
        Fields of `ModelConfig` in place of those of the preset ``small``.
    hours
        Of embedded speech to train on and to judge by in all.
    targets
        Whose clusters are predicted. The same units serve all conditions and seeds.
    evaluation
        Fields of the profile that scores are measured with, and `recognition`, `recognition_steps`.
    """

    recipe: Recipe
    shape: Mapping[str, Any] = field(default_factory=dict)
    hours: float = 3.0
    targets: Targets = Targets()
    evaluation: Mapping[str, Any] = field(default_factory=dict)


LOG_MEL_SHAPE: dict[str, Any] = {
    "front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY, "width": 192, "heads": 4, "ffn": 768, "conv_pos": 32,
    "conv_pos_groups": 16, "final_dim": 96,
}  # fmt: skip
"""2.8 million parameters on log-mel frames: the size of the controlled experiment on 2 cores."""


SIZES: dict[str, Size] = {
    "smoke": Size(
        Recipe(steps=10, batch_seconds=6, crop_seconds=1.2, classes=10, warm_steps=2, log_every=2, held_out_batches=1),
        {"width": 16, "heads": 2, "ffn": 16, "final_dim": 8, "conv_pos": 4, "conv_pos_groups": 2, "classes": 10,
         "convolutions": tuple((8, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2))},
        hours=0.05,
        evaluation={"hours": 0.05, "frames": 300, "trials": 1, "resamples": 50, "cluster_seeds": 1, "phone_clusters": 10,
                    "word_clusters": 10, "word_instances": 2, "probe_instances": 150, "views": "phone",
                    "recognition": 12, "recognition_steps": 5},
    ),
    "cpu": Size(
        Recipe(steps=5_000, batch_seconds=16, crop_seconds=5, learning_rate=3e-3, mask_probability=0.5,
               unmasked_weight=1.0, warm_steps=0, log_every=250, held_out_batches=8, precision="float32"),
        LOG_MEL_SHAPE,
        evaluation={"hours": 0.25, "frames": 6_000, "probe_instances": 8_000, "recognition": 150, "recognition_steps": 300},
    ),
    "gpu": Size(
        Recipe(steps=20_000, batch_seconds=240, warm_steps=1_500, log_every=200, held_out_batches=4), hours=10.0
    ),
}  # fmt: skip
"""``smoke`` takes seconds and shows nothing; ``cpu`` takes an hour or two on 2 cores; ``gpu`` is meant for one GPU."""


def condition_config(condition: str, size: Size) -> ModelConfig:
    """The model of a condition; conditions of one architecture differ only in the second prediction head."""
    architecture, auxiliary = CONDITIONS[choose("condition", condition, tuple(CONDITIONS))]
    shape = {name: value for name, value in size.shape.items() if name != "classes"}
    single = architecture != "hubert" and not auxiliary
    return preset(architecture, "small", classes=size.recipe.classes, single_prediction=single, **shape)


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
    """Train every condition with every seed, score all models, and test the effects; continues where it was stopped.

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
    loaded, material = _load(corpus, data, chosen, device, progress)
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
    models.update(_untrained(chosen, conditions, root / "models"))
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


def estimate(material: Material, size: Size, conditions: Sequence[str], seeds: Sequence[int], device: str) -> str:
    """Models, parameters, megabytes and hours, from the time of a few steps of the largest condition."""
    config = condition_config("multi+aux", size)
    parameters = sum(p.numel() for p in MultiResHubert(config, seed=None).parameters())
    blank = torch.zeros(int(material.speech.frame_starts[-1]), dtype=torch.int32, device=material.speech.samples.device)
    units = Units(blank, size.recipe.classes, "none", "")
    with tempfile.TemporaryDirectory() as folder:

        def run_to(step: int) -> float:
            begin = time.perf_counter()
            pretrain(config, material.speech, units, size.recipe, seed=0, out=Path(folder) / "m.safetensors", key="rate",
                     progress=False, stop_after=step)  # fmt: skip
            return time.perf_counter() - begin

        first, more = run_to(1), min(5, size.recipe.steps - 1)
        seconds = max(run_to(1 + more) - min(first, 0.5), 1e-3) / more
    trained = len(conditions) * len(seeds)
    steps = trained * size.recipe.steps + len(seeds) * size.recipe.warm_steps
    return (
        f"{trained} models of about {parameters / 1e6:.2f} million parameters ({2 * parameters / 1e6:.1f} MB each), "
        f"{size.recipe.steps} steps of {size.recipe.batch_seconds:g} s of speech each, from "
        f"{material.speech.seconds / 3600:.2f} h; {seconds:.2f} s a step on {device} "
        f"({size.recipe.batch_seconds / seconds:.0f} audio-seconds per second): about {_duration(steps * seconds)} of "
        "training, then the evaluation"
    )


def train_all(
    material: Material,
    size: Size,
    conditions: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    progress: bool = True,
) -> dict[Path, tuple[str, int]]:
    """Every condition with every seed, as files that later calls find again; condition and seed of each."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[Path, tuple[str, int]] = {}
    units, held_out = _units(material, size, folder.parent / "material", progress)
    for seed in seeds:
        wanted = {folder / f"{condition}-{seed}.safetensors": condition for condition in conditions}
        warm = None if all(path.exists() for path in wanted) else _warm(material, size, seed, folder, progress)
        for path, condition in wanted.items():
            pretrain(
                condition_config(condition, size), material.speech, units, size.recipe, seed=seed, out=path,
                key=f"{material.speech.name}/{condition}-{seed}", held_out=(material.held_out, held_out), warm=warm,
                progress=progress,
            )  # fmt: skip
        found.update({path: (condition, seed) for path, condition in wanted.items()})
    return found


def train_side_by_side(
    material: Material,
    size: Size,
    conditions: Sequence[str],
    seeds: Sequence[int],
    root: Path,
    *,
    jobs: int,
    progress: bool = True,
) -> dict[Path, tuple[str, int]]:
    """As `train_all`, by several single-threaded processes; each model comes out the same to the bit.

    The first seed's `hubert` and `multi+aux` are trained first, then seed after seed, so that what is done at any time
    can be compared.
    """
    folder = root / "models"
    _units(material, size, root / "material", progress)
    save_speech(material, condition_config("hubert", size), root / "material", progress=progress)
    first = [condition for condition in ("hubert", "multi+aux") if condition in conditions]
    ordered = [*first, *(condition for condition in conditions if condition not in first)]
    units = units_name(size)
    queue = [
        Job(f"{condition}-{seed}", condition, seed, size.recipe.steps, units) for seed in seeds for condition in ordered
    ]
    plan = {"jobs": [asdict(job) for job in queue], "size": asdict(size)}
    replace_file(root / "plan.json", lambda path: path.write_text(json.dumps(plan)))
    command = [sys.executable, "-m", "multires.experiment", "--worker", str(root)]
    run_workers(command, queue, folder, workers=jobs, progress=progress)
    return {job.path(folder): (job.condition, job.seed) for job in queue}


def run_worker(root: Path) -> None:
    """Train what a plan in `root` lists and no other process trains; one of the processes of `train_side_by_side`."""
    torch.set_num_threads(1)
    plan = json.loads((root / "plan.json").read_text())
    queue = [Job(**{**job, "changes": tuple(map(tuple, job["changes"]))}) for job in plan["jobs"]]
    size = _size(plan["size"])
    material = load_material(root / "material", sorted({job.units for job in queue}))

    def train(job: Job, report: Reporter) -> None:
        units, held_out = material.units[job.units]
        warm = _warm(material, size, job.seed, root / "models", False)
        pretrain(
            condition_config(job.condition, size), material.speech, units, replace(size.recipe, **dict(job.changes)),
            seed=job.seed, out=job.path(root / "models"), key=f"{material.speech.name}/{job.name}",
            held_out=(material.held_out, held_out), warm=warm, progress=False, report=report,
        )  # fmt: skip

    end_with_parent()
    work(queue, root / "models", train)


def _size(values: Mapping[str, Any]) -> Size:
    """A size from the JSON of its fields."""
    recipe: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values["recipe"].items()
    }
    return Size(**{**values, "recipe": Recipe(**recipe), "targets": Targets(**values["targets"])})


def units_name(size: Size) -> str:
    """The name under which units are kept: the model, its layer and the number of units."""
    targets = size.targets
    stem = PurePath(targets.model.partition(":")[2] or targets.model).name
    parts = [stem, targets.layer, str(size.recipe.classes), "padded" if targets.padded else ""]
    if targets.model == "mfcc":
        parts = ["mfcc", str(size.recipe.context), str(size.recipe.classes)]
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in parts if part)


def _units(material: Material, size: Size, folder: Path, progress: bool) -> tuple[Units, Units]:
    """The units of all conditions and seeds, computed once and kept."""
    name = units_name(size)
    folder.mkdir(parents=True, exist_ok=True)
    with making(folder / f"units-{name}.json"):
        kept = load_units(name, folder)
        if kept is not None and kept[1] == [material.speech.fingerprint, material.held_out.fingerprint]:
            return kept[0]
        found = material.labelled(_labeller(material.speech, size, progress), progress)
        save_units(name, found, material, folder)
    return found


def _labeller(speech: Speech, size: Size, progress: bool) -> Labeller:
    targets, recipe = size.targets, size.recipe
    if targets.model == "mfcc":
        return cepstral_units(speech, recipe.classes, seed=0, context=recipe.context, progress=progress)
    model = load_model(targets.model)
    if isinstance(model, WhisperEncoder):
        model.pad = targets.padded
        model.depth = next((layer.index for layer in model.layers if layer.name == targets.layer), model.depth)
    return layer_units(speech, model, targets.layer, recipe.classes, seed=0, progress=progress)


def _warm(material: Material, size: Size, seed: int, folder: Path, progress: bool) -> dict[str, torch.Tensor] | None:
    """Initial values of a waveform encoder; None for a log-mel front end, which has none, and without warm steps."""
    if not size.recipe.warm_steps or condition_config("hubert", size).front_end == "log_mel":
        return None
    path = folder / f"warm-{seed}.safetensors"
    team = Processes(material.speech.samples.device)
    if team.first and not path.exists():
        values = warm_start(
            condition_config("hubert", size), material.speech, size.recipe, seed=seed, progress=progress
        )
        partial = path.with_name(f".{path.name}")
        save_file(values, partial)
        partial.replace(path)
    team.wait()
    return load_file(path)


def _untrained(size: Size, conditions: Sequence[str], folder: Path) -> dict[Path, tuple[str, int]]:
    """The initial state of each architecture in use, as a model to compare with."""
    found = {}
    for architecture in dict.fromkeys(CONDITIONS[condition][0] for condition in conditions):
        path = folder / f"untrained-{architecture}.safetensors"
        if not path.exists():
            key = f"untrained/{architecture}"
            model = MultiResHubert(
                condition_config(architecture, size), seed=0, key=key, description=f"{key}, untrained"
            )
            save_model(model.half(), path)
        found[path] = (f"untrained {architecture}", 0)
    return found


def _load(
    corpus: str, data: str | Path | Sequence[str | Path] | None, size: Size, device: str, progress: bool
) -> tuple[Corpus, Material]:
    """The corpus, and its speech to train on and to log the loss of."""
    if corpus == "embedded":
        train, evaluation = CORPORA[corpus]
        loaded = load_corpus(corpus, splits=[*train, *evaluation], hours=size.hours, progress=progress)
        parts = [load_speech(loaded, part, device=device, progress=progress) for part in (train, evaluation)]
        return loaded, Material(parts[0], parts[1])
    assert data is not None
    loaded, roles = load_experiment_speech(data, progress=progress)
    speech, held_out = (
        load_speech(loaded, loaded.splits, speakers=set(speakers), device=device, progress=progress)
        for speakers in (roles.pretraining, roles.fit)
    )
    return loaded, Material(speech, held_out)


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


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{max(seconds / 60, 0.1):.1f} minutes"


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
