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
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from multires.analysis.run import ACOUSTIC, open_run
from multires.corpus import Corpus, load_corpus
from multires.errors import MultiresError, choose
from multires.experiment.scoring import evaluate, headline
from multires.experiment.statistics import carries, effects
from multires.models.checkpoint import load_checkpoint, save_model
from multires.models.mr_hubert import ModelConfig, MultiResHubert, preset
from multires.results import provenance, write_table
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
    iterations
        1: units from MFCC. 2: HuBERT is trained so first, and the units of all conditions are those of its layer
        `teacher`.
    teacher
        The layer of the first iteration that the second predicts.
    evaluation
        Fields of the profile that scores are measured with, and `recognition`, `recognition_steps`.
    """

    recipe: Recipe
    shape: Mapping[str, Any] = field(default_factory=dict)
    hours: float = 3.0
    iterations: int = 1
    teacher: str = "encoder.0.3"
    evaluation: Mapping[str, Any] = field(default_factory=dict)


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
        Recipe(steps=1_500, batch_seconds=32, learning_rate=4e-3, feature_gradient=0.0, warm_steps=500, log_every=50,
               precision="float32"),
        evaluation={"hours": 0.25, "frames": 6_000, "probe_instances": 8_000, "recognition": 150, "recognition_steps": 300},
    ),
    "gpu": Size(
        Recipe(steps=20_000, batch_seconds=240, warm_steps=1_500, log_every=200, held_out_batches=4), hours=10.0
    ),
}  # fmt: skip
"""``smoke`` takes seconds and shows nothing; ``cpu`` takes an hour or two on 2 cores; ``gpu`` is meant for one GPU."""

CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("librispeech", "cpu"): {"steps": 3_000, "warm_steps": 5_000, "warm_learning_rate": 4e-3, "feature_penalty": 0.0},
}
"""By corpus and size, what the recipe has in place of the size's own values: read speech wants a better start."""


def condition_config(condition: str, size: Size) -> ModelConfig:
    """The model of a condition; conditions of one architecture differ only in the second prediction head."""
    architecture, auxiliary = CONDITIONS[choose("condition", condition, tuple(CONDITIONS))]
    shape = {name: value for name, value in size.shape.items() if name != "classes"}
    single = architecture != "hubert" and not auxiliary
    return preset(architecture, "small", classes=size.recipe.classes, single_prediction=single, **shape)


@dataclass(frozen=True)
class Material:
    """What all models of a corpus are trained on."""

    speech: Speech
    held_out: Speech

    def units(self, labeller: Labeller, progress: bool) -> tuple[Units, Units]:
        """Of the speech to train on and of the held-out speech, by the same centroids."""
        return labeller(self.speech, progress=progress), labeller(self.held_out, progress=progress)


