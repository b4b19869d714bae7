"""One run: its checked parameters, its workspace, and what has been made there already."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multires.analysis.data import data_folder, speech_profile
from multires.analysis.kept import NotKept, kept_table, only_kept
from multires.analysis.plan import corpus_folder, is_here, make_plan
from multires.corpus import Corpus, load_corpus, openslr
from multires.corpus.files import readable
from multires.corpus.roles import SharedSpeakers, check_roles, divide_by_speaker
from multires.corpus.utterance import Utterance
from multires.errors import MultiresError, TooLittleSpeech
from multires.features.extract import extract
from multires.features.frames import FrameStore, keep_frames, spread_utterances
from multires.features.sampling import at_most_each
from multires.features.segments import segment_table
from multires.features.shared import SharedTable
from multires.features.sources import NamedModel, fingerprint
from multires.features.store import FeatureStore
from multires.features.windows import LONG_SECONDS, windowed
from multires.models import load_model
from multires.models.hooked import Hooked
from multires.models.layers import Layer, LayeredModel
from multires.models.mr_hubert import MultiResHubert
from multires.models.registry import check_cells, published
from multires.profiles import DEFAULT, Profile, positive_integer, text_parameter
from multires.results import Result, provenance, read_table, write_table
from multires.runtime import storage
from multires.runtime.digest import code_digest
from multires.runtime.engine import LOCAL, Engine, open_engine
from multires.runtime.notices import show_notices
from multires.runtime.parallel import remove_shared_memory_of_the_dead
from multires.runtime.progress import begin_steps
from multires.visible import visible

logger = logging.getLogger(__name__)

ACOUSTIC = ("mel", "mfcc")
"""The acoustic features that serve as view and as baseline, extracted like models."""

INPUTS = ("conv", "input")
"""Blocks before the transformer, which comparisons of blocks and layers at equal frame rates leave out."""


@dataclass(frozen=True)
class Subject:
    """A model to look at: its name, and the seed of its weights where they are random."""

    name: str
    seed: int


@dataclass(frozen=True)
class Run:
    """An opened run. Stages take it and write their results to its workspace."""

    profile: Profile
    seed: int
    workspace: Path
    data: Path | None
    layers: tuple[str, ...] | None
    device: str
    progress: bool = field(default=True, compare=False)
    engine: Engine = field(default=LOCAL, compare=False)
    jobs: int | None = field(default=None, compare=False)
    _models: dict[Subject, LayeredModel] = field(default_factory=dict, compare=False, repr=False)
    _stores: dict[Subject, FeatureStore] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """The part of the run that a worker needs: parameters and stores, without corpus and models."""
        left = {"corpus", "segments", "frame_sample"}
        return {
            **{name: value for name, value in self.__dict__.items() if name not in left},
            "engine": LOCAL, "progress": False, "_models": {},
        }  # fmt: skip

    @cached_property
    def corpus(self) -> Corpus:
        """The utterances, read, synthesized or downloaded on first access."""
        if self.data is not None and self.profile.downloads and self.data == corpus_folder():
            openslr.provide(self.data, self.profile.splits, progress=self.progress)
        corpus = load_corpus(
            self.profile.corpus,
            self.data,
            splits=self.profile.splits or None,
            seed=self.seed,
            hours=self.profile.hours,
            limit=self.profile.utterances,
            progress=self.progress,
        )
        if corpus.skipped:
            name, reason = corpus.skipped[0]
            logger.info(
                "%s: %d utterances; %d problems, which the provenance of the tables lists, such as %s: %s",
                readable(self.data or corpus.name), len(corpus), len(corpus.skipped), name, reason,
            )  # fmt: skip
        if copies := _copies(corpus):
            logger.warning(
                "%d recordings hold the same audio as another one of their split, such as %s and %s: they count twice; "
                "remove the copies", len(copies), *copies[0],
            )  # fmt: skip
        if self.profile.split_by_speaker is not None:
            corpus = divide_by_speaker(corpus, self.profile.split_by_speaker, seed=self.seed)
        return corpus

    @cached_property
    def shared_speakers(self) -> SharedSpeakers:
        """Speakers that are both fitted to and evaluated on, which only `allow_shared_speakers` accepts.

        Raises
        ------
        MultiresError
            If the training and the evaluation splits have more in common than that.
        """
        profile = self.profile
        shared = check_roles(
            self.corpus, profile.train, profile.evaluation, allow_shared_speakers=profile.allow_shared_speakers
        )
        if shared.names:
            logger.warning("there are %s, as allow_shared_speakers accepts", shared)
        return shared

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Every segment that vectors are extracted for (see `multires.features.segments.segment_table`)."""
        self._check_splits()
        profile = self.profile
        found = segment_table(self.corpus, frames=profile.frames, seed=self.seed)
        return at_most_each(
            found, phones=profile.phones_each, words=profile.words_each, word_types=profile.word_types, seed=self.seed
        )

    @property
    def _sample(self) -> tuple[int | None, ...]:
        """Settings that the segments depend on besides corpus and seed."""
        words = (self.profile.words_each, self.profile.word_types) if self.profile.words_each else (None, None)
        return self.profile.frames, self.profile.phones_each, *words

    @property
    def _roles(self) -> dict[str, Any]:
        """Provenance of the division of speech and of shared speakers; empty by default."""
        share, shared = self.profile.split_by_speaker, self.shared_speakers.names
        return {
            **({} if share is None else {"split_by_speaker": share}),
            **({"shared_speakers": list(shared)} if shared else {}),
        }

    def _check_splits(self) -> None:
        """Refuse roles that the corpus cannot fill or that overlap; speech of one speaker has no evaluation split."""
        there = self.corpus.splits
        if self.profile.split_by_speaker is not None and len(there) == 1:
            logger.warning(
                "all speech is by one speaker: nothing can be evaluated on others, so clusters and probes are left out"
            )
            return
        for split in (*self.profile.train, *self.profile.evaluation):
            if split not in there:
                raise MultiresError(
                    f"the corpus at {readable(self.data or self.corpus.name)} has no split {split!r} (it has "
                    f"{', '.join(there)}): name two that it has with train_splits and evaluation_splits "
                    "(--train-splits, --evaluation-splits), or divide it with split_by_speaker=0.5 (--split-by-speaker)"
                )
        _ = self.shared_speakers

    @property
    def subjects(self) -> list[Subject]:
        """Every model of the run, untrained ones once for each seed."""
        return [
            Subject(name, seed)
            for name in self.profile.models
            for seed in (self.profile.model_seeds if name.startswith("untrained/") else (0,))
        ]

    @property
    def example(self) -> Subject:
        """The model that is looked at where one must do: the last trained one, the last of all where none is trained."""
        trained = [subject for subject in self.subjects if self.model(subject.name, subject.seed).trained]
        return (trained or self.subjects)[-1]

    def model(self, name: str, seed: int = 0) -> LayeredModel:
        """A model of the run, loaded once."""
        subject = Subject(name, seed)
        if subject not in self._models:
            self._models[subject] = load_model(name, seed=seed)
        return self._models[subject]

    def chosen_layers(self, name: str, seed: int = 0) -> list[Layer]:
        """The layers of one model that the run looks at: those it has of the ones named, all where none is named."""
        layers = self.model(name, seed).layers
        return [layer for layer in layers if self.layers is None or layer.name in self.layers]

    def check_layers(self) -> None:
        """Refuse a layer that no model has, and a model that has none of the layers."""
        known = {
            layer.name: None for subject in self.subjects for layer in self.model(subject.name, subject.seed).layers
        }
        unknown = [name for name in self.layers or () if name not in known]
        if unknown:
            raise MultiresError(
                f"no layer {', '.join(unknown)} in any model of this run: choose from {', '.join(known)}"
            )
        for subject in self.subjects:
            if not self.chosen_layers(subject.name, subject.seed):
                raise MultiresError(
                    f"{subject.name} has none of the layers {', '.join(self.layers or ())}: leave it out of models, "
                    "or name a layer that it has"
                )

    def condition(self, subject: Subject) -> str:
        """Condition of a model in tables: its architecture, and for trained ones whether the low resolution had a loss.

        It is read from the configuration, as for a published checkpoint: hubert, mono (one resolution), multi; with
        ``+aux`` where it predicts at every resolution. Models of other kinds keep their names.
        """
        model = self.model(subject.name, subject.seed)
        if not isinstance(model, MultiResHubert):
            return subject.name
        return model.condition.cell if model.trained else model.condition.architecture

    def features(self, name: str, seed: int = 0) -> FeatureStore:
        """The vectors of one model, extracted where the workspace does not hold them yet."""
        subject = Subject(name, seed)
        if subject not in self._stores:
            self._stores[subject] = self._extract(self.model(name, seed), subject)
        return self._stores[subject]

    def frames(self, name: str, seed: int = 0) -> FrameStore:
        """Every frame of one model in a sample of utterances, run where the workspace does not hold them yet."""
        subject, model = Subject(name, seed), self.model(name, seed)
        layers = model.layers if name in ACOUSTIC else self.chosen_layers(name, seed)
        layers = [layer for layer in layers if layer.block not in INPUTS] or list(layers)
        splits, most = (*self.profile.train, *self.profile.evaluation), self.profile.frame_utterances
        key = _digest(
            code_digest(), self.corpus.fingerprint, self._roles, splits, most, self.seed, fingerprint(model),
            [layer.name for layer in layers],
        )  # fmt: skip
        path = self.workspace / "frames" / _folder_name(subject, key)
        return keep_frames(model, self.frame_sample, layers, path, device=self.device)

    @cached_property
    def frame_sample(self) -> list[Utterance]:
        """The utterances whose frames are read whole, for measures that do not work on means of segments."""
        self._check_splits()
        splits = tuple(
            split for split in (*self.profile.train, *self.profile.evaluation) if split in self.corpus.splits
        )
        found = spread_utterances(self.corpus, splits, self.profile.frame_utterances, self.seed)
        if not found:
            raise TooLittleSpeech(
                f"corpus {self.corpus.name} has no utterance with phones and words with times: give recordings with "
                "alignments"
            )
        return found

    def _extract(self, model: LayeredModel, subject: Subject) -> FeatureStore:
        layers = None
        if self.layers is not None and subject.name not in ACOUSTIC:
            # The views conv and layer are read from the store, whether or not they are among the layers looked at.
            views = {model.layers[0].name, model.layers[-1].name}
            layers = [layer.name for layer in model.layers if layer.name in {*self.layers, *views}]
        weights = fingerprint(model)
        key = _digest(code_digest(), self.corpus.fingerprint, self._sample, self.seed, weights, layers)
        path = self.workspace / "features" / _folder_name(subject, key)
        subjects = self.subjects
        place = f"{subjects.index(subject) + 1} of {len(subjects)}" if subject in subjects else ""
        store = extract(
            model, self.corpus, self.segments, path, layers=layers, device=self.device, engine=self.engine, jobs=self.jobs,
            source=NamedModel(subject.name, subject.seed, weights), progress=self.progress, place=place,
        )  # fmt: skip
        store.share_labels(self._shared_segments)
        return store

    @cached_property
    def _shared_segments(self) -> SharedTable:
        return SharedTable.write(self.segments, self.workspace / "segments")

    def table(
        self,
        stage: str,
        parameters: Mapping[str, Any],
        compute: Callable[[], pd.DataFrame],
        *,
        corpus: bool = True,
    ) -> Result:
        """A stage's table from the workspace, or computed and kept there.

        Parameters
        ----------
        stage
            Names the file.
        parameters
            All that the table depends on besides the corpus and seed; they stand in the provenance.
        compute
            Gives the table.
        corpus
            False for tables that do not depend on any speech.

        Raises
        ------
        NotKept
            Within `only_kept_tables`, if the workspace does not hold the table.
        """
        speech: dict[str, Any] = {}
        if corpus:
            sample = {
                name: getattr(self.profile, name) for name in ("utterances", "frames", "phones_each", "words_each")
            }
            speech = {
                "corpus": self.corpus.name,
                "corpus_fingerprint": self.corpus.fingerprint,
                **sample,
                **self._roles,
            }
        parameters = {**parameters, **speech, "seed": self.seed, "device": self.device}
        key = _digest(code_digest(), stage, parameters)
        # What depends on no speech serves every profile of the workspace.
        name = f"{self.profile.name}-{stage}" if corpus else stage
        path = self.workspace / "tables" / f"{name}-{key}.parquet"
        kept, _ = kept_table(path, key, parameters)
        if kept is not None:
            return kept
        if only_kept():
            raise NotKept(stage)
        with storage.making(path):
            kept, problem = kept_table(path, key, parameters)  # another run may have made it in the meantime
            if kept is not None:
                return kept
            if problem:
                logger.warning("%s: computing it again", problem)
            return self._made(path, key, stage, parameters, compute, corpus)

    def _windows(self) -> dict[str, object]:
        """Provenance of recordings that models see in windows."""
        shortest = min(LONG_SECONDS, Hooked.whole_seconds)
        if not any(utterance.duration > shortest for utterance in self.corpus):
            return {}
        return windowed(self.corpus, [self.model(subject.name, subject.seed) for subject in self.subjects])

    def _made(
        self,
        path: Path,
        key: str,
        stage: str,
        parameters: Mapping[str, Any],
        compute: Callable[[], pd.DataFrame],
        corpus: bool,
    ) -> Result:
        table = compute()
        more: dict[str, Any] = (
            {"skipped": {"count": len(self.corpus.skipped), "files": list(self.corpus.skipped)}} if corpus else {}
        )
        if corpus and (copies := _copies(self.corpus)):
            more["copies"] = [list(pair) for pair in copies]
        long = self._windows() if corpus else {}
        source = provenance(self.profile.name, parameters, key=key, stage=stage, rows=len(table), **more, **long)
        write_table(table, path, source)
        return Result(read_table(path)[0], source, path)  # as every later run sees it, types included


