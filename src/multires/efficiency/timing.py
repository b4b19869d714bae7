"""Interleaved, warmed-up timing of calls and of a model's modules, on a CPU or CUDA device."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pandas as pd
import torch
from torch import nn

from multires.errors import MultiresError

Clock = Callable[[Callable[[], object]], float]
"""Runs a callable and returns the seconds that it took."""

"""Runs a callable and gives the seconds that it took."""


def time_interleaved(
    callables: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 1,
    seconds: float = 0.0,
    device: str = "cpu",
    clock: Clock | None = None,
) -> pd.DataFrame:
    """Time several callables in turn, A B C A B C ..., so that a change of the machine's speed meets all alike.

    Parameters
    ----------
    callables
        What to time, by name.
    repeats
        Rounds that are kept, at least.
    warmup
        Rounds before them that are not.
    seconds
        Go on after `repeats` rounds until this much time is spent: the stopping rule never looks at the results.
    device
        ``cpu``, or a CUDA device, whose own events are read after synchronization.
    clock
        Another way to time; for tests.

    Returns
    -------
    DataFrame
        name, repeat (from 0) and seconds, one row a call.

    Raises
    ------
    MultiresError
        If `repeats` is not positive.
    """
    if repeats < 1:
        raise MultiresError(f"repeats is {repeats}: give a positive number")
    clock = clock or (cuda_clock(device) if device.startswith("cuda") else wall_clock)
    for _ in range(warmup):
        for call in callables.values():
            clock(call)
    rows: list[tuple[str, int, float]] = []
    spent, repeat = 0.0, 0
    with _no_collection():
        while repeat < repeats or spent < seconds:
            for name, call in callables.items():
                took = clock(call)
                rows.append((name, repeat, took))
                spent += took
            repeat += 1
    return pd.DataFrame(rows, columns=["name", "repeat", "seconds"])


def wall_clock(call: Callable[[], object]) -> float:
    """Seconds by the monotonic clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cuda_clock(device: str) -> Clock:
    """Seconds between two events on the device's current stream."""

    def clock(call: Callable[[], object]) -> float:
        with torch.cuda.device(device):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    return clock


def time_modules(
    model: nn.Module, names: list[str], call: Callable[[], object], *, device: str = "cpu"
) -> dict[str, float]:
    """Seconds spent within each named submodule during one call; the modules must not contain one another.

    On a GPU the device's events are read after one synchronization at the end, so that nothing waits in between.
    """
    cuda = device.startswith("cuda")
    marks: dict[str, list[object]] = {name: [] for name in names}

    def mark(name: str) -> None:
        if cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            marks[name].append(event)
        else:
            marks[name].append(time.perf_counter())

    hooks = []
    for name in names:
        module = model.get_submodule(name)
        hooks.append(module.register_forward_pre_hook(lambda _m, _i, name=name: mark(name)))
        hooks.append(module.register_forward_hook(lambda _m, _i, _o, name=name: mark(name)))
    try:
        call()
        if cuda:
            torch.cuda.synchronize()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: sum(_between(a, b) for a, b in zip(m[::2], m[1::2], strict=True)) for name, m in marks.items()}


def _between(start: object, end: object) -> float:
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return start.elapsed_time(end) / 1e3
    if isinstance(start, float) and isinstance(end, float):
        return end - start
    raise TypeError("a start and an end of the same kind are needed")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage is collected before, not in the middle of a measurement."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
