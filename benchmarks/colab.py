"""Each notebook alone, as Colab opens it: an empty folder, another Python, Colab's marker module, this checkout to install.

    python -m benchmarks.colab --python python3.12              # every notebook, Colab's own packages there already
    python -m benchmarks.colab --python python3.12 --bare       # nothing there but the kernel
    python -m benchmarks.colab --python python3.12 --source CLONE 02_cca 03_mutual_information

For every notebook it makes an environment of its own, executes the .ipynb with no parameters but the workspace (the
first cell installs the package from this checkout), and prints the seconds of the first cell and of the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager

from multires.book.notebooks import checkout, sources

KERNEL = ("ipykernel", "ipywidgets")
"""What runs any notebook."""

COLAB = (
    "fsspec", "jinja2", "joblib", "matplotlib", "numpy", "pandas", "platformdirs", "pooch", "pyarrow", "requests", "safetensors",
    "scikit-learn", "scipy", "seaborn", "soundfile", "statsmodels", "threadpoolctl", "torch<2.12", "torchaudio<2.12",
    "tqdm", "typer", "xarray",
)  # fmt: skip
"""What Colab's image has of the packages that multires needs; the rest (espeakng-loader, jaxtyping, zarr) it installs."""


def make_environment(folder: Path, python: str, packages: tuple[str, ...]) -> Path:
    """An environment with some packages and the marker module `google.colab`; gives its interpreter."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    interpreter = folder / "bin" / "python"
    subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(interpreter), "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    marker = Path(site) / "google" / "colab"
    marker.mkdir(parents=True)
    (marker / "__init__.py").touch()
    return interpreter


def run(notebook: Path, base: Path, place: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Execute one notebook in a copy of an environment and in an empty folder; its seconds, or what went wrong."""
    own = place / "environment"
    # Hard links: pip replaces files and never writes into them, so that the base stays as it is.
    subprocess.run(["cp", "-al", str(base), str(own)], check=True)
    kernels = place / "kernels"
    empty = place / "content"
    empty.mkdir()
    command = [str(own / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    write_kernel(kernels / "kernels" / "colab", command, environment)
    os.environ["JUPYTER_PATH"] = str(kernels)
    assert "colab" in KernelSpecManager().find_kernel_specs()
    shutil.copy2(notebook, empty / notebook.name)
    began = time.monotonic()
    try:
        papermill.execute_notebook(
            str(empty / notebook.name), str(place / "out.ipynb"), {}, kernel_name="colab", cwd=str(empty),
            progress_bar=False, start_timeout=300,
        )  # fmt: skip
        fault = ""
    except papermill.PapermillExecutionError as error:
        fault = f"cell {error.cell_index}: {error.ename}: {error.evalue}"
    seconds = time.monotonic() - began
    (install,) = (
        cell for cell in nbformat.read(place / "out.ipynb", 4).cells if "bootstrap" in cell.metadata.get("tags", [])
    )
    times = install.metadata["papermill"]
    ends = [datetime.fromisoformat(times[name]).timestamp() for name in ("start_time", "end_time")]
    shutil.rmtree(own)
    return {"notebook": notebook.stem, "install_s": ends[1] - ends[0], "all_s": seconds, "fault": fault}


def write_kernel(folder: Path, command: list[str], environment: dict[str, str]) -> None:
    """A kernel of the name of its folder."""
    folder.mkdir(parents=True)
    spec = {"argv": command, "display_name": folder.name, "language": "python", "env": environment}
    (folder / "kernel.json").write_text(json.dumps(spec))


def main() -> int:
    """Print one line a notebook; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", help="stems such as 02_cca; all by default")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the new environments")
    parser.add_argument("--bare", action="store_true", help="install nothing beforehand but the kernel")
    parser.add_argument(
        "--source", type=Path, help="the checkout to install and to take notebooks from; this one by default"
    )
    parser.add_argument("--base", type=Path, help="an environment that an earlier call left, to copy from")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    given = parser.parse_args()
    root = given.source.resolve() if given.source else checkout()
    chosen = [source.with_suffix(".ipynb") for source in sources(root)]
    chosen = [path for path in chosen if not given.notebooks or path.stem in given.notebooks]
    folder = Path(tempfile.mkdtemp(prefix="colab-", dir=given.folder))
    base = given.base or folder / "base"
    if not given.base:
        packages = KERNEL if given.bare else KERNEL + COLAB
        print(f"making {base} with {given.python} and {', '.join(packages)}", flush=True)
        make_environment(base, given.python, packages)
    failed = 0
    for notebook in chosen:
        place = folder / notebook.stem
        place.mkdir()
        # A cache of its own: nothing that another notebook has made is there.
        environment = {"MULTIRES_SOURCE": str(root), "MULTIRES_CACHE": str(place / "cache")}
        done = run(notebook, base, place, environment)
        said = done["fault"] or "well"
        print(
            f"{done['notebook']}: installed in {done['install_s']:.0f} s, {done['all_s']:.0f} s in all: {said}",
            flush=True,
        )
        failed += bool(done["fault"])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