def open_run(
    profile: str = DEFAULT,
    *,
    data: str | Path | None = None,
    seed: int = 0,
    workspace: str | Path = "workspace",
    layers: str | list[str] | None = None,
    device: str = "cpu",
    engine: Any = None,
    jobs: int | None = None,
    progress: bool = True,
    speech: bool = True,
    **overrides: Any,
) -> Run:
    """Check the parameters of a run and make its workspace.

    Parameters
    ----------
    profile
        librispeech-sample, synthetic, librispeech or paper (see `multires.profiles`).
    data
        The folder of the corpus. librispeech-sample and synthetic need none, and read one that is given with the settings
        of librispeech; paper downloads what it needs if none is given, and states its size beforehand.
    seed
        Of synthesis, sampling, clusters, probes and bootstraps.
    workspace
        Where vectors and tables are kept: a folder, made where it is missing, or a URL that fsspec can write to.
    layers
        Names of the layers to look at, as a list or a comma-separated string; all where None or empty.
    device
        cpu, cuda or cuda:N.
    engine
        What extracts and measures: ``local``, the address of a Dask scheduler, a Dask client, or an
        `multires.runtime.engine.Engine`; where None, what the variable MULTIRES_ENGINE names, else ``local``. Workers must
        have this version of the package, and reach corpus and workspace under the same paths.
    jobs
        Batches that this process extracts at a time; None for the number that a measurement on this machine favors.
    speech
        False for a run that only computes what depends on no speech, so that it needs no folder.
    overrides
        Fields of the profile to replace; None keeps the profile's own value. ``train_splits`` and ``evaluation_splits``
        name the splits that are fitted to and evaluated on; ``split_by_speaker=0.5`` divides the speech into two halves
        without a common speaker instead.

    Raises
    ------
    MultiresError
        With one sentence that names the parameter, before any work is done.
    """
    if progress:
        show_notices()
        begin_steps()
    chosen = speech_profile(profile, data if speech else None, **overrides)
    chosen = replace(chosen, models=_each_once(chosen.models))
    seed = positive_integer("seed", seed, lowest=0)
    if not isinstance(layers, list | tuple):
        layers = [name.strip() for name in text_parameter("layers", layers).split(",") if name.strip()]
    remove_shared_memory_of_the_dead()
    run = Run(
        profile=chosen,
        seed=seed,
        workspace=storage.open_workspace(_workspace(workspace)),
        data=data_folder(chosen, data) if speech else None,
        layers=tuple(layers) if layers else None,
        device=_device(device, here=not open_engine(engine).remote),
        progress=bool(progress),
        engine=open_engine(engine),
        jobs=None if jobs is None else positive_integer("jobs", jobs),
    )
    needed = dict.fromkeys((*chosen.models, chosen.reference_model))
    for name in needed:
        if name not in published():
            run.model(name)  # a wrong name is said before anything is downloaded
    if (chosen.downloads and run.data is not None) or not all(is_here(name) for name in needed):
        _announce(run, data)
    run.check_layers()
    if chosen.name == "paper":
        check_cells({name: run.model(name) for name in chosen.models})
    run.model(chosen.reference_model)
    return run


