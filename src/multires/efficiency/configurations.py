"""Architectures whose costs are compared: the published ones and what-ifs."""

from __future__ import annotations

from typing import Any

from multires.errors import choose
from multires.models.config import SIZES, ModelConfig, preset

MODELS = ("hubert", "mono", "multi")
"""Measured in every setting: HuBERT, the control that never downsamples, and MR-HuBERT."""

CONTROL = "mono"
"""The same modules as MR-HuBERT at 20 ms throughout; ratios to it are the effect of downsampling alone."""

FACTORS = (2, 4, 8)
"""Downsampling factors of the what-ifs."""

_PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "2-4-6": ("multi", {"depths": (2, 4, 6)}),
    "5-2-5": ("multi", {"depths": (5, 2, 5)}),
    "6-4-2": ("multi", {"depths": (6, 4, 2)}),
    "3-3-3": ("multi", {"depths": (3, 3, 3)}),
    "mono 3-3-3": ("mono", {"depths": (3, 3, 3)}),
    "plain samplers": ("multi", {"plain_samplers": True}),
    "3-2-2-2-3": ("multi3", {"depths": (3, 2, 2, 2, 3)}),
    "2-2-2-2-2": ("multi3", {"depths": (2, 2, 2, 2, 2)}),
}
"""The base models among the published ablations (arXiv 2310.02720, appendix B) whose shape differs from MR-HuBERT's."""


def configurations(size: str = "base", extended: bool = False) -> dict[str, ModelConfig]:
    """The architectures that are compared, by name.

    ``hubert``, ``mono`` (the control), ``multi`` and ``multi3`` at any size, and every published ablation of another
    shape at ``base``, the size at which they were published.

    Parameters
    ----------
    size
        As in `multires.models.preset`.
    extended
        Also what nobody trained: ``downsample 4``, ``downsample 8`` (MR-HuBERT with that factor) and
        ``downsample F, K low`` for every factor F and K of the layers at the low resolution. K goes up to all layers
        but two: the U shape needs one before and one after. (`efficiency_table` counts beyond, up to all layers.)

    Raises
    ------
    MultiresError
        If `size` is unknown.
    """
    choose("size", size, SIZES)
    found = {name: preset(name, size) for name in (*MODELS, "multi3")}
    if size == "base":
        found |= {name: preset(base, size, **changes) for name, (base, changes) in _PUBLISHED.items()}
    if extended:
        found |= {f"downsample {f}": preset("multi", size, ratios=((1, f),)) for f in FACTORS[1:]}
        layers = sum(found["multi"].depths)
        for factor in FACTORS:
            for low in range(1, layers - 1):
                first = (layers - low + 1) // 2
                depths = (first, low, layers - low - first)
                name = f"downsample {factor}, {low} low"
                found[name] = preset("multi", size, ratios=((1, factor),), depths=depths)
    return found


def what_if(config: ModelConfig) -> dict[str, Any]:
    """Downsampling factor and layers at the low resolution, where there is one low resolution."""
    if len(config.ratios) != 1 or config.plain_samplers:
        return {}
    up, down = config.ratios[0]
    return {"factor": down // up, "low_layers": config.depths[1], "layers_total": sum(config.depths)}
