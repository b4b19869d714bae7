"""Models that each process loads for itself, identified by a fingerprint of their weights."""

from __future__ import annotations

import hashlib
import platform
import threading
from dataclasses import dataclass
from functools import lru_cache

import torch

from multires.errors import MultiresError
from multires.models import load_model
from multires.models.layers import LayeredModel


def fingerprint(model: LayeredModel) -> str:
    """Digest of the weights and the key of a model, 16 hexadecimal digits."""
    digest = hashlib.sha256(model.key.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class NamedModel:
    """A model that each process loads for itself and keeps until it needs another.

    Attributes
    ----------
    name, seed
        As in `multires.models.load_model`.
    fingerprint
        Of its weights, so that all processes use the same.
    """

    name: str
    seed: int
    fingerprint: str

    def __call__(self) -> LayeredModel:
        """Load the model, or return it if it is loaded already.

        Raises
        ------
        MultiresError
            If this process finds another model under that name, or none.
        """
        with _one_loads:
            return _loaded(self)


_one_loads = threading.Lock()


@lru_cache(maxsize=2)  # a model, and the one that it is compared with
def _loaded(wanted: NamedModel) -> LayeredModel:
    model = load_model(wanted.name, seed=wanted.seed)
    if fingerprint(model) != wanted.fingerprint:
        raise MultiresError(f"{wanted.name} has other weights on {platform.node()}: bring its copy up to date")
    return model
