"""Jobs of the controlled experiment, shared by several single-threaded processes."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from multires.errors import MultiresError
from multires.runtime.processes import GRACE, PARENT, noted_interrupts
from multires.runtime.storage import replace_file

_LOG = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
"""Seconds between two progress reports of a worker."""

STATUS_SECONDS = 30.0
"""Seconds between two status lines on the terminal."""


@dataclass(frozen=True)
class Job:
    """One model to train or to score.

    Attributes
    ----------
    name
        Of the file to be made, without its suffix, such as ``multi+aux-3``.
    condition, seed
        Condition and seed of the model.
    steps
        Optimizer steps in all.
    changes
        Fields of the recipe in place of the experiment's own, for sensitivity runs.
    units
        The name of the prepared units that are predicted.
    suffix
        Of the file.
    """

    name: str
    condition: str
    seed: int
    steps: int
    units: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    suffix: str = ".safetensors"

    def path(self, folder: Path) -> Path:
        """The file to be made."""
        return folder / f"{self.name}{self.suffix}"


@dataclass(frozen=True)
class Progress:
    """Progress of a job as last reported by its worker.

    Attributes
    ----------
    step, steps
        Steps done and total steps.
    rate
        Audio-seconds per second since the worker started the job; NaN before.
    state
        ``waiting``, ``running``, ``stopped`` or ``done``.
    """

    step: int
    steps: int
    rate: float
    state: str


def note_path(job: Job, folder: Path) -> Path:
    """File in which a worker reports its progress."""
    return folder / ".progress" / f"{job.name}.json"


def read_progress(job: Job, folder: Path) -> Progress:
    """Progress of a job; ``done`` if its model exists."""
    if job.path(folder).exists():
        return Progress(job.steps, job.steps, float("nan"), "done")
    try:
        note = json.loads(note_path(job, folder).read_text())
        fresh = time.time() - float(note["time"]) < 60
        return Progress(int(note["step"]), job.steps, float(note["rate"]), "running" if fresh else "stopped")
    except (OSError, ValueError, KeyError):
        return Progress(0, job.steps, float("nan"), "waiting")


class Reporter:
    """Reports the progress of a job every few seconds to the process that started the workers."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.path = note_path(job, folder)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._began = self._noted = time.monotonic()
        self._seconds = 0.0

    def __call__(self, step: int, seconds: float) -> None:
        """Called after every step with the audio-seconds that it took in."""
        self._seconds += seconds
        now = time.monotonic()
        if now - self._noted >= REPORT_SECONDS:
            note = {"step": step, "rate": self._seconds / (now - self._began), "time": time.time(), "pid": os.getpid()}
            replace_file(self.path, lambda path: path.write_text(json.dumps(note)))
            self._noted = now


def work(jobs: Sequence[Job], folder: Path, do: Callable[[Job, Reporter], object]) -> None:
    """Do every job that no other process is doing, in order, without waiting for the others.

    A job is locked while it is done; the operating system releases the lock when the process ends.
    """
    locks = folder / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        if job.path(folder).exists():
            continue
        lock = FileLock(locks / f"{job.name}.job")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            if not job.path(folder).exists():
                do(job, Reporter(job, folder))
        finally:
            lock.release()


def run_workers(
    command: Sequence[str], jobs: Sequence[Job], folder: Path, *, workers: int, progress: bool = True
) -> None:
    """Run `workers` single-threaded processes of `command` and show their progress until all jobs are done.

    Ctrl-C, SIGTERM and SIGHUP make every worker finish its step, write its checkpoint and end. A worker that takes longer
    than `multires.runtime.processes.GRACE` seconds for that is killed; its last checkpoint is whole.

    Raises
    ------
    MultiresError
        If workers failed. Checkpoints are kept, and the next call continues from them.
    KeyboardInterrupt
        After a signal.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", PARENT: str(os.getpid())}
    logs = [folder / f"worker-{index}.log" for index in range(workers)]
    folder.mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    with noted_interrupts() as stopped:
        try:
            for log in logs:
                with log.open("ab") as file:
                    processes.append(
                        subprocess.Popen(
                            command,
                            env=environment,
                            stdin=subprocess.DEVNULL,
                            stdout=file,
                            stderr=file,
                            start_new_session=True,
                        )
                    )
            shown = 0.0
            while any(process.poll() is None for process in processes) and not stopped.is_set():
                if progress and time.monotonic() - shown > STATUS_SECONDS:
                    _LOG.info("%s", status_line(jobs, folder))
                    shown = time.monotonic()
                stopped.wait(1.0)
        finally:
            codes = _end(processes)
    if stopped.is_set():
        raise KeyboardInterrupt("stopped; run again to continue")
    missing = [job.name for job in jobs if not job.path(folder).exists()]
    if any(codes) and missing:
        failed = next(log for log, code in zip(logs, codes, strict=True) if code)
        raise MultiresError(f"{', '.join(missing[:3])} could not be made; see {failed}; run again to continue")


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Interrupt the processes that still run, kill those that do not end in time, and return all exit codes."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(max(deadline - time.monotonic(), 0.01)))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(process.wait())
    return codes


def status_line(jobs: Sequence[Job], folder: Path) -> str:
    """Finished models, running models and audio-seconds per second, on one line."""
    states = {job.name: read_progress(job, folder) for job in jobs}
    done = sum(state.state == "done" for state in states.values())
    running = {name: state for name, state in states.items() if state.state == "running"}
    shares = ", ".join(f"{name} {100 * state.step / state.steps:.0f} %" for name, state in running.items())
    rate = sum(state.rate for state in running.values() if math.isfinite(state.rate))
    speed = f"; {rate:.0f} audio-seconds per second" if rate else ""
    return f"{done} of {len(jobs)} models; {shares or 'starting'}{speed}"


def status_table(jobs: Sequence[Job], folder: Path) -> list[dict[str, object]]:
    """One row for each job: name, state, steps done and in all, audio-seconds per second."""
    rows = []
    for job in jobs:
        state = read_progress(job, folder)
        rows.append(
            {"model": job.name, "state": state.state, "step": state.step, "steps": state.steps, "rate": state.rate}
        )
    return rows
