"""Input gradients against finite differences."""

import numpy as np
import pytest
import torch

from multires.features.gradients import input_gradients
from multires.models import load_model


def test_gradients_are_those_of_finite_differences():
    model = load_model("untrained/multi-small").eval()
    samples = np.random.default_rng(0).normal(0, 0.1, 6_400).astype(np.float32)
    found = input_gradients(model, samples, {"middle.1": [4]}, seed=3)["middle.1"][0]
    projection = torch.randn(model.layers[4].dim, generator=torch.Generator().manual_seed(3))

    width = model.feature_norm.normalized_shape[0]
    steps = 0.01 * torch.cat([torch.eye(width), -torch.eye(width)])

    def changed(_module, _inputs, value):
        value = value.expand(len(steps), -1, -1).clone()
        value[:, 8] += steps
        return value

    handle = model.feature_norm.register_forward_hook(changed)
    with torch.no_grad():
        frames = model(torch.from_numpy(samples)[None]).frames["middle.1"][:, 4]
    handle.remove()
    more, less = (frames.double() @ projection.double()).chunk(2)
    assert found[8] == pytest.approx(float((more - less).norm()) / 0.02, rel=0.02)


def test_the_model_is_left_as_it_was():
    model = load_model("untrained/mono-small").eval()
    samples = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
    before = model(torch.from_numpy(samples)[None]).frames["middle.0"]
    input_gradients(model, samples, {"middle.0": [5]}, seed=0)
    after = model(torch.from_numpy(samples)[None]).frames["middle.0"]
    assert torch.equal(before, after)
    assert all(parameter.grad is None for parameter in model.parameters())
