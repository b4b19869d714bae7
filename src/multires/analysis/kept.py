"""Tables that a workspace already holds, and runs that are to compute no others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from multires.errors import MultiresError
from multires.results import Result, read_table


class NotKept(Exception):
    """Raised for a table that the workspace does not hold, where none is to be computed."""


_only_kept: ContextVar[bool] = ContextVar("only_kept", default=False)


@contextmanager
def only_kept_tables() -> Iterator[None]:
    """Let `Run.table` raise `NotKept` for a table that the workspace does not hold, instead of computing it."""
    token = _only_kept.set(True)
    try:
        yield
    finally:
        _only_kept.reset(token)


def only_kept() -> bool:
    """True within `only_kept_tables`."""
    return _only_kept.get()


def kept_table(path: Path, key: str, parameters: Mapping[str, Any]) -> tuple[Result | None, str]:
    """The table in the workspace, if it is there and is what its provenance says; else what is wrong with it."""
    if not path.exists():
        return None, ""
    try:
        table, source = read_table(path)
    except MultiresError as error:
        return None, str(error).partition("; delete it")[0]
    if source.get("key") != key or source.get("parameters") != _as_json(parameters):
        return None, f"{path} does not match its provenance"
    return Result(table, source, path), ""


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
