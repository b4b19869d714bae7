"""Where a workspace lies, a folder or a URL, and how files come to be there: whole or not at all, made by one run at a time."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from multires.errors import MultiresError


def place(where: str | Path) -> Path:
    """A local folder as an absolute path; a URL (``s3://``, ``gs://``, ``memory://``) as an object with the same methods.

    Raises
    ------
    MultiresError
        For a URL whose kind is unknown, or without the extra ``cluster``, which brings what URLs need.
    """
    if "://" not in str(where):
        return Path(where).expanduser().resolve()
    try:
        from upath import UPath

        found: Any = UPath(str(where))
        found.fs  # noqa: B018 (makes the connection's class, or says what is missing)
    except ImportError as error:
        raise MultiresError(f"{where} needs more packages ({error}): pip install 'multires[cluster]'") from error
    except (ValueError, OSError) as error:
        raise MultiresError(f"{where} is no place that fsspec can write to: {reason(error)}") from error
    return found


def is_remote(path: Path) -> bool:
    """Whether a place is a URL: there objects appear whole, nothing can be renamed in one step, and nothing locked."""
    return not isinstance(path, Path)


def writable(where: str | Path) -> Path:
    """The place, made where it is missing, after a file could be written there and removed.

    Raises
    ------
    MultiresError
        Where it could not.
    """
    folder = place(where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except Exception as error:  # every kind of URL has its own
        if isinstance(error, OSError) and error.errno in _FULL:
            raise MultiresError(f"there is no room at {folder}: make some, or choose another workspace") from error
        raise MultiresError(f"workspace {folder} cannot be written ({reason(error)}): choose another folder") from error
    return folder


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under another name, then put it in the place of `target` in one step.

    At a URL it is written where it belongs: object stores show a new object only when it is whole.

    Raises
    ------
    MultiresError
        Where it cannot be written; the old file is as it was, and nothing else is left behind.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_remote(target):
            write(target)
            return
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            write(partial)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system says of a failed write into a sentence that names the file.

    Raises
    ------
    MultiresError
        In place of an OSError, and of what libraries make of one.
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
                f"cannot write {target}: there is no room ({reason(cause)}); make some, or choose another workspace"
            ) from error
        raise MultiresError(f"cannot write {target}: {reason(cause)}; choose another workspace") from error


def remove(path: Path) -> None:
    """Delete a folder with all that is in it, where there is one."""
    if is_remote(path):
        with suppress(FileNotFoundError):
            path.fs.rm(path.path, recursive=True)  # type: ignore[attr-defined]
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def making(target: Path) -> Iterator[None]:
    """Hold `target` while it is made: another process that wants to make it waits, then finds it.

    The system lets go of the lock when the process ends, however it ends. URLs cannot be locked: there two runs may do
    the same work, and the later one's files replace the same files.

    Raises
    ------
    MultiresError
        Where the lock cannot be written.
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
            print(f"another run is making {target}: waiting for it", file=sys.stderr, flush=True)
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
