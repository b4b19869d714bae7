import json
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from multires.book import notebooks
from multires.errors import MultiresError

SOURCE = """\
# %% [markdown]
# # A title
#
# And a question?

# %% tags=["parameters"]
seed = 0  # where randomness starts

# %%
seed + 1
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://github.com/someone/fork\n  branch: v2\n")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_first.py").write_text(SOURCE)
    return tmp_path


def test_sync_opens_every_notebook_with_the_address_from_the_configuration(tree):
    assert {path.name for path in notebooks.sync(tree)} == {"01_first.py", "01_first.ipynb"}
    written = json.loads((tree / "notebooks" / "01_first.ipynb").read_text())
    title, badges, bootstrap, parameters, _ = ("".join(cell["source"]) for cell in written["cells"])
    assert title.startswith("# A title")
    assert "https://colab.research.google.com/github/someone/fork/blob/v2/notebooks/01_first.ipynb" in badges
    assert "https://mybinder.org/v2/gh/someone/fork/v2?labpath=notebooks/01_first.ipynb" in badges
    assert "git+https://github.com/someone/fork@v2" in bootstrap
    assert parameters == "seed = 0  # where randomness starts"
    assert all(cell.get("outputs", []) == [] for cell in written["cells"])


def test_sync_changes_nothing_the_second_time_and_follows_a_new_address(tree):
    notebooks.sync(tree)
    assert notebooks.sync(tree) == []
    assert notebooks.check(tree) == []
    (tree / "_config.yml").write_text("repository:\n  url: https://github.com/other/home\n  branch: main\n")
    assert len(notebooks.check(tree)) == 2
    notebooks.sync(tree)
    assert notebooks.check(tree) == []
    text = (tree / "notebooks" / "01_first.py").read_text()
    assert "other/home" in text
    assert "someone/fork" not in text


def test_what_the_author_wrote_survives(tree):
    notebooks.sync(tree)
    cells = jupytext.read(tree / "notebooks" / "01_first.py").cells
    author = [cell.source for cell in cells if not {"badges", "bootstrap"} & set(cell.metadata.get("tags", []))]
    assert author == [cell.source for cell in jupytext.reads(SOURCE, fmt="py:percent").cells]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text + "\n# %%\nprint(1)\n", "not in step"),
        (lambda text: text.replace('tags=["parameters"]', ""), "one cell with the tag `parameters`, not 0"),
        (lambda text: text.replace("  # where randomness starts", ""), "needs a comment"),
    ],
)
def test_check_names_what_is_wrong(tree, change, fault):
    notebooks.sync(tree)
    source = tree / "notebooks" / "01_first.py"
    source.write_text(change(source.read_text()))
    assert any(fault in told and "01_first" in told for told in notebooks.check(tree))


def test_outputs_and_stray_notebooks_are_faults(tree):
    notebooks.sync(tree)
    paired = tree / "notebooks" / "01_first.ipynb"
    content = json.loads(paired.read_text())
    content["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    paired.write_text(json.dumps(content))
    (tree / "notebooks" / "stray.ipynb").write_text("{}")
    faults = notebooks.check(tree)
    assert any("01_first.ipynb is not in step" in fault for fault in faults)
    assert any("stray.ipynb has no source" in fault for fault in faults)


def test_a_notebook_needs_a_title(tree):
    (tree / "notebooks" / "01_first.py").write_text("# %%\n1\n")
    with pytest.raises(MultiresError, match=r"01_first.py: the first cell must be Markdown"):
        notebooks.sync(tree)


@pytest.mark.parametrize("url", ["", "https://example.org/a/b", "https://github.com/only"])
def test_an_address_that_cannot_serve_is_refused(tree, url):
    (tree / "_config.yml").write_text(f"repository:\n  url: {url}\n  branch: main\n")
    with pytest.raises(MultiresError, match="must have a url"):
        notebooks.repository(tree)


@pytest.mark.parametrize("colab", [False, True])
def test_the_bootstrap_installs_in_colab_and_only_there(tree, tmp_path, colab):
    notebooks.sync(tree)
    written = json.loads((tree / "notebooks" / "01_first.ipynb").read_text())
    script = tmp_path / "bootstrap.py"
    # pip is replaced by a recorder: what would be installed is what matters here.
    script.write_text(
        "import subprocess\nsubprocess.run = lambda command, check: print(*command[1:])\n"
        + "".join(written["cells"][2]["source"])
    )
    marker = tmp_path / "google" / "colab"
    if colab:
        marker.mkdir(parents=True)
        (marker / "__init__.py").touch()
    for source, installed in ((None, "git+https://github.com/someone/fork@v2"), ("/a/checkout", "/a/checkout")):
        environment = {"PYTHONPATH": str(tmp_path), "PATH": ""} | ({"MULTIRES_SOURCE": source} if source else {})
        done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == (f"-m pip install --quiet {installed}" if colab else "")
