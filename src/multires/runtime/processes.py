"""Processes that end with the one that started them, and termination signals that act as Ctrl-C does.

This file is also a script that runs another one: ``python processes.py PARENT TARGET`` runs a module (by its dotted
name) or a script (by its path) that ends when process PARENT does. It needs only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

INTERVAL = 0.5
"""Seconds between two looks at the parent."""

PARENT = "MULTIRES_PARENT"
"""The environment variable that tells a child process the number of its parent."""

GRACE = 3.0
"""Seconds that an interrupted process has to end by itself, for example to write a checkpoint."""


def end_with_parent(parent: int | None = None, *, interrupt: bool = False) -> None:
    """End this process soon after its parent has ended, however that ended; safe to call more than once.

    Parameters
    ----------
    parent
        The parent's process number. Give it where the parent may end before this call; else it is looked up.
    interrupt
        Act as Ctrl-C first, and end the process only where it is still there `GRACE` seconds later.
    """
    global _watching
    if _watching:
        return
    _watching = True
    expected = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == expected:
            time.sleep(INTERVAL)
        if interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


_watching = False


def command(target: str, *options: str) -> list[str]:
    """The command line of a child process that runs `target`, a module or a script, and ends with this process.

    `options` are the Python interpreter's own, such as ``-I``.
    """
    return [sys.executable, *options, __file__, str(os.getpid()), target]


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, raised where Ctrl-C would raise; `last` is the number of the most recent one, 0 before any."""

    last = 0


def interrupt_on_termination() -> None:
    """Let SIGTERM and SIGHUP raise `Terminated` in the main thread; an ignored SIGHUP (``nohup``) stays ignored."""

    def raise_terminated(number: int, frame: FrameType | None) -> None:
        Terminated.last = number
        raise Terminated(signal.Signals(number).name)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, raise_terminated)


@contextlib.contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and SIGHUP set instead of what they do otherwise, where this is the main thread.

    An ignored SIGHUP (``nohup``) stays ignored.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            Terminated.last = number
        event.set()

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        number: signal.signal(number, note)
        for number in numbers
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_kernel_on_termination() -> None:
    """Let SIGTERM interrupt the running cell of a notebook and end its kernel, at the latest `GRACE` seconds later.

    A kernel survives an exception in a cell, so that the interrupt alone would not end it. Elsewhere this does nothing.
    """
    kernel = getattr(getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)(), "kernel", None)
    if kernel is None or threading.current_thread() is not threading.main_thread():
        return

    def end(number: int, frame: FrameType | None) -> None:
        Terminated.last = number
        timer = threading.Timer(GRACE, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()
        raise Terminated(signal.Signals(number).name)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _run(parent: int, target: str) -> None:
    if sys.path[:1] == [os.path.dirname(__file__)]:  # absent with -I; its modules are the package's
        del sys.path[0]
    end_with_parent(parent)
    if target.endswith(".py"):
        runpy.run_path(target, run_name="__main__")
    else:
        runpy.run_module(target, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2])
