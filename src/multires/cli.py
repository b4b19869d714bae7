"""The stages of the book from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from multires.errors import MultiresError

app = typer.Typer(
    help="Executable companion to 'An Empirical Analysis of Speech Self-Supervised Learning at Multiple Resolutions'. "
    "Every stage keeps what it makes in a workspace and makes what it needs first, so any of them can be run alone; "
    "begin with `multires claims`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Profile = Annotated[str, typer.Option(help="embedded (synthetic speech), librispeech (a folder) or paper.")]
Data = Annotated[
    str,
    typer.Option(help="Folder of the corpus. embedded needs none; paper downloads what it needs where none is named."),
]
Seed = Annotated[int, typer.Option(help="Of synthesis, sampling, clusters, probes and bootstraps.")]
Workspace = Annotated[str, typer.Option(help="Folder or URL that keeps vectors and tables between runs.")]
Models = Annotated[
    str, typer.Option(help="Comma-separated models; `multires models` lists them. Default: the profile's.")
]
Layers = Annotated[str, typer.Option(help="Comma-separated layers, such as encoder.0.1,middle.0. Default: all.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Engine = Annotated[
    str,
    typer.Option(help="local (the default), or the address of a Dask scheduler whose workers do the work."),
]
Frames = Annotated[int | None, typer.Option(help="Frames sampled from each split. Default: the profile's.")]
Variant = Annotated[
    str, typer.Option(help="Score of cca: mean, svcca, pwcca, layerwise-analysis or cka. Default: the profile's.")
]
Utterances = Annotated[
    int | None,
    typer.Option(help="Utterances of each split at most, spread over its speakers. Default: the profile's."),
]
Output = Annotated[Path | None, typer.Option(help="Also write the table to this .csv or .parquet file.")]


def _run(profile: str, data: str, seed: int, workspace: str, models: str, layers: str, device: str, frames: int | None,
         utterances: int | None, engine: str, **overrides: Any) -> Any:  # fmt: skip
    from multires.analysis.run import open_run

    return open_run(
        profile, data=data or None, seed=seed, workspace=workspace, models=models or None, layers=layers or None,
        device=device, frames=frames, utterances=utterances, engine=engine, **overrides,
    )  # fmt: skip


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _show(result: Any, output: Path | None, columns: list[str]) -> None:
    table = result.table
    with pd.option_context("display.max_rows", 200, "display.width", 160, "display.max_columns", 30):
        typer.echo(table[[column for column in columns if column in table]].to_string(index=False))
    typer.echo(f"\n{len(table)} rows: {result.path}")
    if output is not None:
        from multires.results import export

        export(table, output)


@app.command()
def extract(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
            models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
            utterances: Utterances = None, engine: Engine = "", output: Output = None) -> None:  # fmt: skip
    """Run the models over the corpus and keep the vectors of every phone, word and sampled frame."""
    from multires.analysis import stages

    result = stages.extraction(_run(profile, data, seed, workspace, models, layers, device, frames, utterances, engine))
    _show(result, output, ["model", "seed", "layer", "frame_period", "measure", "view", "value", "n"])


@app.command()
def cca(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
        models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
        utterances: Utterances = None,
        engine: Engine = "",
        views: Annotated[str, typer.Option(help="Comma-separated: mel, conv, phone, word, part_of_speech, layer.")] = "",
        variant: Variant = "", output: Output = None) -> None:  # fmt: skip
    """Canonical correlation of every layer with log-mel, phones, words and other layers."""
    from multires.analysis import stages

    result = stages.cca(
        _run(
            profile,
            data,
            seed,
            workspace,
            models,
            layers,
            device,
            frames,
            utterances,
            engine,
            views=views or None,
            variant=variant or None,
        )
    )
    _show(result, output, ["model", "seed", "layer", "view", "window", "trial", "measure", "value", "low", "high", "n"])


@app.command()
def mi(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
       models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
       utterances: Utterances = None,
       engine: Engine = "",
       phone_clusters: Annotated[int | None, typer.Option(help="k-means clusters for phones.")] = None,
       word_clusters: Annotated[int | None, typer.Option(help="k-means clusters for words.")] = None,
       output: Output = None) -> None:  # fmt: skip
    """Mutual information of clustered layers with phones and words."""
    from multires.analysis import stages

    result = stages.mutual_information(
        _run(profile, data, seed, workspace, models, layers, device, frames, utterances, engine,
             phone_clusters=phone_clusters, word_clusters=word_clusters)
    )  # fmt: skip
    _show(result, output, ["model", "seed", "layer", "view", "measure", "trial", "value", "low", "high", "n"])


@app.command()
def probe(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
          models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
          utterances: Utterances = None, engine: Engine = "", output: Output = None) -> None:  # fmt: skip
    """Linear probes for phone, word and speaker on every layer and on a learned weighted sum of them."""
    from multires.analysis import stages

    result = stages.probes(_run(profile, data, seed, workspace, models, layers, device, frames, utterances, engine))
    _show(result, output, ["model", "seed", "layer", "view", "measure", "value", "low", "high", "n"])


@app.command()
def efficiency(profile: Profile = "embedded", seed: Seed = 0, workspace: Workspace = "workspace",
               device: Device = "cpu",
               size: Annotated[str, typer.Option(help="small, base, large or xlarge.")] = "",
               setting: Annotated[str, typer.Option(help="quick (half a minute) or thorough.")] = "",
               output: Output = None) -> None:  # fmt: skip
    """Count and time HuBERT, its mono-resolution control and MR-HuBERT."""
    from multires.analysis import stages
    from multires.analysis.run import open_run

    run = open_run(
        profile, data=".", seed=seed, workspace=workspace, device=device,
        efficiency_size=size or None, efficiency_setting=setting or None,
        models="mel", reference_model="mel",  # the profile's own models play no part here: none is fetched
    )  # fmt: skip
    result = stages.efficiency(run)
    _show(result, output, ["model", "measure", "part", "duration", "batch", "value", "low", "high", "unit"])


@app.command()
def claims(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
           models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
           utterances: Utterances = None, engine: Engine = "", variant: Variant = "",
           experiment: Annotated[str, typer.Option(help="Folder of your own `multires experiment`. "
                                                        "Default: the one that comes with the package.")] = "",
           output: Output = None) -> None:  # fmt: skip
    """The verdict on each of the paper's claims, from this run's tables and from the controlled experiment's."""
    from multires.analysis import stages
    from multires.book.landing import verdict_lines
    from multires.experiment.tables import experiment_tables
    from multires.report.verdicts import summary

    experiment_tables(experiment)  # a folder without tables is refused before anything is computed
    run = _run(
        profile, data, seed, workspace, models, layers, device, frames, utterances, engine, variant=variant or None
    )
    result = stages.claims(run, experiment or None)
    typer.echo(verdict_lines(summary(result.table)))
    typer.echo(f"\n{len(result.table)} pieces of evidence: {result.path}")
    if output is not None:
        from multires.results import export

        export(result.table, output)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")],
           profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
           models: Models = "", layers: Layers = "", device: Device = "cpu", frames: Frames = None,
           utterances: Utterances = None, engine: Engine = "", variant: Variant = "",
           formats: Annotated[str, typer.Option(help="Comma-separated among csv, tex, pdf, svg.")] = "csv,tex,pdf,svg",
           only: Annotated[str, typer.Option(help="Comma-separated stages, such as cca,claims. Default: all.")] = "",
           ) -> None:  # fmt: skip
    """Write the tables and figures of a workspace to one folder, for a paper: CSV, LaTeX, PDF and SVG.

    Give the options that the workspace was filled with; what it does not hold yet is computed first.
    """
    from multires.report.export import report as write_report

    run = _run(
        profile, data, seed, workspace, models, layers, device, frames, utterances, engine, variant=variant or None
    )
    typer.echo(write_report(run, folder, formats=_listed(formats), only=_listed(only)))


