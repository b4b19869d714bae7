"""The notebooks' common opening and their pairing: `python -m multires.book.notebooks sync` writes, `check` compares."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell

from multires.errors import MultiresError
from multires.runtime.notices import show_notices

_LOG = logging.getLogger(__name__)


_GITHUB = "https://github.com/"

_BADGES = """\
[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})
[![Launch in Binder](https://mybinder.org/badge_logo.svg)]({binder})"""

_BOOTSTRAP = """\
# In Colab, and only there, install the package; MULTIRES_SOURCE names another place to install it from.
import sys
from importlib.util import find_spec

if "google.colab" in sys.modules or (find_spec("google") and find_spec("google.colab")):
    import os
    import subprocess

    source = os.environ.get("MULTIRES_SOURCE", "git+{url}@{revision}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)"""

_METADATA = {
    "jupytext": {
        "formats": "ipynb,py:percent",
        "notebook_metadata_filter": "-jupytext.text_representation.jupytext_version",
    },
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True, slots=True)
class Repository:
    """The project's address and branch, from `_config.yml`.

    Attributes
    ----------
    url
        Such as ``https://github.com/owner/name``.
    revision
        The branch or tag that badges open and that Colab installs.
    """

    url: str
    revision: str

    def colab(self, path: str) -> str:
        """The address that opens a notebook of the repository in Colab."""
        return f"https://colab.research.google.com/github/{self._slug}/blob/{self.revision}/{path}"

    def binder(self, path: str) -> str:
        """The address that opens a notebook of the repository in Binder."""
        return f"https://mybinder.org/v2/gh/{self._slug}/{self.revision}?labpath={path}"

    @property
    def _slug(self) -> str:
        return self.url.removeprefix(_GITHUB)


def checkout() -> Path:
    """The root of the source tree that this package runs from.

    Raises
    ------
    MultiresError
        Where the package was installed without its notebooks and book.
    """
    root = Path(__file__).resolve().parents[3]
    if (root / "_config.yml").is_file() and (root / "notebooks").is_dir():
        return root
    raise MultiresError(
        "the installed package does not hold the notebooks and the book: "
        "clone the repository, then run `make book` in it"
    )


def repository(root: Path) -> Repository:
    """The project's address, from `repository` in `_config.yml`.

    Raises
    ------
    MultiresError
        Where it is not an address on GitHub or the branch is missing.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    given: dict[str, Any] = config.get("repository") or {}
    url, revision = str(given.get("url", "")).rstrip("/"), str(given.get("branch", ""))
    if not url.startswith(_GITHUB) or url.count("/") != 4 or not revision:
        raise MultiresError(
            f"repository in {root / '_config.yml'} must have a url {_GITHUB}OWNER/NAME and a branch, not {given}"
        )
    return Repository(url, revision)


def sources(root: Path) -> list[Path]:
    """The notebooks' percent-format sources in reading order.

    Raises
    ------
    MultiresError
        Where there are none.
    """
    found = sorted((root / "notebooks").glob("[0-9]*.py"))
    if not found:
        raise MultiresError(f"no notebooks in {root / 'notebooks'}")
    return found


def render(source: Path, where: Repository) -> tuple[str, str]:
    """A notebook with the common opening: the text of its ``.py`` and of its ``.ipynb``.

    The badges and the bootstrap cell follow the title cell; what stood there before under their tags is replaced.
    Cell identifiers are counted, so that the same source gives the same two texts.
    """
    notebook = jupytext.read(source, fmt="py:percent")
    cells = [cell for cell in notebook.cells if not {"badges", "bootstrap"} & set(_tags(cell))]
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        raise MultiresError(f"{source}: the first cell must be Markdown and begin with a title, `# ...`")
    path = f"notebooks/{source.stem}.ipynb"
    badges = new_markdown_cell(_BADGES.format(colab=where.colab(path), binder=where.binder(path)))
    badges.metadata["tags"] = ["badges", "remove-cell"]
    bootstrap = new_code_cell(_BOOTSTRAP.format(url=where.url, revision=where.revision))
    bootstrap.metadata["tags"] = ["bootstrap", "remove-cell"]
    notebook.cells = [cells[0], badges, bootstrap, *cells[1:]]
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem.replace('_', '-')}-{index:02d}"
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    percent = jupytext.writes(notebook, fmt="py:percent")
    notebook.metadata.jupytext = nbformat.from_dict(_METADATA["jupytext"])
    return percent, nbformat.writes(notebook) + "\n"


def sync(root: Path) -> list[Path]:
    """Write the opening cells and the ``.ipynb`` of every notebook; returns the files that changed."""
    where = repository(root)
    changed = []
    for source in sources(root):
        for path, text in zip((source, source.with_suffix(".ipynb")), render(source, where), strict=True):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    return changed


def check(root: Path) -> list[str]:
    """List the faults of the notebooks, one sentence each.

    Each pair must be what `sync` would write (so without outputs), and each notebook needs one ``parameters`` cell in
    which every parameter has a comment, since that comment is what ``papermill --help-notebook`` shows.
    """
    where = repository(root)
    faults = []
    for source in sources(root):
        for path, text in zip((source, source.with_suffix(".ipynb")), render(source, where), strict=True):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                faults.append(
                    f"notebooks/{path.name} is not in step with notebooks/{source.name}: run `make notebooks`"
                )
        faults += [f"notebooks/{source.name}: {fault}" for fault in _parameter_faults(source)]
    paired = {source.stem for source in sources(root)}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        if path.stem not in paired:
            faults.append(f"notebooks/{path.name} has no source notebooks/{path.stem}.py")
    return faults


def _parameter_faults(source: Path) -> list[str]:
    notebook = jupytext.read(source, fmt="py:percent")
    cells = [cell for cell in notebook.cells if "parameters" in _tags(cell)]
    if len(cells) != 1:
        return [f"there must be one cell with the tag `parameters`, not {len(cells)}"]
    lines = [line for line in cells[0].source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [f"the parameter line `{line}` needs a comment at its end" for line in lines if "  # " not in line]


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def main(arguments: list[str] | None = None) -> int:
    """Run ``sync`` or ``check`` on the checkout."""
    parser = argparse.ArgumentParser(prog="python -m multires.book.notebooks", description=__doc__)
    parser.add_argument("command", choices=["sync", "check"])
    command = parser.parse_args(arguments).command
    show_notices()
    try:
        root = checkout()
        if command == "sync":
            for path in sync(root):
                print(f"wrote {path.relative_to(root)}")
            return 0
        faults = check(root)
    except MultiresError as error:
        _LOG.error("multires: %s", error)
        return 2
    for fault in faults:
        _LOG.error("%s", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
