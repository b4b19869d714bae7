"""Checks of a file's tensors against those that a model needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from multires.errors import MultiresError

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

IMPLAUSIBLE = 1e8
"""No weight of a trained model is this large; numbers in the wrong byte order or from damaged bytes are."""


def check_names(found: set[str], wanted: Iterable[str], source: Path | str) -> None:
    """Refuse a file whose tensors do not have exactly the `wanted` names.

    Raises
    ------
    MultiresError
        With the names of missing or extra tensors.
    """
    wanted = set(wanted)
    if missing := sorted(wanted - found):
        raise MultiresError(f"{source} lacks {listed(missing)}, which its own configuration calls for: fetch it again")
    if extra := sorted(found - wanted):
        raise MultiresError(f"{source} has {listed(extra)}, which its own configuration does not know")


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], source: Path | str) -> None:
    """Refuse a file with a tensor of another shape than `wanted`.

    Raises
    ------
    MultiresError
        With the first such tensor.
    """
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise MultiresError(
                f"{source} has {name} of shape {tuple(tensors[name].shape)}, and its configuration wants {shape}"
            )


def check_storage(tensors: Mapping[str, object], path: Path) -> None:
    """Refuse what is no plain floating-point tensor, and tensors that hold more numbers than their file has bytes for.

    Raises
    ------
    MultiresError
        With the first such tensor.
    """
    total = 0
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise MultiresError(f"{path} has {str(name)[:80]!r} among its weights, which is no floating-point tensor")
        if tensor.layout is not torch.strided or tensor.dtype not in _DTYPES or tensor.device.type != "cpu":
            kind = f"{tensor.dtype}".removeprefix("torch.")
            place = "" if tensor.device.type == "cpu" else f" on {tensor.device.type}"
            layout = "" if tensor.layout is torch.strided else "sparse "
            raise MultiresError(
                f"{path} has {name[:80]!r} as a {layout}{kind} tensor{place}, which is no floating-point tensor of weights"
            )
        total += tensor.numel() * tensor.element_size()
    if total > path.stat().st_size:
        raise MultiresError(f"{path} is refused: its tensors would take {total} bytes, more than the file has")


def check_values(tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuse weights that are not finite, or larger than any trained model has.

    Raises
    ------
    MultiresError
        With the first such tensor.
    """
    for name, tensor in tensors.items():
        low, high = tensor.detach().float().aminmax() if tensor.numel() else (torch.zeros(()),) * 2
        # Comparisons with NaN are false.
        if not (float(low) > -IMPLAUSIBLE and float(high) < IMPLAUSIBLE):
            raise MultiresError(
                f"{source} has {name} from {float(low):g} to {float(high):g}, which no trained model has: the file is "
                "damaged, in another byte order, or of a training that diverged"
            )


def listed(names: list[str]) -> str:
    """The first three names, and the number of further ones."""
    shown = [name[:120] if name.isprintable() else ascii(name)[:120] for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"the tensor{'s' if len(names) > 1 else ''} {', '.join(shown)}{more}"
