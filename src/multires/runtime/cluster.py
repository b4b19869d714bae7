"""Task execution on the workers of a Dask cluster: retries, hung workers, and merges as a tree."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from multires.errors import MultiresError
from multires.runtime.digest import code_digest
from multires.runtime.engine import Engine, Piece, Result

ATTEMPTS = 3
"""Attempts for each piece of work, each on another worker where there is one."""

PATIENCE = 3600.0
"""Seconds for one piece, after which its worker counts as not responding."""


_LOG = logging.getLogger(__name__)


class Cluster(Engine):
    """The workers of a Dask client, on one machine or many.

    A piece that fails is retried on another worker; so is one whose worker dies, runs out of memory or takes longer
    than `patience`. Pieces that keep failing are reported when all others are done.

    Parameters
    ----------
    client
        Of `distributed`, connected.
    attempts, patience
        As `ATTEMPTS` and `PATIENCE`.
    clock, glance
        The seconds that `patience` is measured with, and the seconds between two looks at running pieces.
    """

    remote = True

    def __init__(
        self,
        client: Any,
        *,
        attempts: int = ATTEMPTS,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        glance: float = 1.0,
    ) -> None:
        self.client = client
        self.attempts, self.patience = attempts, patience
        self._clock, self._glance = clock, glance

    def each(self, function: Callable[[Piece], Result], pieces: Iterable[Piece], what: str) -> Iterator[Result]:
        """As `Engine.each`, with one running piece for each thread of the workers."""
        waiting = (_Job(piece) for piece in pieces)
        again: list[_Job] = []
        suspects: list[_Job] = []
        running: dict[Any, _Job] = {}
        failed: list[_Job] = []
        finished = 0
        ended: SimpleQueue[Any] = SimpleQueue()
        task = _Task(function, code_digest())
        try:
            while True:
                if not (running or again or suspects):
                    # Nothing is left to wait for a worker with: the last piece may have ended all of them.
                    again.extend(islice(waiting, 1))
                    if not again:
                        break
                room = max(self.width(what) - len(running), 0)
                ready = [*again[:room], *islice(waiting, max(room - len(again), 0))]
                again = again[room:]
                if not running and not ready and suspects:
                    ready = [suspects.pop(0)]
                for job in ready:
                    future = self._submit(task, job)
                    running[future] = job
                    future.add_done_callback(ended.put)
                if not running:
                    break
                with suppress(Empty):
                    ended.get(timeout=self._glance)
                for future in [future for future in running if future.done()]:
                    job = running.pop(future)
                    outcome = _outcome(future)
                    if outcome.problem is None:
                        finished += 1
                        yield outcome.value
                    else:
                        self._retry(job, outcome, suspects if outcome.died else again, failed)
                now = self._clock()
                for future in [future for future, job in running.items() if now - job.since > self.patience]:
                    self._retry(running.pop(future), self._abandon(future), again, failed)
        finally:
            for future in running:
                future.cancel(force=True)
        if failed:
            named = "; ".join(f"{job.piece}: {job.problem}" for job in failed[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise MultiresError(
                f"{len(failed)} of {finished + len(failed)} {what} failed, the others are done and kept ({named}{more}): "
                "fix the cause and re-run, only these will be tried"
            )

    def merge(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], join: Callable[[Result, Result], Result]
    ) -> Result:
        """As `Engine.merge`; branches are joined on the workers, and only the last result is sent back.

        Joins have priority over new pieces, so that few results are held at a time.
        """
        if not pieces:
            raise MultiresError("there is nothing to merge")
        package, retries = code_digest(), self.attempts - 1
        # As a task's result it is sent once to each worker and recomputed where it is lost; cluster centers are large.
        given = self.client.submit(_same, function, pure=False, priority=1)
        level = self.client.map(_checked, pieces, function=given, package=package, pure=False, retries=retries)
        keys = {future.key for future in level}
        height = 0
        while len(level) > 1:
            height += 1
            pairs = [level[index : index + 2] for index in range(0, len(level), 2)]
            level = [
                self.client.submit(_joined, join, *pair, pure=False, retries=retries, priority=height)
                if len(pair) == 2
                else pair[0]
                for pair in pairs
            ]
            keys.update(future.key for future in level)
        outcome = self._watched(level[0], keys)
        if outcome.problem is not None:
            raise MultiresError(f"the statistics could not be merged: {outcome.problem}")
        return outcome.value

    def width(self, what: str = "the work") -> int:
        """The number of the workers' threads; waits up to a minute for the first worker.

        Raises
        ------
        MultiresError
            If no worker joins.
        """
        threads = sum(self.client.nthreads().values())
        if not threads:
            try:
                self.client.wait_for_workers(1, timeout=_JOINING)
            except TimeoutError as error:
                raise MultiresError(
                    f"no worker has joined {_address(self.client)} within {_JOINING:.0f} s: {what} cannot be computed; "
                    "start workers (dask worker ADDRESS) and re-run"
                ) from error
            threads = sum(self.client.nthreads().values())
        return max(threads, 1)

    def _watched(self, last: Any, keys: set[str]) -> _Outcome:
        """The outcome of the last of some futures; workers that take too long for one of them are restarted.

        Only keys are held here: a future that is held would keep its result on the workers.
        """
        ended: SimpleQueue[Any] = SimpleQueue()
        last.add_done_callback(ended.put)
        since: dict[str, float] = {}
        restarts = 0
        while True:
            with suppress(Empty):
                ended.get(timeout=self._glance)
                return _outcome(last)
            now = self._clock()
            at = {key: worker for worker, own in self.client.processing().items() for key in own if key in keys}
            since = {key: since.get(key, now) for key in at}
            late = sorted({at[key] for key, began in since.items() if now - began > self.patience})
            if late and restarts == self.attempts - 1:
                last.cancel(force=True)
                return _Outcome(problem=f"{', '.join(late)} was not done after {self.patience:.0f} s")
            if late:
                restarts += 1
                _LOG.warning("%s does not respond: restarted", ", ".join(late))
                self._restart(late)
                since = {}

    def _restart(self, workers: Sequence[str]) -> None:
        with suppress(Exception):  # a worker without a nanny cannot be restarted
            self.client.restart_workers(list(workers), timeout=_JOINING, raise_for_error=False)

    def _submit(self, task: _Task, job: _Job) -> Any:
        job.attempts += 1
        job.since = self._clock()
        others = [worker for worker in self.client.nthreads() if worker not in job.avoid] if job.avoid else []
        return self.client.submit(
            _run, task, job.piece, pure=False, workers=others or None, allow_other_workers=bool(others)
        )

    def _retry(self, job: _Job, outcome: _Outcome, again: list[_Job], failed: list[_Job]) -> None:
        job.problem = outcome.problem
        job.avoid.update(outcome.workers)
        if outcome.died:
            # Dask has tried it several times. Once more, with no other piece running: the worker may have died of one.
            job.attempts = max(job.attempts, self.attempts - 1)
        if job.attempts < self.attempts:
            _LOG.warning("%s: %s; retrying", job.piece, job.problem)
            again.append(job)
        else:
            failed.append(job)

    def _abandon(self, future: Any) -> _Outcome:
        """Give up on a worker that does not respond: restart it if it has a nanny, and avoid it for this piece."""
        workers = [worker for worker, keys in self.client.processing().items() if future.key in keys]
        future.cancel(force=True)
        self._restart(workers)
        named = ", ".join(workers) or "a worker"
        return _Outcome(problem=f"{named} was not done after {self.patience:.0f} s", workers=tuple(workers))


_JOINING = 60.0
"""Seconds to wait for a worker to join."""


class _Job:
    """A piece of work and its history."""

    def __init__(self, piece: Any) -> None:
        self.piece = piece
        self.attempts, self.since = 0, 0.0
        self.avoid: set[str] = set()
        self.problem: str | None = None


@dataclass(frozen=True)
class _Outcome:
    """The outcome of a piece: its value, or the problem and the workers that had it."""

    value: Any = None
    problem: str | None = None
    workers: tuple[str, ...] = ()
    died: bool = False


@dataclass(frozen=True)
class _Task:
    """A function for the workers, and the digest of the package that it belongs to."""

    function: Callable[[Any], Any]
    package: str


def _run(task: _Task, piece: Any) -> _Outcome:
    """On a worker: the outcome of a piece; an error is a value, so that the other pieces continue."""
    from distributed import get_worker

    address = get_worker().address
    try:
        return _Outcome(_checked(piece, function=task.function, package=task.package))
    except MultiresError as error:
        return _Outcome(problem=str(error), workers=(address,))
    except Exception as error:
        return _Outcome(problem=f"{type(error).__name__}: {error}"[:300], workers=(address,))


def _checked(piece: Any, *, function: Callable[[Any], Any], package: str) -> Any:
    if package != code_digest():
        raise MultiresError("a worker has another version of multires: install the same one everywhere")
    _settle()
    return function(piece)


def _same(value: Any) -> Any:
    return value


def _joined(join: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    return join(left, right)


def _outcome(future: Any) -> _Outcome:
    """The result of a future, or Dask's error; a piece whose worker died has been retried by Dask itself."""
    from distributed import KilledWorker

    try:
        value = future.result()
    except KilledWorker as error:
        return _Outcome(
            problem="every worker that had it died, possibly out of memory; the last was "
            f"{getattr(error.last_worker, 'address', error.last_worker)}",
            died=True,
        )
    except Exception as error:
        return _Outcome(problem=f"{type(error).__name__}: {error}"[:300])
    return value if isinstance(value, _Outcome) else _Outcome(value)


def _settle() -> None:
    """Share a worker's cores among its threads: torch and BLAS use as many threads as there are cores for each."""
    from distributed import get_worker
    from threadpoolctl import threadpool_limits

    global _share
    if _share is None:
        cores = int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
        _share = max(1, cores // get_worker().state.nthreads)
        os.environ["OMP_NUM_THREADS"] = str(_share)  # for libraries that are loaded later
        threadpool_limits(_share)
    if (torch := sys.modules.get("torch")) and torch.get_num_threads() != _share:
        torch.set_num_threads(_share)


_share: int | None = None


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", client))


@cache
def connect(address: str) -> Any:
    """One connection to a scheduler for all runs of this process."""
    from distributed import Client

    return Client(address, timeout=20, set_as_default=False)
