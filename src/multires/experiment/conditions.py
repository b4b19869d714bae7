"""Conditions, sizes and recipes of the controlled experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from multires.errors import MultiresError, choose
from multires.models.config import LOG_MEL_SHAPE, ModelConfig, preset
from multires.training.recipe import Recipe

CONDITIONS: dict[str, tuple[str, bool]] = {
    "hubert": ("hubert", False),
    "mono": ("mono", False),
    "mono+aux": ("mono", True),
    "multi": ("multi", False),
    "multi+aux": ("multi", True),
}
"""Architecture of each condition, and whether it has the auxiliary low-resolution loss."""

CORPORA: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "synthetic": (("train",), ("evaluation",)),
    "librispeech": (("train-clean-100",), ("test-other",)),
}
"""Training and evaluation splits by corpus."""


@dataclass(frozen=True)
class Targets:
    """Features whose clusters are the units to predict.

    Attributes
    ----------
    model
        ``mfcc``, or any name that `load_model` takes.
    layer
        The model's layer; ignored for ``mfcc``.
    padded
        Whether audio is padded to 30 s for Whisper's encoder. Without padding, units are computed several times faster.
    """

    model: str = "mfcc"
    layer: str = ""
    padded: bool = False


@dataclass(frozen=True)
class Size:
    """Model size, recipe and evaluation settings of an experiment.

    Attributes
    ----------
    recipe
        Recipe of all conditions.
    shape
        Fields of `ModelConfig` that replace those of the preset ``small``.
    hours
        Total hours of synthetic speech, for training and evaluation together.
    targets
        Features whose clusters are predicted. All conditions and seeds predict the same units.
    evaluation
        Fields of `multires.experiment.speakers.Settings`, and `utterances`, the most of each speaker.
    """

    recipe: Recipe
    shape: Mapping[str, Any] = field(default_factory=dict)
    hours: float = 3.0
    targets: Targets = Targets()
    evaluation: Mapping[str, Any] = field(default_factory=dict)


SIZES: dict[str, Size] = {
    "smoke": Size(
        Recipe(steps=10, batch_seconds=6, crop_seconds=1.2, classes=10, warm_steps=2, log_every=2, held_out_batches=1),
        {"width": 16, "heads": 2, "ffn": 16, "final_dim": 8, "conv_pos": 4, "conv_pos_groups": 2, "classes": 10,
         "convolutions": tuple((8, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2))},
        hours=0.05,
        evaluation={"utterances": 4, "windows": 200, "clusters": 5, "steps": (5,)},
    ),
    "cpu": Size(
        Recipe(steps=3_125, batch_seconds=16, crop_seconds=5, learning_rate=3e-3, mask_probability=0.5,
               unmasked_weight=1.0, warm_steps=0, log_every=250, held_out_batches=8, precision="bfloat16"),
        LOG_MEL_SHAPE,
    ),
    "gpu": Size(
        Recipe(steps=20_000, batch_seconds=240, warm_steps=1_500, log_every=200, held_out_batches=4), hours=10.0
    ),
}  # fmt: skip
"""``smoke`` takes seconds and only tests the program; ``cpu`` is the controlled experiment; ``gpu`` is meant for one GPU."""


def condition_config(condition: str, size: Size) -> ModelConfig:
    """Configuration of a condition; conditions of one architecture differ only in the second prediction head."""
    architecture, auxiliary = CONDITIONS[choose("condition", condition, tuple(CONDITIONS))]
    shape = {name: value for name, value in size.shape.items() if name != "classes"}
    single = architecture != "hubert" and not auxiliary
    return preset(architecture, "small", classes=size.recipe.classes, single_prediction=single, **shape)


def changed(
    size: Size,
    *,
    steps: int | None = None,
    teacher: Targets | tuple[str, str] | None = None,
    classes: int | None = None,
    recipe: Sequence[str] = (),
) -> Size:
    """A size with some of its recipe, or its targets, replaced; `recipe` as in `recipe_changes`."""
    asked: dict[str, Any] = {"steps": steps, "classes": classes}
    given = {name: value for name, value in asked.items() if value is not None}
    targets = Targets(*teacher) if isinstance(teacher, tuple) else teacher
    changes = {**recipe_changes(recipe), **given}
    return replace(size, recipe=replace(size.recipe, **changes), targets=targets or size.targets)


def recipe_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Fields of a `Recipe` from texts of the form ``name=value``.

    Raises
    ------
    MultiresError
        For an unknown field, a field named twice, or a value that is not of the field's type.

    Examples
    --------
    >>> recipe_changes(["auxiliary_weight=2", "precision=float32"])
    {'auxiliary_weight': 2.0, 'precision': 'float32'}
    """
    kinds = {each.name: type(each.default) for each in fields(Recipe) if isinstance(each.default, int | float | str)}
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, _, value = (part.strip() for part in assignment.partition("="))
        choose("recipe", name, tuple(kinds))
        if name in found:
            raise MultiresError(f"recipe: {name} is given twice")
        try:
            found[name] = kinds[name](value)
        except ValueError as error:
            noun = "a whole number" if kinds[name] is int else "a number"
            raise MultiresError(f"recipe: {name} must be {noun}, not {value!r}") from error
    return found
