"""Checks of a file's tensors against those that a model needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from multires.errors import MultiresError


def check_names(found: set[str], wanted: Iterable[str], path: Path) -> None:
    """Refuse a file whose tensors do not have exactly the `wanted` names.

    Raises
    ------
    MultiresError
        With the names of missing or extra tensors.
    """
    wanted = set(wanted)
    if missing := sorted(wanted - found):
        raise MultiresError(f"{path} lacks {listed(missing)}, which its own configuration calls for: fetch it again")
    if extra := sorted(found - wanted):
        raise MultiresError(f"{path} has {listed(extra)}, which its own configuration does not know")


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Refuse a file with a tensor of another shape than `wanted`.

    Raises
    ------
    MultiresError
        With the first such tensor.
    """
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise MultiresError(
                f"{path} has {name} of shape {tuple(tensors[name].shape)}, and its configuration wants {shape}"
            )


def listed(names: list[str]) -> str:
    """The first three names, and the number of further ones."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the tensor{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"
