"""Progress of a run: one bar for each step, numbered across stages, that moves while a step is silent."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

INTERVAL = 1.0
"""Seconds between two refreshes of a bar, which show the time that has passed."""

_steps = itertools.count(1)


def begin_steps() -> None:
    """Count the steps that follow from one."""
    global _steps
    _steps = itertools.count(1)


@contextmanager
def step_bar(
    title: str, total: int, unit: str, *, shown: bool, interval: float = INTERVAL, **options: Any
) -> Iterator[Any]:
    """A bar for the next step of a run.

    Parameters
    ----------
    title
        Of the step; its number comes before it.
    total, unit
        Of what is counted.
    shown
        False for a bar that is not shown and not counted.
    interval
        Seconds between two refreshes where nothing is counted meanwhile.
    options
        Of `tqdm.tqdm`.
    """
    name = f"step {next(_steps)}, {title}" if shown else title
    done = threading.Event()

    def keep_moving() -> None:
        while not done.wait(interval):
            bar.refresh()

    with tqdm(total=total, desc=name, unit=unit, disable=not shown, **options) as bar:
        if not shown:
            yield bar
            return
        thread = threading.Thread(target=keep_moving, name="progress", daemon=True)
        thread.start()
        try:
            yield bar
        finally:
            done.set()
            thread.join()
