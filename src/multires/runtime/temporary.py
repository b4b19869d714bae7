"""Temporary files and folders next to their targets: private names, locked while in use, removed when abandoned.

A name is drawn at random and created exclusively, so that links planted by others are never followed. The owner holds a
lock of the operating system, which ends with its process; whatever is left unlocked was abandoned and may be removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing is taken for abandoned
    fcntl = None  # type: ignore[assignment]

PREFIX = ".partial-"

_ABANDONED = (f"{PREFIX}*", ".shard-*", ".making-*", ".warm-*")
"""All but the first are names that earlier versions gave."""


@contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """A new empty file in the folder of `target`, with its suffix; removed at the end unless it was renamed."""
    with _held(target, folder=False) as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A new folder in that of `target`; removed at the end unless it was renamed."""
    with _held(target, folder=True) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(folder: Path, *, below: int = 0) -> list[Path]:
    """Remove temporary files and folders whose process has ended, in a folder and up to `below` levels below it.

    Returns
    -------
    list of pathlib.Path
        The paths removed.
    """
    removed = []
    for level in range(below + 1):
        for pattern in _ABANDONED:
            for path in folder.glob("*/" * level + pattern):
                if _remove_if_abandoned(path):
                    removed.append(path)
    return removed


@contextmanager
def _held(target: Path, *, folder: bool) -> Iterator[Path]:
    while True:
        path = target.with_name(f"{PREFIX}{secrets.token_hex(8)}-{target.name[-80:]}")
        if folder:
            path.mkdir()
        else:
            # The mode is that of a plain open(), which mkstemp would narrow to the owner.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        descriptor = _lock(path, wait=True)
        if path.exists():  # else it was taken for abandoned before it was locked
            break
        _close(descriptor)
    try:
        yield path
    finally:
        _close(descriptor)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A locked descriptor; None where another process holds the lock, or the file system has no locks."""
    if fcntl is None:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _close(descriptor)
        return None
    return descriptor


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _remove_if_abandoned(path: Path) -> bool:
    descriptor = _lock(path, wait=False)
    if descriptor is None:
        return False
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return not path.exists()
