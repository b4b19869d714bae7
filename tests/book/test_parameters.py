"""Parameters as papermill gives them: taken as what they say, or refused in one sentence."""

import pytest
from papermill.cli import _resolve_type
from papermill.translators import PythonTranslator

from multires.book.parameters import notebook_parameters
from multires.errors import MultiresError

DECLARED = {"profile": str, "data": str, "seed": int, "workspace": str, "layers": str, "frames": int, "size": str}
DEFAULTS = {
    "profile": "synthetic", "data": "", "seed": 0, "workspace": "workspace", "layers": "", "frames": 0, "size": "base",
}  # fmt: skip


def given(**changes):
    """The parameters of a notebook after papermill's cell with `changes`."""
    cell = PythonTranslator.codify(changes, comment="Parameters")
    names = {"__annotations__": DECLARED, **DEFAULTS, "In": ["", "seed: int = 0", cell]}
    exec(cell, names)
    return notebook_parameters(names)


def test_defaults_leave_everything_to_the_profile():
    assert given().for_run == {
        "profile": "synthetic",
        "seed": 0,
        "workspace": "workspace",
        "efficiency_size": "base",
    }


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("workspace", "2024", "2024"),
        ("layers", "0", "0"),
        ("layers", "encoder.0.1,middle.0", "encoder.0.1,middle.0"),
        ("data", "5", "5"),
        ("seed", "3", 3),
        ("frames", "0", 0),
        ("profile", "paper", "paper"),
    ],
)
def test_a_value_is_what_was_typed(name, typed, value):
    parameters = given(**{name: _resolve_type(typed)})
    assert getattr(parameters, name) == value
    assert type(getattr(parameters, name)) is type(value)


def test_a_list_of_names_is_the_names_separated_by_commas():
    assert given(layers=["middle.0", "middle.1"]).layers == "middle.0,middle.1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workspace", True, "workspace must be text, not True: with papermill, write -r workspace VALUE"),
        ("workspace", None, "workspace must be text, not None"),
        ("workspace", 1e5, "workspace must be text, not 100000.0"),
        ("layers", False, "layers must be text, not False"),
        ("layers", [0, 1], r"layers must be text, not \[0, 1\]"),
        ("layers", [], r"layers must be text, not \[\]"),
        ("workspace", " ", "workspace must not be empty"),
        ("seed", 3.0, "seed must be a whole number, not 3.0"),
        ("seed", True, "seed must be a whole number, not True"),
        ("seed", "three", "seed must be a whole number, not 'three'"),
        ("seed", None, "seed must be a whole number, not None"),
        ("frames", -1, "frames must be a whole number of at least 0, not -1"),
        ("seeds", 3, r"no parameter 'seeds' \(did you mean seed\?\): this notebook has profile, data"),
        ("xyzzy", 3, "no parameter 'xyzzy': this notebook has profile"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(name, value, message):
    with pytest.raises(MultiresError, match=message) as error:
        given(**{name: value})
    assert "\n" not in str(error.value)


def test_names_that_a_reader_defines_are_no_parameters():
    names = {"__annotations__": DECLARED, **DEFAULTS, "seeds": 3, "In": ["seeds = 3"]}
    assert notebook_parameters(names).seed == 0


def test_an_undeclared_parameter_is_no_attribute():
    with pytest.raises(AttributeError, match="declares no parameter 'precision'"):
        _ = given().precision
