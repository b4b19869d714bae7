"""Recipes that are refused, and the learning rate by step."""

from dataclasses import replace

import numpy as np
import pytest

from multires.errors import MultiresError
from multires.training.recipe import Recipe
from tests.training.tiny import RECIPE


@pytest.mark.parametrize(
    ("change", "words"),
    [({"steps": 0}, "steps must be above 0"), ({"schedule": "flat"}, "unknown schedule"),
     ({"dropout": 1.5}, "dropout must be between"), ({"crop_seconds": 0.1}, "two masked spans")],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_refused(change, words):
    with pytest.raises(MultiresError, match=words):
        replace(RECIPE, **change)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_rises_then_falls_to_nothing(schedule):
    recipe = Recipe(steps=1000, warmup=0.1, learning_rate=1.0, schedule=schedule)
    rates = np.array([recipe.rate_at(i) for i in range(1000)])
    assert rates.argmax() in (99, 100)
    assert rates.max() == pytest.approx(1.0)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[101:]) < 0).all()
    assert rates[550] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.01
