"""One training step, for timing."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from multires.models.mr_hubert import MultiResHubert


def training_step(model: MultiResHubert, waveforms: torch.Tensor, *, seed: int = 0) -> Callable[[], object]:
    """One step of masked unit prediction at every resolution that has a head, with random units and half the frames masked.

    The update is plain gradient descent: what an optimizer does beside it costs every model the same.
    """
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    batch, samples = waveforms.shape
    sizes = config.frame_counts(torch.tensor([samples]))
    mask = (torch.rand(batch, int(sizes[0]), generator=generator) < 0.5).to(waveforms.device)
    units = [
        torch.randint(classes, (batch, int(frames)), generator=generator).to(waveforms.device)
        for frames, classes in zip(sizes, config.classes, strict=False)
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def step() -> None:
        model.train()
        outputs = model.predict(waveforms, mask=mask)
        losses = []
        for head, (targets, output) in enumerate(zip(units, outputs.resolutions, strict=False)):
            if output.mask is not None and bool(output.mask.any()):
                logits = model.logits(head, output.frames[output.mask])
                losses.append(F.cross_entropy(logits, targets[:, : output.mask.shape[1]][output.mask]))
        torch.stack(losses).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()

    return step
