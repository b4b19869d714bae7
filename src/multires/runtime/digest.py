"""The digest of the package's code."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of every module of this package: changes with any edit of the code."""
    return folder_digest(Path(__file__).parents[1])


def folder_digest(folder: Path) -> str:
    """SHA-256 of the relative path and content of every ``.py`` file below a folder."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")):
        for part in (name.encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
