"""Workers of the experiment end with a signal to the process that runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")

WORKER = """
import os, signal, sys, threading
from pathlib import Path
if sys.argv[2] == "busy":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
Path(sys.argv[1], f"{os.getpid()}.pid").touch()
threading.Event().wait()
"""

RUN = f"""
import sys
from pathlib import Path
from multires.experiment.queue import Job, run_workers
run_workers([sys.executable, "-c", {WORKER!r}, *sys.argv[1:]], [Job("a", "mono", 0, 1)], Path(sys.argv[1]), workers=2)
"""


@pytest.mark.parametrize("kind", ["idle", "busy"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_workers_that_finish_and_those_that_do_not(number, kind, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a child would inherit that nohup ignores it
    try:
        run = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), kind], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    with run:
        deadline = time.monotonic() + 120
        while len(workers := list(tmp_path.glob("*.pid"))) < 2 and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.send_signal(number)
        run.wait(20)
        assert "stopped; run again to continue" in run.stderr.read()
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker.stem), 0)
