"""Cache folder of synthesized speech and forced alignments."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from multires.errors import MultiresError


def cache_folder(cache: str | Path | None) -> Path:
    """The cache folder: the argument, else the variable MULTIRES_CACHE, else the user's cache folder.

    Raises
    ------
    MultiresError
        Where it cannot be made.
    """
    chosen = cache or os.environ.get("MULTIRES_CACHE") or platformdirs.user_cache_dir("multires")
    folder = Path(chosen).expanduser() / "corpus"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MultiresError(f"cannot make the cache folder {folder}: {error.strerror}; choose another cache") from error
    return folder
