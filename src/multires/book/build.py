"""The book: every notebook run through papermill where something changed, then the pages built and checked."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pandas as pd
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbformat.v4 import new_markdown_cell
from traitlets import default

import multires
from multires.book.check import check_pages, postprocess
from multires.book.notebooks import checkout
from multires.errors import MultiresError
from multires.profiles import DEFAULT, PROFILES
from multires.runtime.digest import code_digest
from multires.runtime.notices import show_notices
from multires.runtime.processes import Terminated
from multires.runtime.storage import make_marked

_LOG = logging.getLogger(__name__)


if TYPE_CHECKING:
    from multires.analysis.run import Run

LANDING = ("verdicts.md", "headline.png", "headline_alt.txt")
"""Files that the conclusions write to ``<workspace>/book`` for the landing page."""

EXPLORER = ("explorer.html", "explorer_corpus.md", "explorer.png", "curves.csv")
"""Files that the page on the models' curves includes."""

MODEL_COLUMNS = {
    "key": "Name", "description": "Model", "reference": "Described in", "parameters": "Parameters", "layers": "Layers",
    "frame_periods_ms": "Frame periods (ms)", "megabytes": "MB", "known_from": "Known from", "cell": "Cell",
    "confirmed_by": "Cell confirmed by",
}  # fmt: skip
"""Columns of the table of models on its page."""

_HEADLINE = "What one switch at a time changes, with 95 % intervals; the last chapter says how each verdict is reached."
_MATHJAX = ("sphinx-mathjax-offline", "static/mathjax/tex-svg.js")
_CONFIGURATION = ("_config.yml", "_toc.yml")
_CHANGES = "CHANGELOG.md"


class LocalKernelManager(AsyncKernelManager):
    """Kernels reached through files of this user instead of network ports, where the system has such sockets."""

    @default("transport")
    def _default_transport(self) -> str:
        return "tcp" if sys.platform == "win32" else "ipc"


def build_book(
    profile: str = DEFAULT,
    data: str | Path | None = None,
    seed: int = 0,
    workspace: str | Path = "workspace",
    output: str | Path = "build",
    *,
    force: bool = False,
    root: Path | None = None,
) -> Path:
    """Execute the notebooks, build the pages and check them.

    A notebook is executed again only when it, the package, the data or a parameter has changed. The notebooks run in
    the current folder, so `data` and `workspace` mean there what they mean to the caller.

    Parameters
    ----------
    profile, data, seed, workspace
        Handed to each notebook that declares them.
    output
        The folder for executed notebooks, assembled sources and pages; made if missing.
    force
        Execute every notebook even if nothing has changed.
    root
        The checkout, by default the one that this package runs from.

    Returns
    -------
    Path
        The page to open.

    Raises
    ------
    MultiresError
        Where a notebook fails (with its cell and last error line), the build warns, or a page has a fault.
    """
    root = checkout() if root is None else root
    run = _open(profile, data, seed, workspace)
    output = Path(output)
    _make_folder(output)
    executed = output / "notebooks" / profile
    parameters: dict[str, Any] = {"profile": profile, "seed": seed, "workspace": str(workspace)}
    if data is not None and str(data):
        parameters["data"] = str(data)
    executed.mkdir(parents=True, exist_ok=True)
    changed = _execute_all(root, executed, parameters, Path(workspace) / "book", force)
    if (root / "book" / "explorer.md").is_file():
        _keep_explorer(run, executed / "explorer", changed)
    assembled = output / "book" / profile
    _assemble(root, executed, assembled)
    html = output / "html" / profile
    _render(assembled, html, force or changed)
    faults = check_pages(html, root / "_toc.yml", hidden=(str(root.resolve()), str(Path.home())))
    if faults:
        raise MultiresError(f"the pages in {html} are built but have faults:\n  " + "\n  ".join(faults))
    return html / "index.html"


def _open(profile: str, data: str | Path | None, seed: int, workspace: str | Path) -> Run:
    """The run that the notebooks will open; refuses at once what the first of them would refuse."""
    from multires.analysis.run import open_run  # takes torch along, which checking pages does not need

    return open_run(profile, data=data, seed=seed, workspace=workspace, progress=False)


