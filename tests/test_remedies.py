"""Errors send nobody to a command or an option that does not exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import typer.main

import multires
from multires.cli import app

_OTHER = {"--compress"}
"""Options of other programs that errors name."""


def test_remedies_name_commands_and_options_that_exist():
    """Every command and option in the text of the package is one of the command line's."""
    group = typer.main.get_command(app)
    commands = group.commands
    options = {name for command in commands.values() for parameter in command.params for name in parameter.opts}
    texts = [
        (path, node.value)
        for path in Path(multires.__file__).parent.rglob("*.py")
        for error in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(error, ast.Call) and getattr(error.func, "id", "") == "MultiresError"
        for node in ast.walk(error)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(texts) > 300
    for path, text in texts:
        for named in re.findall(r"`multires ([a-z]+)", text):
            assert named in commands, f"{path.name}: {text}"
        for named in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert named in options | _OTHER, f"{path.name}: {text}"
