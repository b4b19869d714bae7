"""Training of every condition with every seed, in this process or in several."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePath
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from multires.corpus import load_corpus
from multires.corpus.utterance import Corpus, Utterance
from multires.experiment.conditions import CONDITIONS, CORPORA, Size, Targets, condition_config
from multires.experiment.material import Material, load_material, load_units, save_speech, save_units
from multires.experiment.queue import Job, Reporter, run_workers, work
from multires.experiment.score import speech_by_role
from multires.experiment.speech import Roles, assign_evaluation, load_experiment_speech
from multires.models import load_model
from multires.models.checkpoint import save_model
from multires.models.mr_hubert import MultiResHubert
from multires.models.whisper import WhisperEncoder
from multires.runtime.processes import PARENT, end_with_parent
from multires.runtime.storage import making, replace_file
from multires.runtime.temporary import remove_abandoned
from multires.training.distributed import Processes
from multires.training.pretrain import pretrain
from multires.training.recipe import Recipe
from multires.training.speech import Speech, load_speech
from multires.training.targets import Labeler, Units, cepstral_units, layer_units
from multires.training.warm_start import warm_start


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
    units, held_out = prepare_units(material, size, folder.parent / "material", progress)
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
    prepare_units(material, size, root / "material", progress)
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
    end_with_parent(int(os.environ.get(PARENT, os.getppid())), interrupt=True)
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


def prepare_units(material: Material, size: Size, folder: Path, progress: bool) -> tuple[Units, Units]:
    """The units of all conditions and seeds, computed once and kept."""
    name = units_name(size)
    folder.mkdir(parents=True, exist_ok=True)
    with making(folder / f"units-{name}.json"):
        kept = load_units(name, folder)
        if kept is not None and kept[1] == [material.speech.fingerprint, material.held_out.fingerprint]:
            return kept[0]
        found = material.labeled(_labeler(material.speech, size, progress), progress)
        save_units(name, found, material, folder)
    return found


def _labeler(speech: Speech, size: Size, progress: bool) -> Labeler:
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
    team = Processes(material.speech.device)
    if team.first:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        with making(path):
            if not path.exists():
                config = condition_config("hubert", size)
                values = warm_start(config, material.speech, size.recipe, seed=seed, progress=progress)
                replace_file(path, lambda partial: save_file(values, partial))
    team.wait()
    return load_file(path)


def untrained_models(size: Size, conditions: Sequence[str], folder: Path) -> dict[Path, tuple[str, int]]:
    """The initial state of each architecture in use, as a model to compare with."""
    found = {}
    for architecture in dict.fromkeys(CONDITIONS[condition][0] for condition in conditions):
        path = folder / f"untrained-{architecture}.safetensors"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            key = f"untrained/{architecture}"
            model = MultiResHubert(
                condition_config(architecture, size), seed=0, key=key, description=f"{key}, untrained"
            )
            save_model(model.half(), path)
        found[path] = (f"untrained {architecture}", 0)
    return found


def load_material_of(
    corpus: str,
    data: str | Path | Sequence[str | Path] | None,
    size: Size,
    device: str,
    progress: bool,
    folder: Path | None = None,
) -> tuple[Corpus, Roles, Material]:
    """The corpus, the roles of its speakers, and its speech to train on and to log the loss of.

    Speech that is too long for memory is kept in `folder` (see `load_speech`).
    """
    loaded, roles = _load(corpus, data, size.hours, progress)
    speech, held_out = (
        load_speech(loaded, loaded.splits, speakers=set(speakers), device=device, folder=folder, progress=progress)
        for speakers in (roles.pretraining, roles.fit)
    )
    return loaded, roles, Material(speech, held_out)


def evaluation_speech(
    corpus: str, data: Sequence[str] | None, hours: float, most: int | None, *, progress: bool = True
) -> dict[str, list[Utterance]]:
    """The utterances by role on which models are scored."""
    loaded, roles = _load(corpus, data, hours, progress)
    return speech_by_role(loaded, roles, most=most)


def _load(
    corpus: str, data: str | Path | Sequence[str | Path] | None, hours: float, progress: bool
) -> tuple[Corpus, Roles]:
    if corpus == "synthetic":
        train, evaluation = CORPORA[corpus]
        loaded = load_corpus(corpus, splits=[*train, *evaluation], hours=hours, progress=progress)
        return loaded, assign_evaluation({(u.split, u.speaker) for u in loaded}, train)
    assert data is not None
    return load_experiment_speech(data, progress=progress)
