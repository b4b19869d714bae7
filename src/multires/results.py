"""Tidy tables, and where each number came from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.runtime.storage import replace_file

COLUMNS = (
    "model",
    "condition",
    "seed",
    "layer",
    "layer_index",
    "block",
    "frame_period",
    "measure",
    "view",
    "trial",
    "value",
    "n",
)
"""One number a row. What a table needs beyond these stands in further columns after them."""

_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r]")
"""Text that a spreadsheet takes for a formula."""

_LIBRARIES = ("numpy", "scipy", "torch", "torchaudio", "scikit-learn", "pandas", "xarray", "zarr")


@dataclass(frozen=True)
class Result:
    """A tidy table, its provenance, and the file that holds it."""

    table: pd.DataFrame
    source: Mapping[str, Any]
    path: Path


def tidy(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table in the standard column order; a standard column that no row names is filled with NA."""
    table = pd.DataFrame(rows)
    for column in COLUMNS:
        if column not in table:
            table[column] = pd.NA
    extra = [column for column in table.columns if column not in COLUMNS]
    return table[[*COLUMNS, *extra]]


def no_rows(reason: str) -> pd.DataFrame:
    """A table without rows, in the place of one that could not be computed; `why_empty` gives the reason.

    Examples
    --------
    >>> table = no_rows("probes: corpus folder has one speaker")
    >>> len(table), why_empty(table[table["view"] == "phone"])
    (0, 'probes: corpus folder has one speaker')
    """
    table = tidy([]).assign(**{column: pd.Series(dtype=object) for column in ("trained", "low", "high", "window")})
    table.attrs[_REASON] = reason
    return table


def why_empty(table: pd.DataFrame) -> str:
    """The reason for which a table could not be computed; empty for a table that was."""
    return str(table.attrs.get(_REASON, ""))


_REASON = "left_out"


def provenance(profile: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Provenance of a table: profile, parameters, versions, revision, date, machine, and the caller's additions."""
    import torch

    return {
        "profile": profile,
        "parameters": dict(parameters),
        "multires": metadata.version("multires"),
        "revision": _revision(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        **more,
    }


def processor_name() -> str:
    """The processor's name as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The git revision of the source tree, with a mark if it has changes, or None outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def write_table(table: pd.DataFrame, path: Path, source: Mapping[str, Any]) -> Path:
    """Write a table as Parquet with its provenance as JSON beside it, each replaced in one step.

    The provenance holds the digest of the table, so that the two are known to belong together.
    """
    packed = io.BytesIO()
    table.to_parquet(packed, index=False)
    record = {**source, "table_sha256": hashlib.sha256(packed.getvalue()).hexdigest()}
    written = json.dumps(record, indent=2, default=str, sort_keys=True)
    replace_file(path.with_suffix(".json"), lambda file: file.write_text(written))
    replace_file(path, lambda file: file.write_bytes(packed.getvalue()))
    return path


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table and its provenance.

    Raises
    ------
    MultiresError
        Where either file is missing or cannot be read, or the table is not the one that the provenance describes.
    """
    try:
        packed = path.read_bytes()
        source = json.loads(path.with_suffix(".json").read_text())
        stored = source.get("table_sha256")  # tables that are shipped with the book are older than digests
        if stored is not None and stored != hashlib.sha256(packed).hexdigest():
            raise ValueError("it is not the table that its provenance describes")
        return pd.read_parquet(io.BytesIO(packed)), source
    except (OSError, ValueError, AttributeError) as error:
        raise MultiresError(f"cannot read the table {path}: {error}; delete it to have it made again") from error


def export(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as .csv or .parquet, for use elsewhere; a file there is replaced in one step.

    Raises
    ------
    MultiresError
        For any other ending, or a place that cannot be written.
    """
    writers = {".csv": table_for_csv(table).to_csv, ".parquet": table.to_parquet}
    if path.suffix not in writers:
        raise MultiresError(f"cannot write {path}: its name must end in .csv or .parquet")
    replace_file(path, lambda file: writers[path.suffix](file, index=False))
    return path


def table_for_csv(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose column names and cells are safe to open in a spreadsheet (see `for_csv`)."""
    safe = table.rename(columns=for_csv)
    for position, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            safe.isetitem(position, [for_csv(cell) for cell in safe.iloc[:, position]])
    return safe


def for_csv(cell: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula; what is not text stays as it is.

    Examples
    --------
    >>> for_csv("=1+1"), for_csv(-1.5), for_csv("-0.5")
    ("'=1+1", -1.5, '-0.5')
    """
    if not isinstance(cell, str):
        return cell
    cell = re.sub(r"\r\n?", "\n", cell)  # a bare carriage return would end the row unquoted
    return cell if not _FORMULA.match(cell) or _is_number(cell) else f"'{cell}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