@app.command()
def sweep(models: Annotated[str, typer.Option(help="Comma-separated names or patterns, such as 'untrained/*-small'; "
                                                   "`multires models` lists names. Default: the profile's.")] = "",
          seeds: Annotated[str, typer.Option(help="Comma-separated; each is a run of its own.")] = "0,1,2",
          measures: Annotated[str, typer.Option(help="Comma-separated among extract, cca, mi, probe.")] = "cca,mi,probe",
          profile: Profile = "embedded", data: Data = "", workspace: Workspace = "workspace",
          layers: Layers = "", device: Device = "cpu", frames: Frames = None, utterances: Utterances = None,
          engine: Engine = "",
          views: Annotated[str, typer.Option(help="For cca, comma-separated. Default: the profile's.")] = "",
          variant: Variant = "", output: Output = None) -> None:  # fmt: skip
    """Measure many models with many seeds and gather the results into one tidy table.

    Interrupt it when you like: the next call goes on where it stopped. It prints the best layer of each model with its
    range over seeds; the table holds every layer and seed.
    """
    from multires.analysis.sweep import overview
    from multires.analysis.sweep import sweep as run_sweep
    from multires.profiles import positive_integer

    done = run_sweep(
        models, [positive_integer("seeds", seed, lowest=0) for seed in _listed(seeds)], _listed(measures),
        profile=profile, data=data or None, workspace=workspace, layers=layers or None, device=device, frames=frames,
        utterances=utterances, views=views or None, variant=variant or None, engine=engine,
    )  # fmt: skip
    with pd.option_context("display.max_rows", 500, "display.width", 160, "display.float_format", "{:.3f}".format):
        typer.echo(overview(done.table).to_string(index=False))
    typer.echo(f"\n{len(done.table)} rows: {done.path}")
    if output is not None:
        from multires.results import export

        export(done.table, output)
    if done.failed:
        reasons = "".join(f"\n  {what}: {why}" for what, why in done.failed)
        raise MultiresError(f"{len(done.failed)} combinations could not be measured and are left out:{reasons}")


