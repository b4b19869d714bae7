"""`make clean` and `make distclean` delete only folders that this project made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from multires.runtime.storage import MARKER, make_marked

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def make(project, *arguments, **environment):
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=project, env={**os.environ, **environment}, capture_output=True, text=True)


def test_folders_named_by_the_environment_stay(project):
    for name in ("elsewhere", "build", "workspace"):
        make_marked(project / name)
    assert make(project, "distclean", WORKSPACE="elsewhere", OUTPUT="elsewhere").returncode == 0
    assert (project / "elsewhere").exists()
    assert not (project / "build").exists()
    assert not (project / "workspace").exists()


def test_a_folder_named_on_the_command_line_goes_if_it_is_marked(project):
    make_marked(project / "mine")
    (project / "other").mkdir()
    (project / "other" / "file").touch()
    assert make(project, "clean", "OUTPUT=mine").returncode == 0
    assert not (project / "mine").exists()
    refused = make(project, "clean", "OUTPUT=other")
    assert refused.returncode != 0
    assert "does not carry" in refused.stderr
    assert (project / "other" / "file").exists()


def test_a_folder_with_files_of_others_is_never_marked(tmp_path):
    (tmp_path / "file").touch()
    make_marked(tmp_path)
    assert not (tmp_path / MARKER).exists()
    make_marked(tmp_path / "new")
    assert (tmp_path / "new" / MARKER).exists()
