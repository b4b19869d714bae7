"""The record of synthesized speech in the cache, with digests by which altered or damaged files are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multires.errors import MultiresError

LAYOUT = "digests"
"""The form of the folders; part of their names."""

_NAME = "manifest.json"


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Record what a folder of shards holds, with a digest of each shard and of the record itself."""
    shards = {path.name: _digest_of(path) for path in sorted(folder.glob("*.npy"))}
    content = {**content, "shards": shards}
    record = {"content": content, "sha256": _digest(content)}
    (folder / _NAME).write_text(json.dumps(record), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The record of a folder, once every file in it has been found to be what was written.

    Raises
    ------
    MultiresError
        If a file is missing, damaged or altered.
    """
    again = f"delete {folder} to have it made again"
    try:
        record = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        content = record["content"]
        if record["sha256"] != _digest(content):
            raise MultiresError(f"{folder / _NAME} has been altered: {again}")
        for name, expected in content["shards"].items():
            if Path(name).name != name or _digest_of(folder / name) != expected:
                raise MultiresError(f"{folder / name} is damaged or has been altered: {again}")
        strays = {entry["shard"] for entry in content["utterances"]} - content["shards"].keys()
        if strays:
            raise MultiresError(f"{folder / _NAME} names files that are not there: {again}")
    except MultiresError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MultiresError(f"cannot read {folder / _NAME}: {again}") from error
    return dict(content)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
