"""Models by name."""

from __future__ import annotations

from pathlib import Path

import torch

from multires.errors import MultiresError
from multires.models.checkpoint import load_checkpoint
from multires.models.layers import LayeredModel
from multires.models.mr_hubert import ARCHITECTURES, SIZES, build_model


def load_model(
    name: str, *, seed: int = 0, device: str | torch.device = "cpu", cache: Path | None = None
) -> LayeredModel:
    """A model by its name, ``untrained/<architecture>-<size>``, in evaluation mode.

    Raises
    ------
    MultiresError
        Where nothing has that name.
    """
    kind, _, rest = str(name).partition("/")
    architecture, _, size = rest.partition("-")
    if kind == "untrained" and architecture in ARCHITECTURES and size in SIZES:
        return build_model(architecture, size, seed=seed).to(device)
    if Path(name).exists():
        return load_checkpoint(Path(name)).to(device)
    untrained = [f"untrained/{architecture}-{size}" for architecture in ARCHITECTURES for size in SIZES]
    raise MultiresError(f"unknown model {name!r}: choose one of {', '.join(untrained)}")
