"""Checkpoints from the net into a cache: resumed where they broke off, and never changed unnoticed."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pooch

from multires.errors import MultiresError
from multires.runtime.download import read_record, retrieve, write_record
from multires.runtime.storage import making


def model_cache(cache: str | Path | None = None) -> Path:
    """The folder for fetched models: in `cache`, else the variable MULTIRES_CACHE, else the user's cache folder.

    Raises
    ------
    MultiresError
        Where it cannot be made.
    """
    chosen = cache or os.environ.get("MULTIRES_CACHE") or platformdirs.user_cache_dir("multires")
    folder = Path(chosen).expanduser() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MultiresError(f"cannot make the cache folder {folder}: {error.strerror}; choose another cache") from error
    return folder


def cached(key: str, url: str, *, cache: str | Path | None = None) -> Path:
    """Where the local copy of a checkpoint is, or will be."""
    return model_cache(cache) / f"{key}{Path(url).suffix or '.pt'}"


def fetch(key: str, url: str, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """The local copy of a checkpoint, downloaded where there is none.

    The file's SHA-256 is written to ``hashes.json`` beside it when it is first there, by download or by hand, and
    checked at every later call. A download that breaks off goes on where it stopped.

    Raises
    ------
    MultiresError
        Where the download is refused, breaks off or does not fit on the disk, or the file is not what it was.
    """
    target = cached(key, url, cache=cache)
    hashes = target.with_name("hashes.json")
    recorded = read_record(hashes).get(target.name)
    if not target.exists():
        with making(target):
            if not target.exists():  # another process may have fetched it in the meantime
                retrieve(key, url, target, f"sha256:{recorded}" if recorded else None, progress)
    found = pooch.file_hash(str(target), alg="sha256")
    if recorded is None:
        write_record(hashes, {**read_record(hashes), target.name: found})
    elif found != recorded:
        raise MultiresError(
            f"{target} has changed since it was first fetched (SHA-256 {found[:12]}, then {recorded[:12]}): "
            f"delete it to fetch it again, or its line in {hashes} if the change is meant"
        )
    return target
