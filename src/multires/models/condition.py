"""The cell of the 2 x 2 (downsampling x auxiliary loss) that a model belongs to, from its own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multires.errors import MultiresError
from multires.models.config import ModelConfig


@dataclass(frozen=True)
class Targets:
    """The units that a checkpoint learned, as its configuration names them.

    Attributes
    ----------
    labels
        Names of the label sets, such as ``layer9.km500``.
    rate
        Labels per second; 0 if unknown.
    folder
        Last part of the folder that held them.
    """

    labels: tuple[str, ...]
    rate: float
    folder: str

    def __str__(self) -> str:
        names = ", ".join(self.labels) or "unnamed units"
        rate = f" at {self.rate:g} Hz" if self.rate else ""
        return f"{names}{rate}" + (f" from {self.folder}" if self.folder else "")


@dataclass(frozen=True)
class Condition:
    """A model's place in the experiment.

    Attributes
    ----------
    architecture
        ``hubert`` (one block), ``mono`` (U-shaped, one frame period), ``multi`` (two frame periods), ``multi3`` (three).
    auxiliary_loss
        Whether training predicts units below the finest resolution too; never for ``hubert``.
    evidence
        The options that say so.
    targets
        The units that were learned, where the file names them.
    """

    architecture: str
    auxiliary_loss: bool
    evidence: str
    targets: Targets | None = None

    @property
    def cell(self) -> str:
        """``hubert``, ``mono``, ``mono+aux``, ``multi``, ``multi+aux``, ``multi3``, ``multi3+aux``."""
        return f"{self.architecture}+aux" if self.auxiliary_loss else self.architecture


def condition_of(config: ModelConfig, targets: Targets | None = None) -> Condition:
    """The condition that a configuration describes.

    Examples
    --------
    >>> from multires.models import preset
    >>> condition_of(preset("multi", "base", single_prediction=True)).cell
    'multi'
    """
    periods = len(set(config.frame_periods))
    architecture = (
        "hubert" if not config.ratios else "mono" if periods == 1 else "multi" if periods == 2 else f"multi{periods}"
    )
    layers = "-".join(map(str, config.depths))
    units = "/".join(map(str, config.classes))
    if config.ratios:
        options = (
            f"label_rate_ratios {[rate for pair in config.ratios for rate in pair]}, "
            f"use_single_prediction {_spelled(config.single_prediction)}, "
            f"use_single_target {_spelled(config.single_target)}, layers {layers}, {units} units"
        )
    else:
        options = f"no label_rate_ratios, layers {layers}, {units} units"
    evidence = options if targets is None else f"{options} ({targets})"
    return Condition(architecture, bool(config.ratios) and not config.single_prediction, evidence, targets)


def check_published(found: Mapping[str, tuple[Condition, tuple[int, ...]]], expected: Mapping[str, str]) -> None:
    """Refuse published checkpoints that do not form the comparison they are chosen for.

    Parameters
    ----------
    found
        Condition and number of units of each head, by model.
    expected
        The cell that each model is expected in; models without one are not checked.

    Raises
    ------
    MultiresError
        If a checkpoint's own configuration puts it into another cell, or two U-shaped models learned other units,
        as models of different iterations do.
    """
    first: tuple[str, tuple[object, ...]] | None = None
    for key, cell in expected.items():
        if key not in found:
            continue
        condition, classes = found[key]
        if condition.cell != cell:
            raise MultiresError(
                f"{key} is expected to be the cell {cell}, and its own configuration makes it {condition.cell} "
                f"({condition.evidence}): leave it out of models, or name the checkpoint of that cell"
            )
        if condition.architecture == "hubert" or condition.targets is None:
            continue
        learned = (condition.targets.labels[:1], condition.targets.rate, classes[0])
        if first is None:
            first = (key, learned)
        elif learned != first[1]:
            other = found[first[0]][0]
            raise MultiresError(
                f"{key} and {first[0]} learned different units ({condition.targets}, {classes[0]} of them; "
                f"{other.targets}, {found[first[0]][1][0]} of them): checkpoints of different iterations cannot be "
                "compared as cells of one experiment, so leave one out of models"
            )


def _spelled(value: bool) -> str:
    return "true" if value else "false"
