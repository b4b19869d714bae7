"""Deterministic training: kernels and random numbers."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, and the caller's random state and settings put back afterwards."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Every tensor is written before it is read here; filling them first costs a twelfth of the time.
        filling: Any = torch.utils.deterministic
        filled, filling.fill_uninitialized_memory = filling.fill_uninitialized_memory, False
        try:
            yield
        finally:
            filling.fill_uninitialized_memory = filled
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def stream_number(*parts: int) -> int:
    """A seed for PyTorch from whole numbers that name a stream."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def repr_digest(value: Any) -> str:
    """A digest of the value's representation."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