def _keep_explorer(run: Run, folder: Path, changed: bool) -> None:
    """The explorer's data, from the tables that the notebooks have left in the workspace, where they or it changed."""
    from multires.analysis import stages
    from multires.book.explorer.page import write_page
    from multires.book.explorer.scores import collect
    from multires.report import sentences

    key = code_digest()
    stamp = folder / ".key"
    if not changed and stamp.is_file() and stamp.read_text() == key:
        return
    print("explorer: gathering the curves", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    models = sentences.models(stages.extraction(run).table)
    write_page(folder, collect(run), run.corpus.name, models)
    stamp.write_text(key)


def _execute_all(root: Path, executed: Path, parameters: Mapping[str, Any], landing: Path, force: bool) -> bool:
    """Bring every executed copy up to date, the conclusions after all the others. True if any was executed."""
    notebooks = sorted((root / "notebooks").glob("[0-9]*.ipynb"), key=lambda each: (_concludes(each), each.name))
    if not notebooks:
        raise MultiresError(f"no notebooks in {root / 'notebooks'}: run `make notebooks`")
    _refuse_unknown(notebooks, parameters)
    common = _common_key(parameters)
    keys = [_digest(common, notebook.name.encode(), notebook.read_bytes()) for notebook in notebooks]
    keys[-1] = _digest(*(key.encode() for key in keys))
    changed = False
    for index, (notebook, key) in enumerate(zip(notebooks, keys, strict=True), start=1):
        last = index == len(notebooks)
        target = executed / notebook.name
        say = f"[{index}/{len(notebooks)}] {notebook.stem}"
        if not force and _key_of(target) == key and (not last or _landing_complete(executed / "landing")):
            print(f"{say}: nothing has changed", flush=True)
            continue
        print(f"{say}: running", flush=True)
        if last:
            shutil.rmtree(executed / "landing", ignore_errors=True)
            for name in LANDING:
                (landing / name).unlink(missing_ok=True)
        began = time.monotonic()
        _execute(notebook, target, parameters, key)
        _keep_data(landing / "data" / f"{notebook.stem}.zip", executed / "data")
        if last:
            _keep_landing(notebook, landing, executed / "landing")
        print(f"{say}: done in {time.monotonic() - began:.0f} s", flush=True)
        changed = True
    return changed


def _execute(notebook: Path, target: Path, parameters: Mapping[str, Any], key: str) -> None:
    """Run one notebook to `target`, which appears only when every cell has succeeded."""
    declared = papermill.inspect_notebook(str(notebook))
    given = {name: value for name, value in parameters.items() if name in declared}
    partial = target.with_name(f"{target.stem}.running.ipynb")
    failed = target.with_name(f"{target.stem}.failed.ipynb")
    target.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        papermill.execute_notebook(
            str(notebook),
            str(partial),
            given,
            kernel_name="python3",
            start_timeout=180,
            extra_arguments=["--Application.log_level=50"],  # an idle kernel calls its own shutdown an error
            kernel_manager_class="multires.book.build.LocalKernelManager",
            progress_bar={"desc": notebook.stem, "leave": False} if sys.stderr.isatty() else False,
        )
    except papermill.PapermillExecutionError as error:
        os.replace(partial, failed)
        first = next((line for line in error.source.splitlines() if line.strip()), "")
        message = str(error.evalue).strip().splitlines()
        raise MultiresError(
            f"notebooks/{notebook.name} stopped in cell {error.cell_index} (`{first.strip()}`): "
            f"{error.ename}: {message[-1] if message else ''}\n  the notebook up to there: {failed}"
        ) from error
    finished = nbformat.read(partial, as_version=4)
    finished.metadata["multires"] = {"key": key, "seconds": round(time.monotonic() - began)}
    _tidy(finished)
    nbformat.write(finished, partial)
    os.replace(partial, target)


def _tidy(notebook: Any) -> None:
    """Make an executed notebook fit to publish.

    Papermill's records hold paths of this machine; progress bars are of no use on a page; parameters are folded.
    """
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
            tags = cell.metadata.get("tags", [])
            if {"parameters", "injected-parameters"} & set(tags) and "hide-input" not in tags:
                tags.append("hide-input")
            if prompt := _prompt(cell, tags):
                cell.metadata.setdefault("mystnb", {}).update(code_prompt_show=prompt, code_prompt_hide=prompt)


def _prompt(cell: Any, tags: list[str]) -> str:
    """The name of a folded cell that is no figure's; empty for other cells."""
    if "parameters" in tags:
        return "Parameters"
    if "injected-parameters" in tags:
        return "Values of this run"
    return "Setup" if "notebook_parameters(" in cell.source else ""


def _opening(notebook: Any, cores: int) -> str:
    """Reading and running time of a chapter; the latter as the build measured it."""
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    seconds = notebook.metadata["multires"].get("seconds")
    text = f"Reading: about {max(1, round(words / 200))} minutes."
    if seconds is not None:
        spent = f"{seconds} seconds" if seconds < 120 else f"{round(seconds / 60)} minutes"
        text += f" Running: {spent} on the machine that built this page, with {cores} cores and this workspace."
    return text


def _is_progress(output: Any) -> bool:
    if output.output_type == "stream" and output.name == "stderr":
        lines = [line for line in output.text.replace("\r", "\n").splitlines() if line.strip()]
        marks = ("it/s]", "s/it]", "/s]", "?it", "which the provenance of the tables lists")  # the notice of a corpus
        return all(any(mark in line for mark in marks) for line in lines)
    return output.output_type == "display_data" and "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _refuse_unknown(notebooks: list[Path], parameters: Mapping[str, Any]) -> None:
    declared = {name for notebook in notebooks for name in papermill.inspect_notebook(str(notebook))}
    for name in parameters:
        if name not in declared:
            raise MultiresError(f"no notebook has a parameter {name!r}: they have {', '.join(sorted(declared))}")


def _concludes(notebook: Path) -> bool:
    """True for the notebook that draws the conclusions and writes the landing page's files."""
    return notebook.stem.endswith("_conclusions")


def _keep_landing(notebook: Path, landing: Path, kept: Path) -> None:
    """Keep the landing page's files with the executed notebooks: another run may write others to the workspace."""
    for name in LANDING:
        if not (landing / name).is_file():
            (kept.parent / notebook.name).unlink(missing_ok=True)
            raise MultiresError(
                f"notebooks/{notebook.name} did not write {landing / name}, which the landing page shows"
            )
    shutil.copytree(landing, kept)


def _keep_data(archive: Path, kept: Path) -> None:
    """Keep the tables that a chapter has published with its executed copy."""
    if archive.is_file():
        kept.mkdir(exist_ok=True)
        shutil.copy2(archive, kept)


def _landing_complete(kept: Path) -> bool:
    return all((kept / name).is_file() for name in LANDING)


def _assemble(root: Path, executed: Path, assembled: Path) -> None:
    """Lay out what Jupyter Book reads: configuration, prose, executed notebooks and what they computed."""
    from multires.models import models_table

    shutil.rmtree(assembled, ignore_errors=True)
    shutil.copytree(root / "book", assembled / "book", ignore=shutil.ignore_patterns("_static", "_generated"))
    shutil.copytree(root / "book" / "_static", assembled / "_static")
    for name in _CONFIGURATION:
        shutil.copy2(root / name, assembled / name)
    (assembled / "notebooks").mkdir()
    for notebook in (root / "notebooks").glob("[0-9]*.ipynb"):
        finished = nbformat.read(executed / notebook.name, as_version=4)
        finished.cells.insert(1, new_markdown_cell(_opening(finished, os.cpu_count() or 1), id="opening"))
        nbformat.write(finished, assembled / "notebooks" / notebook.name)
    if (executed / "data").is_dir():
        shutil.copytree(executed / "data", assembled / "notebooks" / "data")
    generated = assembled / "book" / "_generated"
    shutil.copytree(executed / "landing", generated)
    alt = " ".join((generated / "headline_alt.txt").read_text(encoding="utf-8").split())
    (generated / "headline.md").write_text(
        f"```{{figure}} /book/_generated/headline.png\n:name: fig-headline\n:width: 100%\n:alt: {alt}\n\n{_HEADLINE}\n```\n",
        encoding="utf-8",
    )
    for name in EXPLORER if (executed / "explorer").is_dir() else ():
        shutil.copy2(executed / "explorer" / name, generated / name)
    _published_schematic(generated / "schematic.png")
    models_table().rename(columns=MODEL_COLUMNS).to_csv(generated / "models.csv", index=False)
    _parameter_table(root).to_csv(generated / "parameters.csv", index=False)
    _parity_summary(root).to_csv(generated / "parity.csv", index=False)
    for name, table in _scale_tables(root / "book" / "data").items():
        table.to_csv(generated / f"{name}.csv", index=False)
    if (root / _CHANGES).is_file():
        shutil.copy2(root / _CHANGES, generated / "changelog.md")
    mathjax = assembled / "_extra" / "mathjax"
    mathjax.mkdir(parents=True)
    shutil.copy2(_mathjax(), mathjax / "tex-svg.js")


def _published_schematic(path: Path) -> None:
    """HuBERT, MR-HuBERT, the mono-resolution control and three resolutions at their real size, for the page on models."""
    from multires.models.registry import layers_of
    from multires.report.figures import schematic

    tables, predicts_from = layers_of(("hubert_base", "b5-a", "mono_base", "b2-b"))
    schematic(tables, predicts_from).savefig(path, dpi=150)


def _scale_tables(data: Path) -> dict[str, pd.DataFrame]:
    """Tables of `benchmarks.scale`, `faults` and `fuzz`, and the estimate for a large run."""
    from multires.book.large import large_run, measured

    rates = json.loads((data / "scale.json").read_text(encoding="utf-8"))
    kept = {name: pd.read_csv(data / f"{name}.csv") for name in ("faults", "fuzz")}
    return {"scale": measured(rates), "large": large_run(rates), **kept}


def _parity_summary(root: Path) -> pd.DataFrame:
    """The layer of each architecture that differs most from fairseq's, from the table that `benchmarks.parity` keeps."""
    table = pd.read_csv(root / "book" / "data" / "parity.csv")
    worst = table.loc[table.groupby("architecture", sort=False)["relative"].idxmax()]
    places = table.groupby("architecture", sort=False).size()
    return pd.DataFrame({
        "architecture": worst["architecture"],
        "checkpoints": worst["checkpoints"].fillna("none published"),
        **({"width": worst["width"]} if "width" in worst else {}),
        "places compared": worst["architecture"].map(places),
        "differs most at": worst["place"],
        "absolute": worst["absolute"],
        "of the output's norm": worst["relative"],
    })  # fmt: skip


def _parameter_table(root: Path) -> pd.DataFrame:
    """Every parameter of the notebooks, what it is for, and which of them take it."""
    rows: dict[str, dict[str, str]] = {}
    notebooks = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    for notebook in notebooks:
        for name, about in papermill.inspect_notebook(str(notebook)).items():
            row = rows.setdefault(
                name, {"parameter": f"`{name}`", "default": f"`{about['default']}`", "meaning": about["help"], "in": ""}
            )
            row["in"] = f"{row['in']} {int(notebook.stem[:2])}".strip()
    everywhere = " ".join(str(index) for index in range(1, len(notebooks) + 1))
    return pd.DataFrame(rows.values()).replace({"in": {everywhere: "all chapters"}})


def _mathjax() -> Path:
    """MathJax as one file, from the package that ships it, so that equations are set offline."""
    package, name = _MATHJAX
    try:
        return Path(str(metadata.distribution(package).locate_file(f"{package}/{name}")))
    except metadata.PackageNotFoundError as error:
        raise MultiresError(f"the package {package} is missing: install multires[book], or run `make env`") from error


def _render(assembled: Path, html: Path, force: bool) -> None:
    """Run Jupyter Book, warnings being errors; the pages in `html` are replaced only by a complete build."""
    key = _digest(*(part for path in _files(assembled) for part in (str(path).encode(), path.read_bytes())))
    stamp = html / ".sources"
    if not force and stamp.is_file() and stamp.read_text() == key:
        print("pages: nothing has changed", flush=True)
        return
    print("pages: building", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(assembled), "--all"]
    command += ["--warningiserror", "--nitpick", "--keep-going", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    built = assembled / "_build" / "html"
    if done.returncode != 0 or not (built / "index.html").is_file():
        log = (done.stdout + done.stderr).splitlines()
        problems = [line for line in log if "WARNING" in line or "ERROR" in line] or log[-20:]
        raise MultiresError("Jupyter Book could not build the pages:\n  " + "\n  ".join(problems))
    postprocess(built)
    (built / stamp.name).write_text(key)
    shutil.rmtree(html, ignore_errors=True)
    html.parent.mkdir(parents=True, exist_ok=True)
    os.replace(built, html)
    print(f"pages: done in {time.monotonic() - began:.0f} s", flush=True)


def _common_key(parameters: Mapping[str, Any]) -> bytes:
    """Digest of everything that all notebooks depend on: the package, its libraries, the parameters, the data."""
    package = Path(multires.__file__).parent
    digest = hashlib.sha256(repr(sorted(parameters.items())).encode())
    digest.update(platform.python_version().encode())
    for distribution in sorted(f"{each.metadata['Name']} {each.version}" for each in metadata.distributions()):
        digest.update(distribution.encode())
    digest.update(code_digest().encode())
    for path in _files(package):
        if path.suffix != ".py":
            digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    if "data" in parameters:
        for path in _files(Path(parameters["data"])):
            digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.digest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _key_of(target: Path) -> str | None:
    try:
        return str(nbformat.read(target, as_version=4).metadata["multires"]["key"])
    except (OSError, KeyError, ValueError):
        return None


def _make_folder(folder: Path) -> None:
    try:
        make_marked(folder)
    except OSError as error:
        raise MultiresError(f"cannot write {folder}: {error.strerror}; choose another output folder") from error


def main(arguments: list[str] | None = None) -> int:
    """Build the book, or only check its pages, and print the page to open."""
    parser = argparse.ArgumentParser(prog="python -m multires.book", description=__doc__)
    parser.add_argument("--profile", default=DEFAULT, help=", ".join(PROFILES))
    parser.add_argument("--data", default="", help="folder of the corpus, for profiles that need one")
    parser.add_argument("--seed", default="0", help="whole number from which all randomness comes")
    parser.add_argument("--workspace", default="workspace", help="folder for features, tables and models")
    parser.add_argument("--output", default="build", help="folder for executed notebooks and pages")
    parser.add_argument("--force", action="store_true", help="execute every notebook even if nothing has changed")
    parser.add_argument("--check", action="store_true", help="only check the pages that are there")
    given = parser.parse_args(arguments)
    show_notices()
    # The kernels' debugger warns about frozen modules on standard error; nothing here is debugged.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        if given.check:
            return _report(Path(given.output) / "html" / given.profile)
        page = build_book(
            given.profile, given.data, _seed(given.seed), given.workspace, given.output, force=given.force
        )
    except MultiresError as error:
        _LOG.error("multires: %s", error)
        return 2
    except KeyboardInterrupt:
        _LOG.error("multires: interrupted; the next run continues from here")
        return 128 + (Terminated.last or signal.SIGINT)
    print(f"\nthe book: {page.resolve()}")
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise MultiresError(f"seed must be a whole number of at least 0, not {text!r}")
    return int(text)


def _report(html: Path) -> int:
    root = checkout()
    faults = check_pages(html, root / "_toc.yml", hidden=(str(root), str(Path.home())))
    for fault in faults:
        _LOG.error("%s", fault)
    pages = len(list(html.rglob("*.html")))
    print(f"{html}: {pages} pages, {len(faults)} faults")
    return 1 if faults else 0
