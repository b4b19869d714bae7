"""Parallel work on this machine: threads for small matrices, processes for long computations."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from multires.runtime.processes import end_with_parent

Item = TypeVar("Item")
Found = TypeVar("Found")

_LOG = logging.getLogger(__name__)


def side_by_side(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """The results of `work` for every item, in order, in as many threads as matrix products may use, each with one.

    One core for each small matrix is several times faster than all cores on one matrix. Where matrix products may use one
    thread only, as in a worker that is itself one of several, items are worked on one after the other. Either way every
    product runs in one thread, so that results do not depend on the number of cores.
    """
    libraries = _libraries()
    threads = max((library.num_threads or 1 for library in libraries.lib_controllers), default=1)
    if threads == 1 or len(items) < 2:
        with libraries.limit(limits=1):
            return [work(item) for item in items]
    with libraries.limit(limits=1), ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))


def in_processes(work: Callable[[Item], Found], items: Sequence[Item], count: int) -> Iterator[Found]:
    """The results of `work` for every item, in order, from `count` processes of one thread each.

    The processes stay a minute for further work, and end with this process however it ends. Where one of them dies,
    the remaining items are processed here.
    """
    from joblib import Parallel, delayed, parallel_config

    remove_shared_memory_of_the_dead()
    left = list(items)
    with parallel_config(
        backend="loky",
        inner_max_num_threads=1,
        idle_worker_timeout=60,
        initializer=end_with_parent,
        initargs=(os.getpid(),),
    ):
        try:
            for found in Parallel(n_jobs=count, return_as="generator")(delayed(work)(item) for item in items):
                left.pop(0)
                yield found
        except BrokenExecutor:
            _LOG.warning("a worker process died, possibly out of memory: continuing without")
    yield from map(work, left)


_SHARED = re.compile(r"(?:joblib_memmapping_folder_|sem\.loky-|loky-)(?P<pid>\d+)[_-]")


def remove_shared_memory_of_the_dead(folders: Sequence[Path] | None = None) -> list[Path]:
    """Remove what joblib left in shared memory for processes of this user that have ended.

    joblib itself does so when a run ends by any signal but one that also kills its resource tracker.

    Parameters
    ----------
    folders
        Default: ``/dev/shm`` and the folder for temporary files.

    Returns
    -------
    list of pathlib.Path
        The paths removed.
    """
    if not Path("/proc/self").exists():
        return []
    removed = []
    for folder in folders or (Path("/dev/shm"), Path(tempfile.gettempdir())):
        for path in folder.iterdir() if folder.is_dir() else ():
            named = _SHARED.match(path.name)
            with suppress(OSError):
                if named and path.lstat().st_uid == os.getuid() and not Path("/proc", named["pid"]).exists():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()
                    removed.append(path)
    return removed


@cache
def _libraries() -> ThreadpoolController:
    """Those that compute matrix products; looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401 (loads its own library, which must be among those found)

    return ThreadpoolController().select(user_api="blas")
