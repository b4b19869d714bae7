"""Names and labels cannot act on a terminal, whichever way they reach it."""

import logging
import pickle

import numpy as np
import pandas as pd
import pytest

from multires import cli
from multires.errors import MultiresError
from multires.runtime.notices import _StandardError
from multires.visible import visible

TITLE = "\x1b]0;title\x07\u202etxt\udcff"
SHOWN = r"\x1b]0;title\x07\u202etxt\udcff"


def test_control_characters_directions_and_stray_bytes_are_escaped():
    assert visible(TITLE) == SHOWN
    assert visible("a\nb\tc", keep="\n") == r"a" + "\n" + r"b\tc"
    assert visible("Zoë 字 = $x$ <b>") == "Zoë 字 = $x$ <b>"


def test_errors_are_shown_without_control_characters_everywhere():
    error = MultiresError(f"no file {TITLE}:\n  rename it")
    expected = f"no file {SHOWN}:\n  rename it"
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == expected
    assert error._render_traceback_() == [f"MultiresError: {expected}"]


def test_notices_and_the_command_line_escape_names(capsys):
    _StandardError().emit(logging.makeLogRecord({"msg": "%s: computing it again", "args": (TITLE,)}))
    cli._print_table(pd.DataFrame({"model": ["\x1b[31m/x.pt"], "value": [1.0]}))
    skipped = {"skipped": {"count": 1, "files": [[TITLE, "no audio"]]}}
    for line in cli.left_out(skipped):
        cli._echo(line)
    cli._echo(TITLE, err=True)
    out, err = capsys.readouterr()
    assert err == f"{SHOWN}: computing it again\n{SHOWN}\n"
    assert r"\x1b[31m/x.pt" in out
    assert f"  {SHOWN}: no audio" in out
    assert not any(character in out for character in "\x1b\x07\u202e")


@pytest.mark.parametrize("arguments", [["cca", "--views", "\x1b[2J"], ["\x1b[2J"], ["cca", "--\x1b[2J", "1"]])
def test_what_was_typed_is_echoed_without_control_characters(arguments, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["multires", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "x1b[2J" in err


def test_warnings_of_measures_escape_the_names_of_models():
    from multires.measures.kmeans import fit_kmeans

    with pytest.warns(UserWarning, match="clusters were reduced") as caught:
        fit_kmeans(np.random.default_rng(0).normal(size=(20, 2)), 10, name=f"{TITLE}, layer conv")
    assert str(caught[0].message).startswith(f"{SHOWN}, layer conv: 10 clusters")
