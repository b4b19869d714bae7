"""The notebooks as papermill runs them: parameters with their comments, good ones through, bad ones stopped at once."""

import re
from pathlib import Path

import nbformat
import papermill
import pytest

from multires.book.build import LocalKernelManager

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
EXTRACTION = NOTEBOOKS[0]


def execute(notebook: Path, target: Path, **parameters):
    return papermill.execute_notebook(
        notebook, target, parameters, kernel_name="python3", progress_bar=False, log_output=False,
        kernel_manager_class=LocalKernelManager, cwd=target.parent,
    )  # fmt: skip


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_is_listed_with_its_comment(notebook):
    found = papermill.inspect_notebook(str(notebook))
    assert {"profile", "seed", "workspace", "device"} <= set(found)
    for name, about in found.items():
        assert about["help"].strip(), f"{name} has no comment"
        assert about["default"] not in (None, "None"), name
        assert about["inferred_type_name"] in ("int", "str"), name


OTHER = {
    "profile": "librispeech", "data": "/some/folder", "seed": 7, "workspace": "elsewhere", "models": "untrained/mono-small",
    "layers": "encoder.0.1", "device": "cuda:1", "frames": 99, "utterances": 12, "views": "phone", "variant": "cka",
    "phone_clusters": 33, "word_clusters": 44, "probe_instances": 55, "size": "large", "setting": "thorough",
    "experiment": "/my/experiment", "frame_utterances": 21, "matched_instances": 66,
    "grid_frames": 77, "unit_clusters": "8,9",
}  # fmt: skip
"""For each parameter a value that is not its default."""


def opened(notebook: Path, monkeypatch, **changes) -> dict:
    """What a notebook would open its run with, and every other call that takes a parameter; no run is opened."""
    seen: dict = {}

    def open_run(profile, **options):
        seen.update(profile=profile, **options)

    def tables(folder=None):
        seen["experiment"] = folder
        return []

    monkeypatch.setattr("multires.open_run", open_run)
    monkeypatch.setattr("multires.experiment.tables.experiment_tables", tables)
    cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    (parameters,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    opening = next(cell for cell in cells if "open_run(" in cell.source)
    names: dict = {}
    exec(parameters.source, names)
    assert set(changes) <= set(names)
    names.update(changes)
    exec(opening.source, names)
    return seen


@pytest.mark.parametrize(
    ("notebook", "name"),
    [(notebook, name) for notebook in NOTEBOOKS for name in papermill.inspect_notebook(str(notebook))],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_every_parameter_reaches_the_run(notebook, name, monkeypatch):
    """Of a value changed, exactly one thing that the run is opened with changes; `test_stages` shows what that does.

    What concerns one stage alone is handed to that stage instead, by the name of the parameter.
    """
    before = opened(notebook, monkeypatch)
    after = opened(notebook, monkeypatch, **{name: OTHER.get(name, "another")})
    changed = {key for key in after if after[key] != before.get(key)}
    called = {"size": "efficiency_size", "setting": "efficiency_setting"}.get(name, name)
    if changed:
        assert changed == {called}
        assert after[called] == OTHER[name]
    else:
        code = [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
        handed = rf"stages\.\w+[(,][^#]*\b{name}=given\.{name}\b|\((?:run, )?given\.{name}\)"
        assert any(re.search(handed, source) for source in code)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"profile": "speech"}, "unknown profile 'speech'"),
        ({"seed": "abc"}, "seed must be a whole number, not 'abc'"),
        ({"seeds": 3}, "there is no parameter 'seeds' (did you mean seed?): this notebook has profile, data, seed"),
        ({"layers": 0}, "no layer 0"),
        ({"layers": "encoder.7.7"}, "no layer encoder.7.7"),
        ({"workspace": "/proc/multires"}, "cannot be written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_parameters_stop_in_the_cell_that_opens_the_run(tmp_path, parameters, message):
    target = tmp_path / "out.ipynb"
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(EXTRACTION, target, **({"workspace": str(tmp_path / "workspace")} | parameters))
    assert error.value.ename == "MultiresError"
    assert message in error.value.evalue
    assert "\n" not in error.value.evalue
    code = [cell for cell in nbformat.read(target, 4).cells if cell.cell_type == "code"]
    failed = [cell for cell in code if any(output.output_type == "error" for output in cell.outputs)]
    assert ["open_run" in cell.source for cell in failed] == [True]
    after = code[code.index(failed[0]) + 1 :]
    assert after
    assert all(cell.execution_count is None for cell in after)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_notebook_runs_to_its_end_under_other_parameters(tmp_path):
    workspace = tmp_path / "workspace"
    done = execute(
        EXTRACTION, tmp_path / "out.ipynb", models="untrained/multi-small", layers="encoder.0.1,middle.0", frames=200,
        seed=3, workspace=str(workspace),
    )  # fmt: skip
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    text = " ".join(output.data.get("text/markdown", "") for output in outputs if "data" in output)
    assert "minutes of LibriSpeech sample" in text
    assert "is widest at" in text
    assert "20 ms control" not in text
    assert list((workspace / "tables").glob("librispeech-sample-extraction-*.parquet"))
