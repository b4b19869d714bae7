"""Parameters of a notebook, checked before anything is computed."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from multires.errors import MultiresError, nearest
from multires.runtime.processes import end_kernel_on_termination

_RUN_NAMES = {"size": "efficiency_size", "setting": "efficiency_setting"}
"""Names in `multires.open_run` of parameters that notebooks name more briefly."""

_NEVER_EMPTY = ("profile", "workspace", "device", "size", "setting", "precision", "group_by")

_INJECTED = "# Parameters"
"""The first line of the cell that papermill adds."""


@dataclass(frozen=True)
class Parameters:
    """Checked parameters; each is an attribute.

    Attributes
    ----------
    values
        By name.
    """

    values: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.values:
            raise AttributeError(f"the notebook declares no parameter {name!r}")
        return self.values[name]

    @property
    def for_run(self) -> dict[str, Any]:
        """The arguments of `multires.open_run`: all parameters but those of a single stage.

        What is left empty, or at 0 where a count is meant, keeps the profile's own value.
        """
        accepted = _run_arguments()
        named = {_RUN_NAMES.get(name, name): value for name, value in self.values.items()}
        return {name: value for name, value in named.items() if name in accepted and (value or name == "seed")}


def notebook_parameters(names: Mapping[str, Any]) -> Parameters:
    """Check the parameters that a notebook declares, as papermill or a reader has set them.

    Parameters
    ----------
    names
        The notebook's ``globals()``. Every parameter is annotated with its type (``seed: int = 0``), which is also what
        ``papermill --help-notebook`` shows.

    Raises
    ------
    MultiresError
        With one sentence: for a parameter that papermill was given and the notebook does not declare, with the nearest
        name; for a value that is not of the declared type.

    Examples
    --------
    >>> namespace = {"__annotations__": {"seed": int, "models": str}, "seed": "3", "models": ""}
    >>> notebook_parameters(namespace).seed
    3
    >>> notebook_parameters(namespace | {"seed": "three"})
    Traceback (most recent call last):
    multires.errors.MultiresError: seed must be a whole number, not 'three'
    """
    end_kernel_on_termination()
    declared: Mapping[str, Any] = names.get("__annotations__", {})
    for given in _injected(names.get("In", ())):
        if given not in declared:
            raise MultiresError(
                f"there is no parameter {given!r}{nearest(given, list(declared))}: this notebook has {', '.join(declared)}"
            )
    return Parameters({name: _checked(name, kind, names[name]) for name, kind in declared.items()})


def _run_arguments() -> set[str]:
    from multires.analysis.run import open_run
    from multires.profiles import Profile

    named = {name for name, about in inspect.signature(open_run).parameters.items() if about.kind != about.VAR_KEYWORD}
    return named | {field.name for field in fields(Profile)}


def _checked(name: str, kind: Any, value: Any) -> int | str:
    """A value of the declared type."""
    if kind in (int, "int"):
        return _whole(name, value)
    if kind in (str, "str"):
        text = _text(name, value)
        if not text and name in _NEVER_EMPTY:
            raise MultiresError(f"{name} must not be empty")
        return text
    raise MultiresError(f"{name} is declared as {kind!r}: notebooks have parameters of type int and str")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MultiresError(f"{name} must be a whole number, not {value!r}")
    if value < 0:
        raise MultiresError(f"{name} must be a whole number of at least 0, not {value}")
    return value


def _text(name: str, value: Any) -> str:
    """Text; papermill reads ``-p workspace 2024`` as a number, which is taken as the text that was typed."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value):
        return ",".join(value)
    raise MultiresError(
        f"{name} must be text, not {value!r}: with papermill, write -r {name} VALUE to give the text as it is typed"
    )


def _injected(cells: Sequence[str]) -> Iterator[str]:
    """The names that papermill's cells assign."""
    for cell in cells:
        if not cell.startswith(_INJECTED):
            continue
        for statement in ast.parse(cell).body:
            if isinstance(statement, ast.Assign):
                yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
