import re
import shutil
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from multires.book import notebooks
from multires.book.check import documents

ROOT = Path(__file__).resolve().parents[1]

CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "pysoundfile": "soundfile",
    "pytorch-cpu": "torch",
    "seaborn-base": "seaborn",
}
"""Packages that conda-forge calls otherwise than pyproject.toml."""


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _pins() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    pins = [Requirement(line.partition("--hash")[0]) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_conda_and_pip_get_the_same_packages_and_versions():
    project = _project()
    wanted = {
        canonicalize_name(each.name): each.specifier
        for each in map(Requirement, project["dependencies"] + project["optional-dependencies"]["book"])
    }
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [entry for entry in environment if isinstance(entry, str)]
    (from_pip,) = (entry["pip"] for entry in environment if isinstance(entry, dict))
    assert "--editable ." in from_pip
    listed = [Requirement(entry) for entry in plain + from_pip if entry != "--editable ."]
    named = {CONDA_NAMES.get(each.name, canonicalize_name(each.name)): each.specifier for each in listed}
    assert named.pop("pip") == Requirement("pip").specifier
    assert named.pop("python") == Requirement(f"python{project['requires-python']}").specifier
    assert named == wanted
    assert len(listed) == len(wanted) + 2


def test_the_lock_holds_every_requirement_at_an_allowed_version():
    project = _project()
    pins = _pins()
    everything = chain(project["dependencies"], *project["optional-dependencies"].values())
    for requirement in map(Requirement, everything):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in requirements.lock"
        (version,) = (each.version for each in pin.specifier)
        assert requirement.specifier.contains(version), f"{pin} does not serve {requirement}"


def test_the_lock_has_hashes_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(r"index.url", text)
    assert "--find-links" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert blocks
    for block in blocks:
        assert block.startswith("#") or "--hash=sha256:" in block, block[:80]


def test_the_address_of_the_repository_stands_in_one_place():
    """`_config.yml` is the source; what `make notebooks` writes into the opening cells is the only other occurrence."""
    slug = notebooks.repository(ROOT).url.removeprefix("https://github.com/")
    found = {path.relative_to(ROOT).as_posix() for path in _tracked() if f"{slug}" in _text(path)}
    opened = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").iterdir()}
    assert "_config.yml" in found
    assert (ROOT / "_config.yml").read_text().count(slug) == 1
    assert found <= opened | {"_config.yml"}
    for source in notebooks.sources(ROOT):
        author = re.sub(r"# %%[^\n]*\"(?:badges|bootstrap)\".*?(?=\n# %%)", "", source.read_text(), flags=re.DOTALL)
        assert slug not in author, f"{source.name} names the repository outside its opening cells"


def test_the_notebooks_are_paired_without_outputs_and_explain_their_parameters():
    assert notebooks.check(ROOT) == []


def test_every_notebook_is_a_chapter_and_every_chapter_exists():
    entries = documents(ROOT / "_toc.yml")
    for entry in entries:
        assert (ROOT / f"{entry}.md").is_file() or (ROOT / f"{entry}.ipynb").is_file(), entry
    assert [entry for entry in entries if entry.startswith("notebooks/")] == [
        f"notebooks/{source.stem}" for source in notebooks.sources(ROOT)
    ]


def test_the_citation_names_the_paper_and_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == _project()["version"]
    assert citation["license"] == _project()["license"].partition(" AND ")[0], (
        "that of the code; recordings have their own"
    )
    (paper,) = citation["references"]
    assert paper["title"] in _project()["description"]
    assert paper["identifiers"][0]["value"] == "arXiv:2410.23955"


def test_no_tracked_file_names_a_package_index():
    for path in _tracked():
        for host in ("pypi" + ".org", "pythonhosted" + ".org"):
            assert host not in _text(path), f"{path} names {host}"


@pytest.mark.parametrize(
    ("python", "told"),
    [("no-such-python", "no-such-python is not installed"), ("false", "does not serve")],
)
def test_make_says_what_python_it_needs(tmp_path, python, told):
    command = ["make", "env", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert told in done.stderr
    assert "3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_alone_lists_the_commands():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("book", "test", "lint", "experiment", "clean"):
        assert re.search(rf"^  make {command} +\S", done.stdout, re.MULTILINE), command


@pytest.mark.parametrize(
    ("broken", "reached", "told"),
    [
        (
            None,
            ["env", "lint", "test", "book librispeech-sample", "check librispeech-sample", "faults"],
            "== passed in",
        ),
        ("lint", ["env", "lint"], "== FAILED: make lint (exit status 2)"),
        ("test", ["env", "lint", "test"], "== FAILED: make test (exit status 2)"),
        ("book", ["env", "lint", "test", "book librispeech-sample"], "== FAILED: make book (exit status 2)"),
    ],
)
def test_ci_stops_at_what_fails_and_says_so_last(tmp_path, broken, reached, told):
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci")
    (clone / "outcome").write_text("FAILED tests/test_a.py::test_b - as it must\n=== 1 failed, 2 passed in 3.00s ===\n")
    rules = "PROFILE = librispeech-sample\nenv lint faults:; @echo $@ >> log\ntest:; @cat outcome; echo $@ >> log\n"
    rules += "book check:; @echo $@ $(PROFILE) >> log\n"
    if broken:
        rules = re.sub(rf"^(.*\b{broken}\b.*:;.*)$", rf"\1; test $@ != {broken}", rules, flags=re.MULTILINE)
    (clone / "Makefile").write_text(rules)
    done = subprocess.run(["bash", ".ci/run"], cwd=clone, capture_output=True, text=True)
    assert (done.returncode == 0) == (broken is None)
    assert (clone / "log").read_text().splitlines() == reached
    end = done.stdout.partition("== steps\n")[2].splitlines()
    assert end[0].endswith("make env")
    assert end[-1].startswith(told)
    assert ("FAILED tests/test_a.py::test_b - as it must" in end) == ("test" in reached)


def _workflows() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", _workflows(), ids=lambda path: path.stem)
def test_workflows_pin_actions_by_commit_and_grant_what_each_job_needs(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        expected = {"pages": "write", "id-token": "write"} if "environment" in job else {"contents": "read"}
        assert job["permissions"] == expected
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
                assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False
            # What others write (titles, branch names) must not become part of a command.
            assert "${{" not in step.get("run", "")


def test_every_supported_python_is_tested():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    lowest, highest = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", _project()["requires-python"]).groups()
    assert jobs["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(lowest), int(highest))]


def test_the_changelog_has_a_section_for_this_version():
    assert f"## {_project()['version']}\n" in (ROOT / "CHANGELOG.md").read_text()
