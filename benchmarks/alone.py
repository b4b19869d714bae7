"""Each notebook alone with papermill, from an empty workspace and an empty cache: seconds, and those of the processor.

    python -m benchmarks.alone                     # every notebook, on the default profile
    python -m benchmarks.alone 05_downstream 06_conclusions --limit 90

The kernel's start is included. Nothing else should be running; where something is, only the seconds of the processor,
over all processes of the notebook, can be compared. It exits with 1 where a notebook fails, or takes more than `--limit` seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import print_machine
from multires.book.notebooks import checkout, sources
from multires.errors import choose


def seconds_alone(notebook: Path) -> tuple[float, float]:
    """Seconds that papermill takes for a notebook that finds nothing made, and those of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "papermill", str(notebook), f"{folder}/out.ipynb", "--no-progress-bar"]
        command += ["-p", "workspace", f"{folder}/workspace"]
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, env={**os.environ, "MULTIRES_CACHE": f"{folder}/cache"}, capture_output=True, text=True
        )
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{notebook.stem} failed:\n{done.stderr[-2000:]}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """The command line."""
    notebooks = {path.stem: path.with_suffix(".ipynb") for path in sources(checkout())}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", default=list(notebooks), metavar="NOTEBOOK")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds that no notebook may exceed")
    arguments = parser.parse_args()
    print_machine()
    slow = []
    for name in arguments.notebooks:
        took, processor = seconds_alone(notebooks[choose("notebook", name, tuple(notebooks))])
        print(f"{name:24s} {took:6.1f} s {processor:7.1f} s of the processor", flush=True)
        if took > arguments.limit:
            slow.append(name)
    if slow:
        raise SystemExit(f"more than {arguments.limit:g} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
