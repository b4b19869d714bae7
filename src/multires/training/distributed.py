"""Data-parallel training of one model in several processes, one GPU each."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multires.errors import MultiresError


class Processes:
    """This process among those started by ``torchrun``, connected by Accelerate; the only one otherwise.

    Each process takes its share of every batch; sums over processes equal the result of one process on the whole batch.

    Parameters
    ----------
    device
        Device of this process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0")) if self.count > 1 else 0

    @property
    def first(self) -> bool:
        """True for the process that writes files and shows progress."""
        return self.rank == 0

    def _join(self) -> Any:
        """Accelerate's state, which connects the processes on first use."""
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MultiresError(
                "several processes were started, and training in several needs accelerate: install multires[gpus]"
            ) from error
        return PartialState(cpu=self.device.type == "cpu")

    def share(self, items: int) -> tuple[np.ndarray, float]:
        """Indices of this process's items and their share of all items; a process without items gets item 0 with share 0."""
        own = np.arange(items)[self.rank :: self.count]
        return (own if len(own) else np.zeros(1, int)), len(own) / items

    def summed(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return value
        self._join()
        from accelerate.utils import reduce

        return reduce(value.detach(), reduction="sum")

    def sum_gradients(self, model: torch.nn.Module) -> None:
        """Every parameter's gradient becomes the sum over all processes, in one exchange."""
        if self.count == 1:
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        for parameter, gradient in zip(
            parameters, self.summed(flat).split([p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = gradient.view_as(parameter).clone()

    def any(self, flag: bool) -> bool:
        """Return True if the flag is set in any process, so that all stop at the same step."""
        return flag if self.count == 1 else bool(self.summed(torch.tensor(float(flag), device=self.device)))

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            self._join().wait_for_everyone()


def own_device(device: str) -> str:
    """The GPU of this process if ``torchrun`` started one process per GPU, else `device`."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device