@app.command()
def pretrain(
    condition: Annotated[str, typer.Option(help="hubert, mono, mono+aux, multi or multi+aux.")] = "multi+aux",
    corpus: Annotated[str, typer.Option(help="embedded or librispeech.")] = "embedded",
    data: Data = "",
    size: Annotated[str, typer.Option(help="cpu, gpu or smoke: the model's size and recipe.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of units, initial values, data order and masks.")] = 0,
    out: Annotated[Path, typer.Option(help="The model comes to lie in OUT/CORPUS/models.")] = Path("experiment"),
    device: Device = "cpu",
    steps: Annotated[int | None, typer.Option(help="Training steps, in place of the recipe's.")] = None,
    estimate_only: Annotated[bool, typer.Option("--estimate-only", help="Say what it would take, and stop.")] = False,
) -> None:
    """Train one model by masked unit prediction; interrupt it when you like, the next call goes on from there.

    The file that it prints can be named wherever a model is: multires cca --models FILE
    """
    from multires.profiles import positive_integer
    from multires.training.single import train_one

    path = train_one(
        condition, corpus, data=data or None, size=size, seed=positive_integer("seed", seed, lowest=0), out=out,
        device=device, steps=None if steps is None else positive_integer("steps", steps), estimate_only=estimate_only,
    )  # fmt: skip
    typer.echo(path)


@app.command()
def experiment(
    corpus: Annotated[str, typer.Option(help="embedded or librispeech.")] = "embedded",
    data: Data = "",
    size: Annotated[str, typer.Option(help="cpu, gpu or smoke: the models' size and recipe.")] = "cpu",
    seeds: Annotated[str, typer.Option(help="Comma-separated; every condition is trained with each.")] = "0,1,2",
    conditions: Annotated[
        str, typer.Option(help="Comma-separated among hubert, mono, mono+aux, multi, multi+aux.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder for models and tables; a second run continues there.")] = Path(
        "experiment"
    ),
    device: Device = "cpu",
    steps: Annotated[int | None, typer.Option(help="Training steps, in place of the recipe's.")] = None,
    estimate_only: Annotated[bool, typer.Option("--estimate-only", help="Say what it would take, and stop.")] = False,
) -> None:
    """Train every condition (auxiliary loss by downsampling) with every seed, and test the effects."""
    from multires.experiment.run import CONDITIONS, main_experiment
    from multires.profiles import positive_integer

    tables = main_experiment(
        corpus, data=data or None, size=size, out=out, device=device, steps=steps, estimate_only=estimate_only,
        seeds=[positive_integer("seeds", seed.strip(), lowest=0) for seed in seeds.split(",")],
        conditions=[name.strip() for name in conditions.split(",") if name.strip()] or list(CONDITIONS),
    )  # fmt: skip
    typer.echo(tables)


@app.command()
def models() -> None:
    """Every model that can be named, with its layers, frame periods, parameters and size."""
    from multires.models import models_table

    with pd.option_context("display.max_rows", 200, "display.width", 200, "display.max_colwidth", 60):
        typer.echo(models_table().to_string(index=False))


@app.command()
def convert(source: Annotated[str, typer.Argument(help="A checkpoint file, such as one of fairseq's .pt files.")],
            target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")]) -> None:  # fmt: skip
    """Write a checkpoint as safetensors, with its configuration in the header."""
    from multires.models import convert as convert_checkpoint

    typer.echo(convert_checkpoint(Path(source), target))


@app.command()
def plan(profile: Profile = "paper", data: Data = "", workspace: Workspace = "workspace", models: Models = "",
         layers: Layers = "", device: Device = "cpu", frames: Frames = None, utterances: Utterances = None) -> None:  # fmt: skip
    """Say what a profile would download, store and take, and stop; every other command says it before it begins."""
    from multires.analysis.plan import make_plan
    from multires.profiles import get_profile

    chosen = get_profile(profile, models=models or None, frames=frames, utterances=utterances)
    typer.echo(make_plan(chosen, data or None, workspace, device=device, layers=tuple(_listed(layers)) or None))


@app.command()
def book(profile: Profile = "embedded", data: Data = "", seed: Seed = 0, workspace: Workspace = "workspace",
         force: Annotated[bool, typer.Option(help="Execute notebooks again though nothing changed.")] = False) -> None:  # fmt: skip
    """Execute the notebooks and build the book; needs a checkout of the repository."""
    from multires.book.build import build_book

    typer.echo(build_book(profile=profile, data=data or None, seed=seed, workspace=workspace, force=force))


def main() -> None:
    """Run the command line; what is wrong with the input is said in one sentence, and the exit status is 2."""
    try:
        status = app(standalone_mode=False)
    except MultiresError as error:
        typer.echo(f"multires: {error}", err=True)
        status = 2
    except Exception as error:
        # What the parser refuses; its classes have no public name in typer. No command at all is answered with the help.
        if not hasattr(error, "format_message"):
            raise
        prefix = "multires: " if len(sys.argv) > 1 else ""
        typer.echo(f"{prefix}{error.format_message()}", err=True)
        status = 2
    if status == _INTERRUPTED:
        typer.echo("multires: interrupted; the next run continues from here", err=True)
    sys.exit(status)


_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
