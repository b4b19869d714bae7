import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

import multires
from multires.book import build, notebooks
from multires.errors import MultiresError
from multires.runtime.digest import folder_digest
from multires.runtime.storage import MARKER

ROOT = Path(__file__).resolve().parents[2]

FIRST = """\
# %% [markdown]
# # First
#
# A question about $x$? See {numref}`fig-first` and {cite:t}`clark2024empirical`.
# {download}`Data <data/01_first.zip>`

# %% tags=["parameters"]
profile = "librispeech-sample"  # the settings
seed = 0  # where randomness starts
workspace = "workspace"  # where things are kept

# %% mystnb={"figure": {"caption": "A box.", "name": "fig-first"}, "image": {"alt": "a black box"}}
from pathlib import Path

from IPython.display import SVG, display

if seed == 13:
    raise ValueError("a first line\\nthe last line")
Path(workspace).mkdir(exist_ok=True)
with (Path(workspace) / "log").open("a") as log:
    print("first", profile, seed, file=log)
data = Path(workspace) / "book" / "data"
data.mkdir(parents=True, exist_ok=True)
(data / "01_first.zip").write_bytes(b"tables")
picture = SVG(f"<svg xmlns='http://www.w3.org/2000/svg' width='{10 + seed}' height='9'><rect width='9' height='9'/></svg>")
display(picture)
"""

LAST = (
    FIRST.replace("# # First", "# # Last").replace('print("first"', 'print("last"').replace("fig-first", "fig-last")
    + """
# %%
from PIL import Image

landing = Path(workspace) / "book"
landing.mkdir(exist_ok=True)
Image.new("RGB", (20, 10)).save(landing / "headline.png")
(landing / "headline_alt.txt").write_text("A black box")
(landing / "verdicts.md").write_text(f"Verdict for {profile} and seed {seed}.")
"""
)

TOC = {
    "format": "jb-book",
    "root": "book/index",
    "chapters": [{"file": f"notebooks/{n}"} for n in ("01_first", "02_last")],
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout with the project's own configuration, two notebooks, and a landing page."""
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(multires, "__file__", str(package / "__init__.py"))  # whose changes count
    monkeypatch.setattr(build, "code_digest", lambda: folder_digest(package))
    root = tmp_path / "tree"
    (root / "notebooks").mkdir(parents=True)
    (root / "book" / "_static").mkdir(parents=True)
    (root / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC))
    shutil.copytree(ROOT / "book" / "data", root / "book" / "data")
    shutil.copy2(ROOT / "book" / "_static" / "favicon.svg", root / "book" / "_static")
    (root / "book" / "references.bib").write_text((ROOT / "book" / "references.bib").read_text())
    landing = "# Book\n\nSee {numref}`fig-headline`.\n\n```{include} _generated/headline.md\n```\n\n```{include} _generated/verdicts.md\n```\n"
    (root / "book" / "index.md").write_text(landing + "\n```{bibliography}\n```\n")
    (root / "notebooks" / "01_first.py").write_text(FIRST)
    (root / "notebooks" / "02_last.py").write_text(LAST)
    notebooks.sync(root)
    return root


def _log() -> list[str]:
    return Path("workspace/log").read_text().split("\n")[:-1]


@pytest.mark.slow
def test_the_book_is_built_once_and_again_only_where_something_changed(tree, capsys):
    page = build.build_book(seed=3, root=tree)
    assert page == Path("build/html/librispeech-sample/index.html")
    assert _log() == ["first librispeech-sample 3", "last librispeech-sample 3"]
    landing = Path("build/html/librispeech-sample/book/index.html").read_text()
    assert "Verdict for librispeech-sample and seed 3." in landing
    assert 'alt="A black box"' in landing
    chapter = Path("build/html/librispeech-sample/notebooks/01_first.html").read_text()
    assert 'alt="a black box"' in chapter
    assert re.search(r"Fig\. \d", chapter)
    assert "colab-badge" not in chapter
    assert re.search(r"Reading: about \d+ minutes\. Running: \d+ seconds on the machine that built this page", chapter)
    assert 'property="og:description"' in chapter
    assert "favicon.svg" in chapter
    (data,) = Path("build/html/librispeech-sample/_downloads").rglob("01_first.zip")
    assert data.read_bytes() == b"tables"
    assert "mathjax/tex-svg.js" in chapter
    assert Path("build/html/librispeech-sample/mathjax/tex-svg.js").stat().st_size > 1_000_000

    build.build_book(seed=3, root=tree)
    assert len(_log()) == 2
    assert capsys.readouterr().out.count("nothing has changed") == 3

    # A warning of Jupyter Book is an error, and the pages from before stay.
    index = tree / "book" / "index.md"
    index.write_text(index.read_text() + "\n[nowhere](nowhere.md)\n")
    with pytest.raises(MultiresError, match=r"could not build the pages:\n.*nowhere"):
        build.build_book(seed=3, root=tree)
    assert page.exists()


@pytest.mark.slow
def test_a_notebook_runs_again_when_what_it_depends_on_changed(tree, monkeypatch):
    monkeypatch.setattr(build, "_render", lambda *given: None)
    monkeypatch.setattr(build, "check_pages", lambda *given, **more: [])
    build.build_book(root=tree)
    assert len(_log()) == 2

    # The last notebook follows from the others: a change in the first runs both, a change in the last only itself.
    for name, ran in (("02_last", ["last"]), ("01_first", ["first", "last"])):
        source = tree / "notebooks" / f"{name}.py"
        source.write_text(source.read_text() + "\n# %%\n1\n")
        notebooks.sync(tree)
        before = len(_log())
        build.build_book(root=tree)
        assert [line.split()[0] for line in _log()[before:]] == ran

    # A change in the package's code or data runs them all.
    for name in ("measure.py", "table.csv"):
        before = len(_log())
        (tree.parent / "package" / name).write_text("# changed")
        build.build_book(root=tree)
        assert len(_log()) - before == 2


