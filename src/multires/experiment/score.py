"""Scoring of every model of the experiment by speaker, in this process or in several."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multires.corpus.utterance import Corpus, Utterance
from multires.experiment.plan import CONDITIONS, PLAN
from multires.experiment.queue import Job, Reporter, run_workers, work
from multires.experiment.speakers import ROLES, Settings, score_model
from multires.experiment.speech import Roles
from multires.models import load_model
from multires.runtime.digest import code_digest
from multires.runtime.processes import PARENT, end_with_parent
from multires.runtime.storage import replace_file
from multires.training.reproducible import repr_digest

ACOUSTIC = ("mel", "mfcc")
"""Acoustic features that are scored like a model."""


@dataclass(frozen=True)
class Scored:
    """A model to score.

    Attributes
    ----------
    condition, seed
        Name it in the table.
    source
        A file, or ``mel`` or ``mfcc``.
    digest
        Changes with anything that its scores depend on: the file, the speech, the settings, this package's code.
    """

    condition: str
    seed: int
    source: str
    digest: str = ""

    @property
    def job(self) -> Job:
        """The job of the queue that scores it."""
        return Job(f"{self.condition}-{self.seed}.{self.digest}", self.condition, self.seed, 1, suffix=".parquet")


def speech_by_role(corpus: Corpus, roles: Roles, *, most: int | None = None) -> dict[str, list[Utterance]]:
    """Utterances with phones and words of the fitting, development and test speakers.

    Parameters
    ----------
    most
        Utterances of each speaker, at most; all by default.
    """
    found: dict[str, list[Utterance]] = {}
    for role in ROLES:
        speakers = set(getattr(roles, role))
        kept: dict[str, int] = {}
        found[role] = []
        for each in corpus:
            if each.speaker in speakers and each.phones and each.words:
                kept[each.speaker] = kept.get(each.speaker, 0) + 1
                if most is None or kept[each.speaker] <= most:
                    found[role].append(each)
    return found


def score_all(
    models: Sequence[Scored],
    speech: Mapping[str, Sequence[Utterance]],
    root: Path,
    *,
    settings: Settings,
    middle: Sequence[int],
    corpus: Mapping[str, Any],
    outcomes: Sequence[str] | None = None,
    jobs: int = 1,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """The scores of all models in one table; those of a model that was scored in the same way are read back.

    Parameters
    ----------
    models
        The models, and the baselines that they are compared with.
    speech
        Utterances by role.
    root
        Folder of the experiment.
    settings, middle
        See `score_model`; `middle` is for models without a middle block.
    corpus
        What a worker needs to load the same speech: the arguments of `multires.experiment.train.load_material_of`.
    outcomes
        Keys of the plan's outcomes to score; all by default.
    jobs
        Single-threaded processes side by side; 1 scores in this process.
    """
    folder = root / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    known = [code_digest(), {role: [each.id for each in heard] for role, heard in speech.items()}, asdict(settings)]
    known += [list(outcomes)] if outcomes is not None else []
    models = [replace(each, digest=_digest(each, [*known, list(middle)])) for each in models]
    queue = [each.job for each in models]
    plan = {
        "models": [asdict(each) for each in models], "settings": asdict(settings), "middle": list(middle),
        "folder": str(folder), "corpus": dict(corpus), "device": device,
        "outcomes": None if outcomes is None else list(outcomes),
    }  # fmt: skip
    replace_file(root / "scoring.json", lambda path: path.write_text(json.dumps(plan)))
    if jobs > 1 and not all(job.path(folder).exists() for job in queue):
        command = [sys.executable, "-m", "multires.experiment", "--score-worker", str(root)]
        run_workers(command, queue, folder, workers=jobs, progress=progress)
    else:
        _score_queue(models, speech, folder, settings, middle, device, outcomes)
    return pd.concat([pd.read_parquet(job.path(folder)) for job in queue], ignore_index=True)


def run_score_worker(root: Path) -> None:
    """Score what the plan in `root` lists and no other process scores; one of the processes of `score_all`."""
    from multires.experiment.train import evaluation_speech

    end_with_parent(int(os.environ.get(PARENT, os.getppid())), interrupt=True)
    torch.set_num_threads(1)
    plan = json.loads((root / "scoring.json").read_text())
    settings = Settings(**{**plan["settings"], "steps": tuple(plan["settings"]["steps"])})
    models = [Scored(**each) for each in plan["models"]]
    speech = evaluation_speech(**plan["corpus"], progress=False)
    _score_queue(models, speech, Path(plan["folder"]), settings, plan["middle"], plan["device"], plan["outcomes"])


def _score_queue(
    models: Sequence[Scored],
    speech: Mapping[str, Sequence[Utterance]],
    folder: Path,
    settings: Settings,
    middle: Sequence[int],
    device: str,
    outcomes: Sequence[str] | None = None,
) -> None:
    rules = PLAN if outcomes is None else replace(PLAN, outcomes=tuple(PLAN.outcome(key) for key in outcomes))
    by_name = {each.job.name: each for each in models}

    def score(job: Job, report: Reporter) -> None:
        each = by_name[job.name]
        depths = middle if each.condition.removeprefix("untrained ") == "hubert" else ()
        table = score_model(
            load_model(each.source), speech, condition=each.condition, seed=each.seed, folder=folder / f"outcomes-{each.digest}",
            middle=depths, settings=settings, plan=rules, device=device,
        )  # fmt: skip
        replace_file(job.path(folder), lambda path: table.to_parquet(path))

    work([each.job for each in models], folder, score)


def _digest(model: Scored, known: Sequence[Any]) -> str:
    file = "" if model.source in ACOUSTIC else hashlib.sha256(Path(model.source).read_bytes()).hexdigest()
    return repr_digest([model.source if model.source in ACOUSTIC else "", file, *known])


def references(untrained: Mapping[Path, tuple[str, int]]) -> list[Scored]:
    """The baselines: acoustic features, and each architecture without training."""
    return [
        *(Scored(name, 0, name) for name in ACOUSTIC),
        *(Scored(condition, seed, str(path.resolve())) for path, (condition, seed) in untrained.items()),
    ]


def trained(models: Mapping[Path, tuple[str, int]]) -> list[Scored]:
    """The trained models, seed by seed."""
    found = [Scored(condition, seed, str(path.resolve())) for path, (condition, seed) in models.items()]
    return sorted(found, key=lambda each: (each.seed, CONDITIONS.index(each.condition)))


def smaller(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with some fields replaced, as a size of the experiment asks."""
    return replace(settings, **{**changes, **({"steps": tuple(changes["steps"])} if "steps" in changes else {})})
