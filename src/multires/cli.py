"""The command line: the stages of the book from a shell."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multires.cli_options import Output, RunOptions, TrainingOptions, Variant, expanded, listed, with_options
from multires.errors import MultiresError
from multires.runtime.notices import show_notices
from multires.runtime.processes import Terminated, interrupt_on_termination
from multires.visible import visible

if TYPE_CHECKING:
    import pandas as pd

_HELP = """Executable companion to 'An Empirical Analysis of Speech Self-Supervised Learning at Multiple Resolutions'.

\b
Verdicts on the paper's claims, from half an hour of read speech and small models:
    multires claims
Your own recordings with TextGrids, laid out as LibriSpeech is:
    multires cca --profile librispeech --data FOLDER
Published checkpoints, or a model file of yours:
    multires cca --models hubert_base,mono_base
What a resolution costs: operations, time and memory:
    multires efficiency --size base
Train a model with or without downsampling and the auxiliary loss:
    multires pretrain --condition multi+aux

Every command keeps its results in a workspace and first computes what it needs, so each can be run alone.
"""

_LEVELS = "Comma-separated among hubert, mono, mono+aux, multi, multi+aux."

app = typer.Typer(
    help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command whose summary is the first line of its docstring, wrapped but never cut."""
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    return app.command(short_help=summary)(function)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        _echo(f"multires {version('multires')}")
        raise typer.Exit


