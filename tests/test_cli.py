"""The command line as a shell sees it: status, standard output and error of `multires.cli.main`."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from multires import cli, cli_options

COMMANDS = (
    "extract", "cca", "mi", "probe", "efficiency", "claims", "report", "sweep", "pretrain", "experiment", "models",
    "convert", "plan", "book",
)  # fmt: skip


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder; gives status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "interrupt_on_termination", lambda: None)  # the handlers of this process stay
    monkeypatch.setattr(cli, "show_notices", lambda: None)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["multires", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return call


def test_help_lists_every_command(shell):
    status, out, _ = shell("--help")
    assert status == 0
    for command in COMMANDS:
        assert f"\n  {command} " in out
    status, out, err = shell()
    assert status == 2
    assert "Commands:" in out + err
    assert "multires: " not in err


def test_the_version_is_printed(shell):
    from importlib.metadata import version

    assert shell("--version") == (0, f"multires {version('multires')}\n", "")


def test_help_begins_with_five_examples_and_cuts_no_summary(shell):
    _, out, _ = shell("--help")
    before, _, commands = out.partition("Commands:")
    examples = [line.split() for line in before.splitlines() if line.startswith("      multires ")]
    assert [example[1] for example in examples] == ["claims", "cca", "cca", "efficiency", "pretrain"]
    assert "..." not in commands
    assert "\N{HORIZONTAL ELLIPSIS}" not in commands


def test_starting_loads_no_heavy_module():
    """A help page must not import torch; the benchmark `startup` has the seconds."""
    script = "import json, sys, multires, multires.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "multires" in roots
    assert not roots & {"torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "zarr", "xarray", "requests"}


def test_names_of_the_package_load_at_first_use():
    import multires

    assert set(multires.__all__) <= set(dir(multires))
    from multires.analysis.run import open_run

    assert multires.open_run is open_run
    with pytest.raises(AttributeError, match="no attribute 'close_run'"):
        multires.close_run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(shell, command):
    status, out, _ = shell(command, "--help")
    assert status == 0
    assert f"multires {command}" in out
    if command in ("extract", "cca", "mi", "probe", "claims"):
        for option in ("--profile", "--data", "--seed", "--workspace", "--models", "--layers", "--device", "--output"):
            assert option in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["cca", "--profile", "speech"],
            "unknown profile 'speech' (did you mean librispeech?): choose one of librispeech-sample, synthetic, librispeech, paper",
        ),
        (["cca", "--layers", "encoder.7.7"], "no layer encoder.7.7 in any model of this run"),
        (["cca", "--views", "smell"], "unknown view 'smell' (did you mean mel?): choose one of mel"),
        (["cca", "--variant", "best"], "unknown variant 'best'"),
        (["mi", "--models", "nothing"], "nothing"),
        (["probe", "--device", "tpu"], "unknown device 'tpu'"),
        (["claims", "--profile", "librispeech", "--data", "no/such"], "data: there is no folder no/such"),
        (["extract", "--profile", "librispeech"], "set data"),
        (["extract", "--workspace", "file/inside"], "cannot be written"),
        (["efficiency", "--size", "huge"], "unknown size 'huge': choose one of small, base, large, xlarge"),
        (["claims", "--seed", "abc"], "'--seed'"),
        (["cca", "--frames", "many"], "'--frames'"),
        (["cca", "--tempo", "3"], "--tempo"),
        (["sing"], "No such command 'sing'"),
        (["cca", "--utterances", "0"], "utterances must be a whole number of at least 1"),
        (["sweep", "--seeds", "0,x"], "seeds must be a whole number of at least 0, not 'x'"),
        (["sweep", "--models", "none*"], "no model is called 'none*': choose among"),
        (["sweep", "--measures", "smell"], "unknown measure 'smell': choose one of extract, cca, mi, probe"),
        (["pretrain", "--condition", "stereo"], "unknown condition 'stereo': choose one of hubert"),
        (["pretrain", "--corpus", "librispeech"], "is read from a folder"),
        (["report", "file/below", "--formats", "docx"], "unknown format 'docx': choose one of csv, tex, pdf, svg"),
        (
            ["report", "there", "--unit-clusters", "ten"],
            "unit_clusters must be a whole number of at least 1, not 'ten'",
        ),
        (["report", "there", "--grid-frames", "0"], "grid_frames must be a whole number of at least 1, not 0"),
        (["plan", "--profile", "papers"], "unknown profile 'papers'"),
        (["convert", "absent.pt", "out.safetensors"], "absent.pt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shell, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    status, out, err = shell(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("multires: ")
    assert message in err
    assert err.count("\n") == 1


def test_every_sample_size_of_a_report_reaches_its_run(shell, monkeypatch):
    from multires.profiles import get_profile

    opened = {}

    def open_run(self, **overrides):
        opened.update({name: value for name, value in overrides.items() if value is not None})

    monkeypatch.setattr(cli_options.RunOptions, "open", open_run)
    monkeypatch.setattr("multires.book.paper.report", lambda run, folder, **options: folder)
    sizes = {"probe_instances": 11, "frame_utterances": 12, "matched_instances": 13, "grid_frames": 14}
    given = [part for name, value in sizes.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    status, _, err = shell("report", "there", *given, "--unit-clusters", "5,6")
    assert (status, err) == (0, "")
    assert opened == {**sizes, "unit_clusters": "5,6"}
    assert get_profile("synthetic", **opened).unit_clusters == (5, 6)


def test_models_are_listed(shell):
    status, out, _ = shell("models")
    assert status == 0
    for name in ("untrained/multi-small", "hubert_base", "mono_base", "mel"):
        assert name in out


def test_an_interruption_says_what_comes_next(shell, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_options.RunOptions, "open", interrupted)
    status, _, err = shell("cca")
    assert status == 130
    assert "interrupted; the next run continues from here" in err


def test_a_fault_of_ours_keeps_its_traceback(shell, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(cli_options.RunOptions, "open", broken)
    monkeypatch.setattr(sys, "argv", ["multires", "cca"])
    with pytest.raises(ZeroDivisionError, match="ours"):
        cli.main()


@pytest.mark.slow
def test_a_stage_prints_its_table_and_writes_it_elsewhere(shell, run, monkeypatch, tmp_path):
    monkeypatch.setattr(cli_options.RunOptions, "open", lambda self, **options: run)
    status, out, _ = shell("mi", "--output", "deep/table.csv")
    assert status == 0
    written = pd.read_csv(tmp_path / "deep" / "table.csv")
    assert f"{len(written)} rows, of which {written['trial'].isna().sum()} are shown" in out
    assert f": {run.workspace}" in out
    assert {"model", "layer", "value"} <= set(written.columns)
    status, _, err = shell("mi", "--output", "table.txt")
    assert status == 2
    assert "must end in .csv or .parquet" in err


def test_what_was_left_out_of_the_corpus_is_said():
    files = [[f"{number}.wav", "it is empty"] for number in range(7)]
    lines = cli.left_out({"skipped": {"count": 7, "files": files}})
    assert lines[:2] == ["Left out of the corpus: 7", "  0.wav: it is empty"]
    assert lines[-1] == "  and 2 more, listed in the table's .json file"
    assert cli.left_out({"skipped": {"count": 0, "files": []}}) == cli.left_out({}) == []


def test_only_summary_rows_are_printed(capsys, tmp_path):
    table = pd.DataFrame({"layer": ["a", "a", "b"], "trial": [0, None, None], "value": [0.25, 0.5, 0.75]})
    source = {"skipped": {"count": 1, "files": [["x.wav", "too short"]]}}
    cli._show(
        SimpleNamespace(table=table, source=source, path=tmp_path / "t.parquet"), None, ["layer", "trial", "value"]
    )
    out = capsys.readouterr().out
    assert "0.25" not in out
    assert "0.50" in out
    assert "  x.wav: too short\n3 rows, of which 2 are shown" in out


@pytest.mark.slow
def test_options_reach_the_run(shell, tmp_path):
    status, _, _ = shell(
        "cca", "--models", "untrained/multi-small", "--layers", "middle.0", "--frames", "300", "--views", "mel",
        "--variant", "mean", "--seed", "3", "--workspace", "here", "--output", "table.parquet",
    )  # fmt: skip
    assert status == 0
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert set(table["layer"]) == {"middle.0"}
    assert set(table["view"]) == {"mel"}
    assert set(table["measure"]) == {"mean", "shuffled"}
    assert (tmp_path / "here" / "tables").is_dir()
