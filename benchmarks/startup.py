"""Start-up: wall and processor seconds until ``import multires`` and ``multires --help`` are done.

Each is timed in fresh processes; an empty one is timed beside them, since every Python program pays for it::

    python -m benchmarks.startup --json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.machine import print_machine

COMMANDS = {
    "python": ["-c", "pass"],
    "import multires": ["-c", "import multires"],
    "multires --help": ["-c", "import sys; sys.argv = ['multires', '--help']; from multires.cli import main; main()"],
}
LIMIT = 0.5


def timed(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one process."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def startup(repeats: int) -> list[dict[str, object]]:
    """One row for each command: the least and the median wall seconds, and the least processor seconds."""
    rows = []
    for name, arguments in COMMANDS.items():
        timed(arguments)  # compiles what is not compiled yet
        wall, used = zip(*(timed(arguments) for _ in range(repeats)), strict=True)
        rows.append({"command": name, "least": min(wall), "median": statistics.median(wall), "processor": min(used)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON list in place of a table")
    given = parser.parse_args()
    print_machine()
    rows = startup(given.repeats)
    if given.json:
        print(json.dumps(rows))
    else:
        print(f"{'command':18} {'least s':>8} {'median s':>9} {'processor s':>12}")
        for row in rows:
            print(f"{row['command']:18} {row['least']:8.2f} {row['median']:9.2f} {row['processor']:12.2f}")
    sys.exit(any(float(str(row["least"])) > LIMIT for row in rows))


if __name__ == "__main__":
    main()