def main_experiment(
    corpus: str = "embedded",
    *,
    data: str | Path | None = None,
    size: str | Size = "cpu",
    seeds: Sequence[int] = (0, 1, 2),
    conditions: Sequence[str] = tuple(CONDITIONS),
    out: str | Path = "experiment",
    device: str = "cpu",
    steps: int | None = None,
    estimate_only: bool = False,
    progress: bool = True,
) -> Path:
    """Train every condition with every seed, score all models, and test the effects; continues where it was stopped.

    Parameters
    ----------
    corpus, data
        ``embedded``, or ``librispeech`` with the folder of the corpus.
    size
        One of `SIZES`, with the recipe's `CHANGES` for the corpus, or a `Size`, taken as it is.
    steps
        In place of those of the recipe.
    out
        Holds ``<corpus>/models``, ``<corpus>/tables`` (scores, training, effects, carries) and the workspace of the
        evaluation.
    device
        cpu, cuda or cuda:N.
    estimate_only
        Measure a few steps, print what the experiment would take, and stop.

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
    if isinstance(size, Size):
        chosen = size
    else:
        chosen = SIZES[choose("size", size, tuple(SIZES))]
        chosen = replace(chosen, recipe=replace(chosen.recipe, **CHANGES.get((corpus, size), {})))
    if steps is not None:
        chosen = replace(chosen, recipe=replace(chosen.recipe, steps=steps))
    for condition in conditions:
        choose("condition", condition, tuple(CONDITIONS))
    if corpus != "embedded" and not data:
        raise MultiresError(f"corpus {corpus!r} is read from a folder: name it with data (--data)")
    root = Path(out) / corpus
    device = own_device(device)
    team = Processes(torch.device(device))
    progress = progress and team.first
    loaded = _load(corpus, data, chosen, progress)
    material = _material(loaded, corpus, device, progress)
    if team.count == 1 or estimate_only:
        print(estimate(material, chosen, conditions, seeds, device), flush=True)
    if estimate_only:
        return root
    models = train_all(material, chosen, conditions, seeds, root / "models", progress=progress)
    if not team.first:
        return root / "tables"
    models.update(_untrained(chosen, conditions, root / "models"))
    scores = _score(corpus, data, chosen, models, root, device, progress)
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
    trained = len(conditions) * len(seeds) + (len(seeds) if size.iterations == 2 else 0)
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
    for seed in seeds:
        wanted = {folder / f"{condition}-{seed}.safetensors": condition for condition in conditions}
        if not all(path.exists() for path in wanted):
            warm = _warm(material, size, seed, folder / f"warm-{seed}.safetensors", progress)
            labeller = cepstral_units(
                material.speech, size.recipe.classes, seed=seed, context=size.recipe.context, progress=progress
            )
            if size.iterations == 2:
                labeller = _second(material, size, labeller, warm, seed, folder, progress)
            units, held_out = material.units(labeller, progress)
            for path, condition in wanted.items():
                pretrain(
                    condition_config(condition, size), material.speech, units, size.recipe, seed=seed, out=path,
                    key=f"{material.speech.name}/{condition}-{seed}", held_out=(material.held_out, held_out), warm=warm,
                    progress=progress,
                )  # fmt: skip
        found.update({path: (condition, seed) for path, condition in wanted.items()})
    return found


def _second(
    material: Material,
    size: Size,
    labeller: Labeller,
    warm: Mapping[str, torch.Tensor],
    seed: int,
    folder: Path,
    progress: bool,
) -> Labeller:
    """Units from the first iteration's HuBERT, trained here where it is not there yet."""
    units, held_out = material.units(labeller, progress)
    first = pretrain(
        condition_config("hubert", size), material.speech, units, size.recipe, seed=seed, warm=warm,
        out=folder / f"first-{seed}.safetensors", key=f"{material.speech.name}/first-{seed}",
        held_out=(material.held_out, held_out), progress=progress,
    )  # fmt: skip
    model = load_checkpoint(first)
    return layer_units(material.speech, model, size.teacher, size.recipe.classes, seed=seed, progress=progress)


def _warm(material: Material, size: Size, seed: int, path: Path, progress: bool) -> dict[str, torch.Tensor]:
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


def _load(corpus: str, data: str | Path | None, size: Size, progress: bool) -> Corpus:
    train, evaluation = CORPORA[corpus]
    hours = size.hours if corpus == "embedded" else None
    return load_corpus(corpus, data, splits=[*train, *evaluation], hours=hours, progress=progress)


def _material(loaded: Corpus, corpus: str, device: str, progress: bool) -> Material:
    train, evaluation = CORPORA[corpus]
    return Material(*(load_speech(loaded, part, device=device, progress=progress) for part in (train, evaluation)))


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
    parser.add_argument("--data", help="the folder of LibriSpeech")
    parser.add_argument("--size", default="cpu", choices=tuple(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=tuple(CONDITIONS))
    parser.add_argument("--out", default="experiment")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, help="in place of the size's own")
    parser.add_argument("--estimate-only", action="store_true", help="print what it would take, and stop")
    try:
        print(main_experiment(**vars(parser.parse_args(arguments))))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error
