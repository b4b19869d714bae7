"""Initial values of a waveform encoder that has learned to predict cepstra."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from multires.models.config import ModelConfig
from multires.models.mr_hubert import MultiResHubert
from multires.training.batches import Batches, cut
from multires.training.recipe import Recipe, autocast_type
from multires.training.reproducible import reproducible, stream_number
from multires.training.speech import Speech
from multires.training.targets import Cepstra, Units


def warm_start(
    config: ModelConfig, speech: Speech, recipe: Recipe, *, seed: int, progress: bool = True
) -> dict[str, Tensor]:
    """Values of the waveform encoder after it has learned to predict each frame's cepstra, by parameter name.

    It starts from the seed's own initial values and sees the batches that the first steps of training will see;
    all conditions of a seed share it. Empty where the recipe has no `warm_steps`.
    """
    if not recipe.warm_steps:
        return {}
    with reproducible(speech.device):
        return _predict_cepstra(config, speech, recipe, seed, progress)


def _predict_cepstra(
    config: ModelConfig, speech: Speech, recipe: Recipe, seed: int, progress: bool
) -> dict[str, Tensor]:
    device = speech.device
    model = MultiResHubert(config, seed=seed)
    torch.manual_seed(stream_number(seed, 4, 0))
    head = torch.nn.Linear(config.convolutions[-1][0], 20).to(device)
    kept = torch.nn.ModuleDict({"waveform_encoder": model.waveform_encoder, "feature_norm": model.feature_norm})
    kept.to(device).train()
    cepstra = Cepstra(20, deltas=False).to(device)
    parameters = [*kept.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0, betas=recipe.betas, eps=1e-6)
    plan = replace(
        recipe, steps=recipe.warm_steps, learning_rate=recipe.warm_learning_rate, schedule="cosine", warmup=0.05
    )
    batches = Batches(speech, plan, seed)
    empty = Units(torch.zeros(int(speech.frame_starts[-1]), dtype=torch.int32, device=device), 1, "none", "")
    dtype = autocast_type(recipe.precision, device)
    bar = tqdm(range(plan.steps), desc="warm start", unit="step", disable=not progress)
    for step in bar:
        waveforms, _ = cut(speech, empty, batches[step])
        target = cepstra(waveforms)
        target = target / target.std((0, 1), keepdim=True)
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            features = model.waveform_encoder(waveforms, None)
            found = head(model.feature_norm(features)).float()
        loss = F.mse_loss(found, target) + recipe.feature_penalty * features.float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        optimizer.step()
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return {name: value.detach().cpu().clone() for name, value in kept.state_dict().items()}
