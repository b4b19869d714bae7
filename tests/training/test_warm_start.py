"""Values that the conditions share at the start."""

from dataclasses import replace

import torch

from multires.models.mr_hubert import MultiResHubert
from multires.training.warm_start import warm_start
from tests.training.tiny import RECIPE, config


def test_conditions_share_the_values_of_what_they_have_in_common():
    models = {
        name: MultiResHubert(config(architecture, single_prediction=single), seed=5).state_dict()
        for name, architecture, single in (
            ("mono", "mono", True), ("mono+aux", "mono", False), ("multi", "multi", True), ("multi+aux", "multi", False),
        )
    }  # fmt: skip
    for name, state in models.items():
        for parameter, value in models["mono"].items():
            assert torch.equal(state[parameter], value), (name, parameter)
    plain = MultiResHubert(config(), seed=5).state_dict()
    shared = [name for name in plain if name in models["mono"] and ".layers.1." not in name]
    assert len(shared) > 20
    assert all(torch.equal(plain[name], models["mono"][name]) for name in shared)


def test_the_warm_start_is_the_same_for_every_condition_and_learns(data):
    speech, _ = data
    recipe = replace(RECIPE, warm_steps=3)
    first = warm_start(config("hubert"), speech, recipe, seed=1, progress=False)
    second = warm_start(config("multi"), speech, recipe, seed=1, progress=False)
    assert set(first) == set(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = MultiResHubert(config("hubert"), seed=1).state_dict()
    assert set(first) <= set(start)
    assert any(not torch.equal(first[name], start[name]) for name in first)
    assert warm_start(config(), speech, RECIPE, seed=1, progress=False) == {}
