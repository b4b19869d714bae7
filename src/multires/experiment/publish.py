"""Copies of a finished experiment for the package: one seed's models and the tables of all seeds.

From a shell::

    python -m multires.experiment.publish experiment/librispeech

"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from multires.errors import MultiresError
from multires.experiment.conditions import CONDITIONS
from multires.experiment.tables import TABLES
from multires.models.checkpoint import load_checkpoint, read_header, save_model
from multires.results import read_table, write_table
from multires.training.targets import without_folder

PACKAGE = Path(__file__).parents[1]

LARGEST = 6_000_000
"""Bytes of a file in the package, at most."""

_WRITTEN_BY_SAVING = {"format", "config", "digest", "key", "description", "trained"}


def publish(experiment: str | Path, *, seed: int = 0, package: str | Path = PACKAGE) -> list[Path]:
    """Copy the models of one seed in float16, and all tables, to where the package reads them.

    A copy names the model whose units were predicted without the folder that it was in.

    Parameters
    ----------
    experiment
        ``<out>/<corpus>`` of `multires.experiment.run.main_experiment`.
    seed
        Of the models.
    package
        The folder of ``multires``.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    MultiresError
        If the experiment is not finished, or a file would be larger than `LARGEST`.
    """
    source, package = Path(experiment), Path(package)
    models = [source / "models" / f"{condition}-{seed}.safetensors" for condition in CONDITIONS]
    tables = [source / "tables" / f"{name}.parquet" for name in TABLES]
    if missing := [path for path in (*models, *tables) if not path.exists()]:
        raise MultiresError(f"{missing[0]} does not exist: run `multires experiment` to its end first")
    written = []
    for path in models:
        facts = {key: value for key, value in read_header(path).items() if key not in _WRITTEN_BY_SAVING}
        if "units" in facts:
            model, _, layer = facts["units"].rpartition(" ")
            facts["units"] = f"{without_folder(model)} {layer}".strip()
        target = package / "models" / "pretrained" / source.name / path.name
        written.append(save_model(load_checkpoint(path).half(), target, **facts))
    for path in tables:
        table, record = read_table(path)
        targets = record.get("parameters", {}).get("size", {}).get("targets", {})
        if "model" in targets:
            targets["model"] = without_folder(targets["model"])
        target = package / "data" / "experiment" / source.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        written.append(write_table(table, target, record))
    if large := [path for path in written if path.stat().st_size > LARGEST]:
        raise MultiresError(f"{large[0]} has more than {LARGEST:,} bytes, too many for the package")
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.publish``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.publish", description=publish.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    try:
        for path in publish(**vars(parser.parse_args(arguments))):
            print(f"{path.stat().st_size:>9,} bytes  {path}")
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
