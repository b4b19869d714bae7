"""Options that several commands of the command line share, and how a command takes them as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from multires.errors import MultiresError

if TYPE_CHECKING:
    from multires.analysis.run import Run


def expanded(text: str) -> Path:
    """A path in which ``~`` is the home folder, also where the shell left it (``--output=~/table.csv``)."""
    return Path(text).expanduser()


def listed(text: str) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()]


Output = Annotated[
    Path | None, typer.Option(parser=expanded, help="Also write the table to this .csv or .parquet file.")
]
Variant = Annotated[
    str, typer.Option(help="Score of cca: mean, svcca, pwcca, layerwise-analysis or cka. Default: the profile's.")
]


@dataclass(frozen=True)
class RunOptions:
    """Options of every command that opens a run."""

    profile: Annotated[
        str,
        typer.Option(
            help="librispeech-sample (read speech, half an hour), synthetic, librispeech (a folder) or paper."
        ),
    ] = "librispeech-sample"
    data: Annotated[
        str,
        typer.Option(
            help="Folder of speech; LibriSpeech's layout is recognized. librispeech-sample and synthetic need none; paper downloads LibriSpeech "
            "where none is given."
        ),
    ] = ""
    seed: Annotated[int, typer.Option(help="Seed of synthesis, sampling, clusters, probes and bootstraps.")] = 0
    workspace: Annotated[str, typer.Option(help="Folder or URL that keeps vectors and tables between runs.")] = (
        "workspace"
    )
    models: Annotated[
        str, typer.Option(help="Comma-separated names or files; `multires models` lists names. Default: the profile's.")
    ] = ""
    layers: Annotated[str, typer.Option(help="Comma-separated layers, such as encoder.0.1,middle.0. Default: all.")] = (
        ""
    )
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu"
    frames: Annotated[int | None, typer.Option(help="Frames sampled from each split. Default: the profile's.")] = None
    utterances: Annotated[
        int | None,
        typer.Option(help="Maximum utterances per split, spread over its speakers. Default: the profile's."),
    ] = None
    train_splits: Annotated[
        str, typer.Option(help="Comma-separated splits to fit clusters and probes on. Default: the profile's.")
    ] = ""
    evaluation_splits: Annotated[
        str, typer.Option(help="Comma-separated splits to evaluate on, of other speakers. Default: the profile's.")
    ] = ""
    split_by_speaker: Annotated[
        float | None,
        typer.Option(help="Divide the speech by speaker instead: the share to fit on, such as 0.5."),
    ] = None
    allow_shared_speakers: Annotated[
        bool,
        typer.Option("--allow-shared-speakers", help="Accept speakers who are both fitted to and evaluated on."),
    ] = False
    engine: Annotated[
        str, typer.Option(help="local (the default), or the address of a Dask scheduler whose workers compute.")
    ] = ""
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Batches extracted at a time. Default: measured once on this machine.")
    ] = None

    def overrides(self) -> dict[str, Any]:
        """The fields of the profile that these options replace, besides its models."""
        return {
            "frames": self.frames, "utterances": self.utterances,
            "train_splits": self.train_splits or None, "evaluation_splits": self.evaluation_splits or None,
            "split_by_speaker": self.split_by_speaker, "allow_shared_speakers": self.allow_shared_speakers or None,
        }  # fmt: skip

    def open(self, **overrides: Any) -> Run:
        """The run that these options describe; `overrides` replace fields of the profile."""
        from multires.analysis.run import open_run

        return open_run(
            self.profile, data=self.data or None, seed=self.seed, workspace=self.workspace, layers=self.layers or None,
            device=self.device, engine=self.engine, jobs=self.jobs, models=self.models or None, **self.overrides(),
            **overrides,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the commands that train."""

    corpus: Annotated[str, typer.Option(help="synthetic or librispeech.")] = "synthetic"
    data: Annotated[
        str, typer.Option(help="Folder of LibriSpeech, or comma-separated folders that each hold a part of it.")
    ] = ""
    size: Annotated[str, typer.Option(help="cpu, gpu or smoke: model size and recipe.")] = "cpu"
    teacher: Annotated[
        str, typer.Option(help="Model whose clustered layer is predicted, such as transformers:FOLDER. Default: MFCC.")
    ] = ""
    teacher_layer: Annotated[str, typer.Option(help="Its layer, such as encoder.0.3.")] = ""
    classes: Annotated[int | None, typer.Option(help="Clusters to predict. Default: the recipe's.")] = None
    recipe: Annotated[
        str, typer.Option(help="Comma-separated changes of the recipe, such as auxiliary_weight=2,precision=float32.")
    ] = ""
    out: Annotated[
        Path, typer.Option(parser=expanded, help="Folder for models and tables; another run continues there.")
    ] = Path("experiment")
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu"
    steps: Annotated[int | None, typer.Option(help="Training steps. Default: the recipe's.")] = None
    estimate_only: Annotated[bool, typer.Option("--estimate-only", help="Print the cost estimate and exit.")] = False

    def values(self) -> dict[str, Any]:
        """Keyword arguments of `train_one` and `main_experiment`."""
        from multires.profiles import positive_integer

        if bool(self.teacher) != bool(self.teacher_layer):
            raise MultiresError("--teacher and --teacher-layer belong together: give both or neither")
        return {
            "teacher": (self.teacher, self.teacher_layer) if self.teacher else None,
            "classes": None if self.classes is None else positive_integer("classes", self.classes),
            "data": listed(self.data) or None, "size": self.size, "out": self.out, "device": self.device,
            "steps": None if self.steps is None else positive_integer("steps", self.steps),
            "estimate_only": self.estimate_only, "recipe": listed(self.recipe),
        }  # fmt: skip


Options = TypeVar("Options", RunOptions, TrainingOptions)


def with_options(
    kind: type[Options], *, only: tuple[str, ...] = (), without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command's first parameter is built from the options that the fields of `kind` describe.

    Parameters
    ----------
    only, without
        Names of the fields that the command takes, or does not take; the others keep their defaults.
    defaults
        Defaults of this command in place of those of the fields.
    """
    shared = [field for field in fields(kind) if (not only or field.name in only) and field.name not in without]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        hints = get_type_hints(kind, include_extras=True)

        def command(**given: Any) -> None:
            function(kind(**{field.name: given.pop(field.name) for field in shared}), **given)

        parameters = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(field.name, field.default),
                annotation=hints[field.name],
            )
            for field in shared
        ]
        parameters += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
