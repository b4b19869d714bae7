"""Tables of efficiency that were measured elsewhere and come with the package, each with its machine named.

To add the one of a machine, run on it, with nothing else running::

    python -m multires.efficiency.stored_costs --device cuda            # float32 and bfloat16, thorough, base size
    python -m multires.efficiency.stored_costs --device cpu --threads 2
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multires.efficiency.bench import SETTINGS
from multires.efficiency.table import efficiency_table
from multires.errors import MultiresError
from multires.models.config import SIZES
from multires.results import provenance, read_table, write_table

FOLDER = Path(__file__).parents[1] / "data" / "efficiency"
"""Folder of the tables: one for each machine, size and precision."""

COLUMNS = ("machine", "size", "precision", "threads", "seconds of speech", "batch", "ratio to control", "ratio to HuBERT",
           "seconds of speech a second")  # fmt: skip


@dataclass(frozen=True)
class StoredCosts:
    """One table and where it came from."""

    table: pd.DataFrame
    source: Mapping[str, Any]


def stored_costs(folder: str | Path = FOLDER) -> list[StoredCosts]:
    """The tables in a folder, by name of file; none where there is no such folder.

    Raises
    ------
    MultiresError
        Where one of them cannot be read.
    """
    return [StoredCosts(*read_table(path)) for path in sorted(Path(folder).glob("*.parquet"))]


def measure_here(
    *,
    device: str = "cpu",
    size: str = "base",
    setting: str = "thorough",
    threads: int | None = None,
    folder: str | Path = FOLDER,
    progress: bool = True,
    **settings: Any,
) -> list[Path]:
    """Measure this machine and keep its tables: in float32, and on a GPU in bfloat16 too.

    Parameters
    ----------
    device, size, setting, threads, settings
        As in `multires.efficiency.table.efficiency_table`.
    folder
        If the tables go; those of the package where not given.

    Returns
    -------
    list of pathlib.Path
        One file a precision; its provenance lies beside it.
    """
    written = []
    for precision in precisions(device):
        table = efficiency_table(
            size=size, setting=setting, device=device, precision=precision, threads=threads, progress=progress, **settings
        )  # fmt: skip
        machine = str(table["machine"].iloc[0])
        name = re.sub(r"[^a-z0-9]+", "-", f"{machine} {size} {precision}".lower()).strip("-")
        given = {"size": size, "setting": setting, "device": device, "precision": precision}
        source = provenance("efficiency", given, rows=len(table), threads=int(table["threads"].iloc[0]))
        written.append(write_table(table, Path(folder) / f"{name}.parquet", source))
    return written


def precisions(device: str) -> tuple[str, ...]:
    """The measurements of a device."""
    return ("float32", "bfloat16") if device.startswith("cuda") else ("float32",)


def beside(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The ratios and the throughput of MR-HuBERT at the longest duration of each batch size, a row each, for display."""
    rows = []
    for table in tables:
        first = table.iloc[0]
        timed = table[(table["measure"] == "throughput") & (table["model"] == "multi")]
        for batch, part in timed.groupby("batch"):
            longest = part.loc[part["duration"].idxmax()]
            at = (table["duration"] == longest["duration"]) & (table["batch"] == batch) & (table["model"] == "multi")
            ratios = table[at & (table["measure"] == "ratio")].set_index("view")
            cells = [_cell(ratios.loc[view]) if view in ratios.index else "" for view in ("mono", "hubert")]
            threads = str(first["threads"]) if first["device"] == "cpu" else ""
            rows.append((first["machine"], first["size"], first["precision"], threads, f"{longest['duration']:g}",
                         int(batch), *cells, _cell(longest)))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summary_of(stored: Sequence[StoredCosts]) -> str:
    """The machines with tables, and those missing."""
    gpus = [each for each in stored if str(each.table["device"].iloc[0]).startswith("cuda")]
    text = "The first row is this page's own measurement. " if stored else ""
    if not gpus:
        text += (
            "No table of a GPU comes with this installation; `python -m multires.efficiency.stored_costs --device cuda` measures one "
            "and keeps it where this page finds it."
        )
    return text.strip()


def _cell(row: pd.Series) -> str:
    return "too noisy" if row["note"] else f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.efficiency.stored_costs``."""
    parser = argparse.ArgumentParser(prog="python -m multires.efficiency.stored_costs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--setting", default="thorough", choices=tuple(SETTINGS))
    parser.add_argument("--threads", type=int, help="torch's own choice if not given")
    parser.add_argument("--folder", default=str(FOLDER), help="where the tables go; the package's own if not given")
    try:
        for path in measure_here(**vars(parser.parse_args(arguments))):
            print(path)
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