@app.callback()
def _multires(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _echo(text: object, *, err: bool = False) -> None:
    """Print text as it is, but for control characters, which names and labels may hold."""
    typer.echo(visible(text, keep="\n\t"), err=err)


def _print_table(table: pd.DataFrame, **options: Any) -> None:
    import pandas as pd

    settings = {"max_rows": 500, "width": 160, "max_columns": 30, **options}
    with pd.option_context(*[part for name, value in settings.items() for part in (f"display.{name}", value)]):
        _echo(table.to_string(index=False))


def _show(result: Any, output: Path | None, columns: Sequence[str]) -> None:
    """Print the summary rows of a table, what was left out of the corpus, and where the whole table is."""
    table = result.table
    summary = table[table["trial"].isna()] if "trial" in table and table["trial"].isna().any() else table
    _print_table(summary[[name for name in columns if name in summary and not summary[name].isna().all()]])
    _echo("")
    for line in left_out(result.source):
        _echo(line)
    shown = (
        "" if len(summary) == len(table) else f", of which {len(summary)} are shown and the others are single trials"
    )
    _echo(f"{len(table)} rows{shown}: {result.path}")
    _export(table, output)


def left_out(source: Any, most: int = 5) -> list[str]:
    """Lines that say what the corpus had and the table has not, from the table's provenance."""
    skipped = source.get("skipped") or {}
    files = [": ".join(map(str, file)) for file in skipped.get("files", ())]
    if not skipped.get("count"):
        return []
    more = [f"  and {len(files) - most} more, listed in the table's .json file"] if len(files) > most else []
    return [f"Left out of the corpus: {skipped['count']}", *(f"  {file}" for file in files[:most]), *more]


def _export(table: pd.DataFrame, output: Path | None) -> None:
    if output is not None:
        from multires.results import export

        export(table, output)


@_command
@with_options(RunOptions)
def extract(options: RunOptions, output: Output = None) -> None:
    """Extract and keep the vectors of every phone, word and sampled frame."""
    from multires.analysis import stages

    result = stages.extraction(options.open())
    _show(result, output, ["model", "seed", "layer", "frame_period", "measure", "view", "value", "n"])


@_command
@with_options(RunOptions)
def cca(
    options: RunOptions,
    views: Annotated[str, typer.Option(help="Comma-separated: mel, conv, phone, word, part_of_speech, layer.")] = "",
    variant: Variant = "",
    output: Output = None,
) -> None:
    """Correlate every layer with log-mel, phones, words and other layers."""
    from multires.analysis import stages

    result = stages.cca(options.open(views=views or None, variant=variant or None))
    _show(result, output, ["model", "seed", "layer", "view", "window", "measure", "value", "low", "high", "n"])


@_command
@with_options(RunOptions)
def mi(
    options: RunOptions,
    phone_clusters: Annotated[int | None, typer.Option(help="k-means clusters for phones.")] = None,
    word_clusters: Annotated[int | None, typer.Option(help="k-means clusters for words.")] = None,
    output: Output = None,
) -> None:
    """Measure mutual information of clustered layers with phones and words."""
    from multires.analysis import stages

    run = options.open(phone_clusters=phone_clusters, word_clusters=word_clusters)
    result = stages.mutual_information(run)
    _show(result, output, ["model", "seed", "layer", "view", "measure", "value", "low", "high", "n"])


@_command
@with_options(RunOptions)
def probe(options: RunOptions, output: Output = None) -> None:
    """Fit linear probes for phone, word and speaker on every layer and on a weighted sum of the layers."""
    from multires.analysis import stages

    result = stages.probes(options.open())
    _show(result, output, ["model", "seed", "layer", "view", "measure", "value", "low", "high", "n"])


@_command
@with_options(RunOptions, only=("profile", "seed", "workspace", "device"))
def efficiency(
    options: RunOptions,
    size: Annotated[str, typer.Option(help="small, base, large or xlarge.")] = "",
    setting: Annotated[str, typer.Option(help="quick (half a minute) or thorough.")] = "",
    output: Output = None,
) -> None:
    """Count and time HuBERT, its 20 ms control and MR-HuBERT."""
    from multires.analysis import stages
    from multires.analysis.run import open_run

    run = open_run(
        options.profile, speech=False, seed=options.seed, workspace=options.workspace, device=options.device,
        efficiency_size=size or None, efficiency_setting=setting or None,
        models="mel", reference_model="mel",  # the profile's own models play no part here: none is fetched
    )  # fmt: skip
    result = stages.efficiency(run)
    _show(result, output, ["model", "measure", "part", "duration", "batch", "value", "low", "high", "unit"])


@_command
@with_options(RunOptions)
def claims(
    options: RunOptions,
    variant: Variant = "",
    experiment: Annotated[
        str, typer.Option(help="Folder of your own `multires experiment`. Default: the one in the package.")
    ] = "",
    output: Output = None,
) -> None:
    """Print the verdict on each of the paper's claims, from this run and the controlled experiment."""
    from multires.book.evidence import claims as judge_claims
    from multires.book.landing import verdict_lines
    from multires.experiment.tables import experiment_tables
    from multires.report.verdicts import summary

    experiment_tables(experiment)  # a folder without tables is refused before anything is computed
    result = judge_claims(options.open(variant=variant or None), experiment or None)
    _echo(verdict_lines(summary(result.table)))
    _echo("")
    for line in left_out(result.source):
        _echo(line)
    _echo(f"{len(result.table)} pieces of evidence: {result.path}")
    _export(result.table, output)


@_command
@with_options(RunOptions)
def report(
    options: RunOptions,
    folder: Annotated[
        Path, typer.Argument(parser=expanded, metavar="FOLDER", help="Folder to write, made if missing.")
    ],
    variant: Variant = "",
    formats: Annotated[str, typer.Option(help="Comma-separated among csv, tex, pdf, svg.")] = "csv,tex,pdf,svg",
    only: Annotated[str, typer.Option(help="Comma-separated stages, such as cca,claims. Default: all.")] = "",
    probe_instances: Annotated[
        int | None, typer.Option(help="Segments of a kind in a split that train or test a probe at most.")
    ] = None,
    frame_utterances: Annotated[
        int | None,
        typer.Option(
            help="Utterances of each split whose frames are read, for units, similarity, geometry and resolution."
        ),
    ] = None,
    matched_instances: Annotated[
        int | None, typer.Option(help="Phones, and words, of each split in resolution and geometry at most.")
    ] = None,
    grid_frames: Annotated[
        int | None,
        typer.Option(help="Windows of each split in units, similarity, geometry and prosody at most."),
    ] = None,
    unit_clusters: Annotated[str, typer.Option(help="Comma-separated numbers of clusters in units.")] = "",
) -> None:
    """Write the tables and figures of a workspace to one folder, for a paper.

    Give the options that the workspace was filled with; missing tables are computed first. CSV, LaTeX, PDF and SVG.
    Numbers that are not given are the profile's.
    """
    from multires.book.paper import report as write_report

    run = options.open(
        variant=variant or None, probe_instances=probe_instances, frame_utterances=frame_utterances,
        matched_instances=matched_instances, grid_frames=grid_frames, unit_clusters=unit_clusters or None,
    )  # fmt: skip
    _echo(write_report(run, folder, formats=listed(formats), only=listed(only)))


@_command
@with_options(RunOptions, without=("seed", "models"))
def sweep(
    options: RunOptions,
    models: Annotated[
        str,
        typer.Option(
            help="Comma-separated names or patterns, such as 'untrained/*-small'; `multires models` lists names. "
            "Default: the profile's."
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Comma-separated; each is a run of its own.")] = "0,1,2",
    measures: Annotated[str, typer.Option(help="Comma-separated among extract, cca, mi, probe.")] = "cca,mi,probe",
    views: Annotated[str, typer.Option(help="For cca, comma-separated. Default: the profile's.")] = "",
    variant: Variant = "",
    output: Output = None,
) -> None:
    """Measure many models with many seeds into one tidy table.

    After an interruption the next call continues. The best layer of each model is printed with its range over seeds;
    the table holds every layer and seed.
    """
    from multires.analysis.sweep import overview
    from multires.analysis.sweep import sweep as run_sweep
    from multires.profiles import positive_integer

    done = run_sweep(
        models, [positive_integer("seeds", seed, lowest=0) for seed in listed(seeds)], listed(measures),
        profile=options.profile, data=options.data or None, workspace=options.workspace, layers=options.layers or None,
        device=options.device, engine=options.engine, **options.overrides(),
        views=views or None, variant=variant or None,
    )  # fmt: skip
    _print_table(overview(done.table), float_format="{:.3f}".format)
    _echo(f"\n{len(done.table)} rows: {done.path}")
    _export(done.table, output)
    if done.failed:
        reasons = "".join(f"\n  {what}: {why}" for what, why in done.failed)
        raise MultiresError(f"{len(done.failed)} combinations could not be measured and are left out:{reasons}")


@_command
@with_options(TrainingOptions)
def pretrain(
    options: TrainingOptions,
    condition: Annotated[str, typer.Option(help="hubert, mono, mono+aux, multi or multi+aux.")] = "multi+aux",
    seed: Annotated[int, typer.Option(help="Seed of units, initial values, data order and masks.")] = 0,
) -> None:
    """Train one model by masked unit prediction.

    After an interruption the next call continues. The file that is printed can be given wherever a model is:
    multires cca --models FILE
    """
    from multires.experiment.single import train_one
    from multires.profiles import positive_integer

    seed = positive_integer("seed", seed, lowest=0)
    _echo(train_one(condition, options.corpus, seed=seed, **options.values()))


@_command
@with_options(TrainingOptions)
def experiment(
    options: TrainingOptions,
    seeds: Annotated[str, typer.Option(help="Comma-separated; every condition is trained with each.")] = "0,1,2",
    conditions: Annotated[str, typer.Option(help=_LEVELS)] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Single-threaded processes that train and score.")] = 1,
    train_only: Annotated[bool, typer.Option("--train-only", help="Stop when all models are trained.")] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Print what the tables (the package's, or those in --out) show, and exit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Train every condition (auxiliary loss by downsampling) with every seed, and test the effects.

    Size and time are printed first. After an interruption the next call continues.
    """
    if summary:
        from multires.experiment.summary import print_summary

        typer.echo(print_summary(options.out if options.out.is_dir() else None, as_json=as_json))
        return
    from multires.experiment.conditions import CONDITIONS
    from multires.experiment.run import main_experiment
    from multires.profiles import positive_integer

    tables = main_experiment(
        options.corpus, **options.values(), conditions=listed(conditions) or list(CONDITIONS), jobs=jobs, train_only=train_only,
        seeds=[positive_integer("seeds", seed, lowest=0) for seed in listed(seeds)],
    )  # fmt: skip
    _echo(tables)


@_command
def models(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[FILE_OR_NAME]", help="One model to describe; all names where none is given."),
    ] = None,
) -> None:
    """List the models that can be named, or describe one: layers, frame periods, parameters, cell, digest, license."""
    if model is not None:
        from multires.models.describe import describe_model

        _echo(describe_model(model))
        return
    from multires.models import models_table

    _print_table(models_table(), width=200, max_colwidth=60)


@_command
def convert(
    source: Annotated[
        Path,
        typer.Argument(parser=expanded, metavar="SOURCE", help="A checkpoint, such as one of fairseq's .pt files."),
    ],
    target: Annotated[Path, typer.Argument(parser=expanded, metavar="TARGET", help="The .safetensors file to write.")],
) -> None:
    """Write a checkpoint as safetensors, with its configuration in the header."""
    from multires.models import convert as convert_checkpoint

    _echo(convert_checkpoint(source, target))


@_command
@with_options(RunOptions, without=("seed", "engine"), profile="paper")
def plan(options: RunOptions) -> None:
    """Print what a profile would download, store and take, and exit."""
    from multires.analysis.data import speech_profile
    from multires.analysis.plan import make_plan

    chosen = speech_profile(options.profile, options.data, models=options.models or None, **options.overrides())
    layers = tuple(listed(options.layers)) or None
    _echo(make_plan(chosen, options.data or None, options.workspace, device=options.device, layers=layers))


@_command
@with_options(RunOptions, only=("profile", "data", "seed", "workspace"))
def book(
    options: RunOptions,
    force: Annotated[bool, typer.Option(help="Execute the notebooks even where nothing changed.")] = False,
) -> None:
    """Execute the notebooks and build the book; needs a checkout of the repository."""
    from multires.book.build import build_book

    _echo(
        build_book(
            profile=options.profile, data=options.data or None, seed=options.seed, workspace=options.workspace,
            force=force,
        )
    )  # fmt: skip


def main() -> None:
    """Run the command line: wrong input ends in one sentence and exit status 2, a signal in 128 plus its number."""
    show_notices()
    interrupt_on_termination()
    try:
        status = app(standalone_mode=False)
    except MultiresError as error:
        _echo(f"multires: {error}", err=True)
        status = 2
    except Exception as error:
        # The parser's errors have no public class in typer. A call without a command is answered with the help.
        if not hasattr(error, "format_message"):
            raise
        prefix = "multires: " if len(sys.argv) > 1 else ""
        _echo(f"{prefix}{error.format_message()}", err=True)
        status = 2
    if status == _INTERRUPTED:
        status = 128 + Terminated.last if Terminated.last else _INTERRUPTED
        _echo("multires: interrupted; the next run continues from here", err=True)
    sys.exit(status)


_INTERRUPTED = 130
"""Exit code of typer after Ctrl-C."""
