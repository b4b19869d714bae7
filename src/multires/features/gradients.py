"""Gradients of a model's frames with respect to the input frames of its transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from multires.models.mr_hubert import MultiResHubert


def input_gradients(
    model: MultiResHubert,
    samples: Float[np.ndarray, " samples"],
    frames: Mapping[str, Sequence[int]],
    *,
    seed: int,
    device: str = "cpu",
) -> dict[str, Float[np.ndarray, "frames inputs"]]:
    """Norm of the gradient of chosen frames of each layer with respect to every input frame.

    The gradient is that of a random projection of the frame; inputs are the normalized frames that the transformer reads, every
    20 ms, so that the 25 ms or so of signal in each are not counted.

    Parameters
    ----------
    model
        In evaluation mode.
    samples
        One utterance at 16 kHz.
    frames
        Indices of frames by layer.
    seed
        Of the projections.
    device
        Of the model.
    """
    kept: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    handle = model.feature_norm.register_forward_hook(keep)
    try:
        outputs = model(torch.from_numpy(np.ascontiguousarray(samples))[None].to(device))
    finally:
        handle.remove()
    (inputs,) = kept
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, indices in frames.items():
        values = outputs.frames[name][0]
        projection = torch.randn(values.shape[1], generator=generator).to(values.device)
        rows = []
        for index in indices:
            (gradient,) = torch.autograd.grad(values[index] @ projection, inputs, retain_graph=True)
            rows.append(gradient[0].norm(dim=1).cpu().numpy())
        found[name] = np.stack(rows)
    return found
