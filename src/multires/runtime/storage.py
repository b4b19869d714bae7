"""Workspace storage: folders and URLs, files written whole or not at all, and locks between runs."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from filelock import FileLock, Timeout

from multires.errors import MultiresError
from multires.runtime.temporary import remove_abandoned, temporary_file, temporary_folder

_LOG = logging.getLogger(__name__)

_LOCAL = ("file", "local")

_MOUNTED = ("sftp", "ssh", "scp", "smb", "cifs", "nfs", "ftp", "ftps")
"""File servers: they need folders to be made and have no atomic rename through fsspec; the system mounts them."""


MARKER = ".multires"
"""Name of the empty file in folders that this project made and may delete."""


def place(where: str | Path) -> Path:
    """An absolute local path, or for the URL of an object store (``s3://``, ``gs://``) an object with the same methods.

    ``file://`` is a local path. ``~`` is the home folder.

    Raises
    ------
    MultiresError
        For the URL of a file server, of an unknown kind, or without the extra ``cluster``, which brings what URLs need.
    """
    if "://" not in str(where):
        return Path(where).expanduser().resolve()
    parts = urlsplit(str(where))
    if parts.scheme in _LOCAL:
        if parts.netloc not in ("", "localhost"):
            raise MultiresError(f"{where} names another machine: mount its folder here and give the local path")
        return Path(unquote(parts.path)).expanduser().resolve()
    if parts.scheme in _MOUNTED:
        raise MultiresError(
            f"{parts.scheme}:// is not supported, since a workspace there could not be written atomically: mount the "
            "folder (sshfs, mount.cifs) and give the local path, or use s3:// or gs://"
        )
    try:
        from upath import UPath

        found: Any = UPath(str(where))
        found.fs  # noqa: B018 (makes the connection's class, or says what is missing)
    except ImportError as error:
        raise MultiresError(f"{where} needs more packages ({error}): pip install 'multires[cluster]'") from error
    except Exception as error:  # every kind of URL has its own
        raise MultiresError(f"{where} is not a place that fsspec can write to: {reason(error)}") from error
    return found


def is_remote(path: Path) -> bool:
    """Return True if a place is a URL: objects appear whole there, and there is no rename and no lock."""
    return not isinstance(path, Path)


def make_marked(folder: Path) -> None:
    """Make a folder and, if it was missing or empty, put the marker into it by which ``make clean`` knows it.

    A folder that holds other files gets no marker, so that it is never deleted as a whole.
    """
    if is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return
    fresh = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        (folder / MARKER).touch()


def open_workspace(where: str | Path) -> Path:
    """A workspace, made if missing, after a test file was written and removed, and abandoned files are deleted.

    A workspace that holds results but cannot be written is opened too, to read what it holds.

    Raises
    ------
    MultiresError
        If it can be neither written nor read.
    """
    folder = place(where)
    try:
        make_marked(folder)
        if is_remote(folder):
            probe = folder / f".writable-{uuid4().hex}"
            probe.write_bytes(b"x")
            probe.unlink()
        else:
            with temporary_file(folder / "writable") as probe:
                probe.write_bytes(b"x")
    except Exception as error:  # every kind of URL has its own
        if isinstance(error, OSError) and error.errno in _FULL:
            raise MultiresError(f"there is no room at {folder}: free some, or choose another workspace") from error
        if is_remote(folder) or not _is_readable(folder) or not any(folder.iterdir()):
            raise MultiresError(f"workspace {folder} cannot be written ({reason(error)}): choose another") from error
        _LOG.info("workspace %s is read-only: only results that it already holds can be used", folder)
    if not is_remote(folder):
        hidden = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and not _is_readable(path)]
        if hidden:
            raise MultiresError(
                f"workspace {folder} has folders that another user made and you cannot read ({', '.join(hidden)}): ask "
                f"for chmod -R a+rX {folder}, or choose another workspace"
            )
        remove_abandoned(folder, below=2)
    return folder


def _is_readable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, which then replaces `target` in one step.

    At a URL `target` is written directly: object stores show a new object only when it is whole.

    Raises
    ------
    MultiresError
        If it cannot be written; the old file is unchanged, and nothing else is left behind.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_remote(target):
            write(target)
            return
        with temporary_file(target) as partial:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
            os.replace(partial, target)


def replace_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder, which then takes the place of `target`.

    At a URL `write` fills `target` itself; its last file has to be the one that makes it whole.

    Raises
    ------
    MultiresError
        If it cannot be written; nothing else is left behind.
    """
    with writing(target):
        if is_remote(target):
            write(target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target) as partial:
            write(partial)
            remove(target)
            partial.rename(target)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn errors of the system on writing into one sentence that names the file.

    Raises
    ------
    MultiresError
        In place of an OSError, and of a library's error that an OSError caused.
    """
    try:
        yield
    except MultiresError:
        raise
    except (OSError, RuntimeError) as error:
        cause = error
        while isinstance(cause, RuntimeError) and isinstance(cause.__cause__ or cause.__context__, OSError):
            cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise MultiresError(
                f"cannot write {target}: there is no room ({reason(cause)}); free some, or choose another folder"
            ) from error
        raise MultiresError(f"cannot write {target}: {reason(cause)}; choose another folder") from error


def remove(path: Path) -> None:
    """Delete a folder and its contents, if it exists."""
    if is_remote(path):
        with suppress(FileNotFoundError):
            path.fs.rm(path.path, recursive=True)  # type: ignore[attr-defined]
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def making(target: Path) -> Iterator[None]:
    """Hold a lock on `target` while it is made: another process that needs it waits, then finds it.

    The system releases the lock when the process ends, however it ends. URLs cannot be locked: there two runs may do
    the same work, and the later one replaces the same files.

    Raises
    ------
    MultiresError
        If the lock cannot be written.
    """
    if is_remote(target):
        yield
        return
    with writing(target):
        locks = target.parent / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / target.name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _LOG.info("another run is making %s: waiting for it", target)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(error: BaseException) -> str:
    """An error in a few words, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
