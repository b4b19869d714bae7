"""Each notebook alone with papermill, from an empty workspace and an empty cache: the seconds, kernel start included.

    python -m benchmarks.alone                     # every notebook, on the default profile
    python -m benchmarks.alone 05_downstream 06_conclusions --limit 90

Nothing else should be running. It exits with 1 where a notebook fails, or takes more than `--limit` seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from multires.book.notebooks import checkout, sources
from multires.errors import choose


def seconds_alone(notebook: Path) -> float:
    """Seconds that papermill takes for a notebook that finds nothing made."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "papermill", str(notebook), f"{folder}/out.ipynb", "--no-progress-bar"]
        command += ["-p", "workspace", f"{folder}/workspace"]
        began = time.perf_counter()
        done = subprocess.run(
            command, env={**os.environ, "MULTIRES_CACHE": f"{folder}/cache"}, capture_output=True, text=True
        )
        took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{notebook.stem} failed:\n{done.stderr[-2000:]}")
    return took


def main() -> None:
    """The command line."""
    notebooks = {path.stem: path.with_suffix(".ipynb") for path in sources(checkout())}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", default=list(notebooks), metavar="NOTEBOOK")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds that no notebook may exceed")
    arguments = parser.parse_args()
    slow = []
    for name in arguments.notebooks:
        took = seconds_alone(notebooks[choose("notebook", name, tuple(notebooks))])
        print(f"{name:24s} {took:6.1f} s", flush=True)
        if took > arguments.limit:
            slow.append(name)
    if slow:
        raise SystemExit(f"more than {arguments.limit:g} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
