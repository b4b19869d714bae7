"""The order of the rooms: each imports only what stands before it on the way from speech to the book."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import multires

ROOT = Path(multires.__file__).parent

SHARED = {"errors", "visible", "profiles", "results"}
"""Modules at the top level that every room may import."""

ENTRANCES = {"__init__", "cli", "cli_options"}
"""Modules at the top level that open every room, and that no room imports."""

BEFORE = {
    "runtime": set(),
    "corpus": {"runtime"},
    "models": {"runtime", "corpus"},
    "features": {"runtime", "corpus", "models"},
    "measures": {"runtime"},
    "training": {"runtime", "corpus", "models"},
    "efficiency": {"runtime", "models"},
    "experiment": {"runtime", "corpus", "models", "features", "measures", "training"},
    "analysis": {"runtime", "corpus", "models", "features", "measures", "efficiency"},
    "report": {"runtime", "corpus", "measures", "experiment"},
    "book": {"runtime", "corpus", "models", "features", "measures", "efficiency", "experiment", "analysis", "report"},
}
"""Rooms that each room may import.

``measures`` know arrays alone; ``runtime`` shares their work among cores. ``report`` knows tables: from ``corpus`` it
has the names of labels, from ``experiment`` the plan and its tables.
"""

REPORT = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "report").rglob("*.py")
)


def imported(path: Path) -> set[str]:
    """First part below ``multires`` of every name that a module imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            names = [f"{node.module}.{each.name}" for each in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("multires.")}
    return found


def test_every_folder_is_a_room():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert folders == set(BEFORE)
    assert modules == SHARED | ENTRANCES


@pytest.mark.parametrize("room", BEFORE)
def test_a_room_imports_only_what_stands_before_it(room):
    allowed = BEFORE[room] | SHARED | {room}
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules
    found = {path.relative_to(ROOT).as_posix(): sorted(imported(path) - allowed) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_every_room_imports_opens_no_room():
    found = {name: imported(ROOT / f"{name}.py") - SHARED - {"runtime"} for name in SHARED}
    assert {name: rooms for name, rooms in found.items() if rooms} == {}


def test_rooms_have_an_order():
    left, placed = dict(BEFORE), set()
    while left:
        next_ones = [room for room, before in left.items() if before <= placed]
        assert next_ones, f"{', '.join(left)} import each other in a circle"
        for room in next_ones:
            placed.add(room)
            del left[room]


def test_reports_load_no_torch():
    code = (
        "import importlib, sys\n"
        f"for name in {REPORT!r}:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} loads torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
