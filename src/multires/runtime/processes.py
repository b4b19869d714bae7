"""Processes that end with the one that started them, and termination signals that act as Ctrl-C does.

This file is also a script that runs another one: ``python processes.py PARENT TARGET`` runs a module (by its dotted
name) or a script (by its path) that ends when process PARENT does. It needs the standard library alone.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
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
    """SIGTERM or SIGHUP, on Ctrl-C's way; `last` is the number of the latest one, 0 before any."""

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
