"""Small matrices side by side: a core for each is several times faster than all cores for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """What `work` gives for every item, in order; in as many threads as matrix products may use now, each with one.

    Where they may use one only, as in a worker that is itself one of several, items are worked on one after the other.
    Either way every product runs in one thread, so that results do not depend on the number of cores.
    """
    libraries = _libraries()
    threads = max((library.num_threads or 1 for library in libraries.lib_controllers), default=1)
    if threads == 1 or len(items) < 2:
        with libraries.limit(limits=1):
            return [work(item) for item in items]
    with libraries.limit(limits=1), ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))


@cache
def _libraries() -> ThreadpoolController:
    """Those that compute matrix products; looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401 (loads its own library, which must be among those found)

    return ThreadpoolController().select(user_api="blas")