def _each_once(models: Sequence[str]) -> tuple[str, ...]:
    """Models without those that are an earlier one under another name, such as a link or another spelling of a path."""
    first: dict[tuple[str, str], str] = {}
    for name in models:
        kind, _, rest = name.rpartition(":")
        place = Path(rest).expanduser()
        kept = first.setdefault((kind, str(place.resolve()) if place.exists() else rest), name)
        if kept != name:
            logger.warning("models: %s is %s under another name and counts once", visible(name), visible(kept))
    return tuple(first.values())


def _folder_name(subject: Subject, key: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9+-]+", "-", f"{subject.name}-{subject.seed}").strip("-")[-60:]
    return f"{slug}-{key}"


def _workspace(workspace: Any) -> Any:
    text = text_parameter("workspace", workspace)
    if not text:
        raise MultiresError("workspace is empty: give a folder, such as 'workspace', or a URL")
    return text if isinstance(workspace, int) else workspace


def _announce(run: Run, data: str | Path | None) -> None:
    """Say what is ahead where something is to be downloaded or extracted for the first time."""
    again = not run.profile.downloads or (run.workspace / "features").exists()
    plan = make_plan(
        run.profile, data, run.workspace, device=run.device, layers=run.layers,
        measure=run.progress and not again and not run.engine.remote,
    )  # fmt: skip
    if run.progress and (plan.downloads or not again):
        print(visible(plan, keep="\n"), flush=True)


def _device(device: str, *, here: bool) -> str:
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise MultiresError(f"unknown device {device!r}: choose cpu, cuda or cuda:N") from error
    if kind not in ("cpu", "cuda"):
        raise MultiresError(f"unknown device {device!r}: choose cpu, cuda or cuda:N")
    if kind == "cuda" and here and not torch.cuda.is_available():
        raise MultiresError(f"device {device!r} was asked for, but torch sees no GPU here: choose cpu")
    if kind == "cuda" and here and (torch.device(device).index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise MultiresError(f"device {device!r} was asked for, but the last GPU that torch sees here is cuda:{last}")
    return device


def _copies(corpus: Corpus) -> list[tuple[str, str]]:
    """Pairs of utterances of one split whose files hold the same bytes: the first, and each further one."""
    first: dict[tuple[str, str], str] = {}
    found = []
    for utterance in corpus:
        kept = first.setdefault((utterance.split, utterance.digest or utterance.id), utterance.id)
        if kept != utterance.id:
            found.append((kept, utterance.id))
    return found


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
