"""Checkpoints in a local cache: downloaded once, and refused when they change."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

import platformdirs
import pooch

from multires.errors import MultiresError
from multires.runtime.download import add_to_record, read_record, retrieve, shown
from multires.runtime.storage import making

Loaded = TypeVar("Loaded")


def model_cache(cache: str | Path | None = None) -> Path:
    """The folder for fetched models: in `cache`, else the variable MULTIRES_CACHE, else the user's cache folder.

    Raises
    ------
    MultiresError
        If it cannot be made.
    """
    chosen = cache or os.environ.get("MULTIRES_CACHE") or platformdirs.user_cache_dir("multires")
    folder = Path(chosen).expanduser() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MultiresError(f"cannot make the cache folder {folder}: {error.strerror}; choose another cache") from error
    return folder


def cached(key: str, url: str, *, cache: str | Path | None = None) -> Path:
    """The path of the local copy of a checkpoint, whether or not it exists; a URL's query is no part of it."""
    suffix = PurePosixPath(urlsplit(url).path).suffix
    known = re.fullmatch(r"[.]\w{1,12}", suffix) is not None
    return model_cache(cache) / f"{key[:120]}{suffix if known else '.pt'}"


def fetch(key: str, url: str, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """The local copy of a checkpoint, downloaded if there is none.

    As `fetch_and_load`, for a file that nothing loads here.
    """
    return fetch_and_load(key, url, lambda path: path, cache=cache, progress=progress)


def fetch_and_load(
    key: str, url: str, load: Callable[[Path], Loaded], *, cache: str | Path | None = None, progress: bool = True
) -> Loaded:
    """Load the local copy of a checkpoint, downloaded if there is none.

    When a file has loaded for the first time, whether downloaded or put there by hand, its SHA-256 is written to
    ``hashes.json`` beside it, and every later call compares it. A download that does not load is deleted. An
    interrupted download is resumed.

    Parameters
    ----------
    load
        Reads the file; raises `MultiresError` if it cannot.

    Raises
    ------
    MultiresError
        If the download is refused, interrupted or does not fit on the disk, or the file is not what it was.
    """
    target = cached(key, url, cache=cache)
    hashes = target.with_name("hashes.json")
    recorded = read_record(hashes).get(target.name)
    if recorded is not None and target.exists():
        _compare(target, recorded, hashes)
        return load(target)
    with making(target):
        recorded = read_record(hashes).get(target.name)  # another process may have fetched it in the meantime
        downloaded = not target.exists()
        if downloaded:
            retrieve(key, url, target, f"sha256:{recorded}" if recorded else None, progress)
        if recorded is not None:
            _compare(target, recorded, hashes)
            return load(target)
        digest = pooch.file_hash(str(target), alg="sha256")
        try:
            value = load(target)
        except MultiresError as error:
            if not downloaded:
                raise
            target.unlink(missing_ok=True)
            raise MultiresError(f"what {shown(url)} gives is deleted, since it does not load: {error}") from error
        add_to_record(hashes, target.name, digest)
        return value


def _compare(target: Path, recorded: str, hashes: Path) -> None:
    found = pooch.file_hash(str(target), alg="sha256")
    if found != recorded:
        raise MultiresError(
            f"{target} has changed since it was first loaded (SHA-256 {found[:12]}, then {recorded[:12]}): "
            f"delete it to fetch it again, or its line in {hashes} if the change is intended"
        )