@pytest.mark.slow
def test_a_notebook_that_fails_ends_the_build_with_its_cell_and_leaves_no_page(tree):
    with pytest.raises(MultiresError) as caught:
        build.build_book(seed=13, root=tree)
    told = str(caught.value)
    assert "notebooks/01_first.ipynb stopped in cell" in told
    assert "`from pathlib import Path`" in told
    assert "ValueError: the last line" in told
    left = {path.name for path in Path("build").rglob("*") if path.is_file()}
    assert left == {"01_first.failed.ipynb", MARKER}


@pytest.mark.slow
def test_what_the_landing_page_needs_must_be_written(tree):
    source = tree / "notebooks" / "02_last.py"
    source.write_text(source.read_text().replace('(landing / "verdicts.md")', '(landing / "other.md")'))
    notebooks.sync(tree)
    stale = Path("workspace/book/verdicts.md")
    stale.parent.mkdir(parents=True)
    stale.write_text("the verdict of another run")
    with pytest.raises(MultiresError, match=r"02_last.ipynb did not write .*verdicts.md"):
        build.build_book(root=tree)
    assert not Path("build/html").exists()


def test_only_declared_parameters_are_accepted(tree, tmp_path):
    (tmp_path / "speech").mkdir()
    with pytest.raises(MultiresError, match=r"no notebook has a parameter 'data': they have profile, seed, workspace"):
        build.build_book("librispeech", tmp_path / "speech", root=tree)


def test_the_key_follows_parameters_and_data(tmp_path):
    speech = tmp_path / "a.flac"
    speech.write_bytes(b"1")
    given = {"profile": "p", "seed": 0, "data": str(tmp_path)}
    key = build._common_key(given)
    assert key == build._common_key(dict(reversed(given.items())))
    assert key != build._common_key(given | {"seed": 1})
    speech.write_bytes(b"12")
    assert key != build._common_key(given)


def test_executed_copies_hold_no_path_no_progress_bar_and_folded_parameters():
    cell = new_code_cell("draw()", metadata={"papermill": {"duration": 1}, "tags": ["injected-parameters"]})
    cell.outputs = [
        new_output("stream", name="stderr", text="extracting:  10%|#    | 1/10 [00:01<00:09,  1.00s/it]\r"),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "0%|"}),
        new_output("stream", name="stderr", text="UserWarning: stays, so that the check of the pages finds it"),
        new_output("display_data", {"image/png": "AA"}),
    ]
    executed = new_notebook(cells=[cell], metadata={"papermill": {"output_path": "/somewhere"}, "widgets": {}})
    build._tidy(executed)
    assert "papermill" not in nbformat.writes(executed)
    assert [output.output_type for output in cell.outputs] == ["stream", "display_data"]
    assert "UserWarning" in cell.outputs[0].text
    assert cell.metadata["tags"] == ["injected-parameters", "hide-input"]
    assert cell.metadata["mystnb"]["code_prompt_show"] == "Values of this run"


def test_folded_cells_are_named_by_what_they_hold():
    cells = {
        "Parameters": new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}),
        "Setup": new_code_cell("given = notebook_parameters(globals())", metadata={"tags": ["hide-input"]}),
    }
    figure = new_code_cell("draw()", metadata={"tags": ["hide-input"]})
    build._tidy(new_notebook(cells=[*cells.values(), figure]))
    for name, cell in cells.items():
        assert cell.metadata["mystnb"]["code_prompt_show"] == name
    assert "mystnb" not in figure.metadata


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seed", "abc"], "seed must be a whole number of at least 0, not 'abc'"),
        (["--seed=-1"], "seed must be a whole number of at least 0, not '-1'"),
        (
            ["--profile", "papers"],
            "unknown profile 'papers' (did you mean paper?): choose one of librispeech-sample, synthetic, librispeech, paper",
        ),
        (["--profile", "librispeech"], "set data"),
        (["--profile", "librispeech", "--data", "nowhere"], "there is no folder nowhere"),
        (["--workspace", "file/inside"], "cannot be written"),
        (["--output", "file"], "choose another output folder"),
    ],
)
def test_wrong_parameters_stop_the_command_with_one_sentence(tmp_path, monkeypatch, caplog, arguments, told):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert build.main(arguments) == 2
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    error = record.getMessage()
    assert error.startswith("multires: ")
    assert told in error
    assert "\n" not in error


def test_a_package_without_notebooks_says_what_to_do(tmp_path, monkeypatch):
    installed = tmp_path / "site-packages" / "multires" / "book" / "notebooks.py"
    monkeypatch.setattr(notebooks, "__file__", str(installed))
    with pytest.raises(MultiresError, match=r"clone the repository, then run `make book`"):
        notebooks.checkout()


def test_checking_a_book_that_is_not_there_fails(tmp_path, caplog):
    assert build.main(["--check", "--output", str(tmp_path)]) == 1
    assert "holds no book" in caplog.text


def test_the_terminal_shows_what_is_wrong_on_standard_error(tmp_path):
    command = [sys.executable, "-m", "multires.book", "--check", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "holds no book" in done.stderr
    assert "holds no book" not in done.stdout


def test_papermill_explains_every_parameter(tree):
    declared = papermill.inspect_notebook(str(tree / "notebooks" / "01_first.ipynb"))
    assert {name: each["help"] for name, each in declared.items()} == {
        "profile": "the settings",
        "seed": "where randomness starts",
        "workspace": "where things are kept",
    }
