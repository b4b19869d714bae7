"""Configurations of HuBERT and MR-HuBERT, and presets."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, Literal

from jaxtyping import Int
from torch import Tensor

from multires.errors import MultiresError, choose
from multires.models.acoustic import BANDS
from multires.models.encoder import resampled

SAMPLE_RATE = 16_000
"""Hertz; of all waveforms."""

CONVOLUTIONS = ((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2)
"""The published waveform encoder: 400 samples a frame, 320 from frame to frame."""

LOG_MEL_GEOMETRY = ((2 * BANDS, 400, 320),)
"""A log-mel front end as one convolution: its frames have the published waveform encoder's places and number."""


LARGEST, LONGEST, DEEPEST = 1_000_000, 64, 512
"""Bounds on what a configuration may ask for: any number, any list, and layers in all. Published models have up to 48."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that a model's shape and arithmetic need.

    Attributes
    ----------
    front_end
        ``waveform``: frames from strided convolutions over samples (HuBERT). ``log_mel``: two stacked 10 ms log-mel
        frames, without parameters (MelHuBERT, arXiv 2211.09944; see `LogMelFrontEnd`); `convolutions` must then be
        `LOG_MEL_GEOMETRY`.
    convolutions
        ``(channels, kernel, stride)`` of the waveform encoder.
    extractor_norm
        ``group`` (first convolution only, over time) or ``layer`` (every convolution, over channels).
    conv_bias
        Whether those convolutions have biases.
    width, heads, ffn
        Of a Transformer layer.
    depths
        Layers of each block in the order of computation: encoders, middle, decoders.
    ratios
        ``(up, down)`` from each resolution to the next lower; ``((1, 2),)`` is 20 and 40 ms, ``((1, 1),)`` keeps
        20 ms, none is HuBERT.
    layer_norm_first
        Normalize before attention and feed-forward, not after.
    plain_samplers, sampler_kernel
        The plain kind of up- and downsampling; the kernel of their convolutions.
    normalize_input
        Bring each waveform to zero mean and unit variance.
    conv_pos, conv_pos_groups
        Kernel and groups of the positional convolution.
    single_prediction
        No prediction, hence no loss, below the finest resolution.
    single_target
        One stream of targets serves every resolution.
    classes
        Units predicted by each head: one head a resolution, finest first (HuBERT: one for each label set).
    final_dim
        Of the space in which frames and units are compared.
    logit_temperature
        Divides the cosines.
    """

    width: int
    heads: int
    ffn: int
    depths: tuple[int, ...]
    ratios: tuple[tuple[int, int], ...] = ()
    front_end: Literal["waveform", "log_mel"] = "waveform"
    convolutions: tuple[tuple[int, int, int], ...] = CONVOLUTIONS
    extractor_norm: str = "group"
    conv_bias: bool = False
    layer_norm_first: bool = False
    plain_samplers: bool = False
    sampler_kernel: int = 1
    normalize_input: bool = False
    conv_pos: int = 128
    conv_pos_groups: int = 16
    single_prediction: bool = False
    single_target: bool = False
    classes: tuple[int, ...] = (500,)
    final_dim: int = 256
    logit_temperature: float = 0.1

    def __post_init__(self) -> None:
        choose("extractor_norm", self.extractor_norm, ("group", "layer"))
        choose("front_end", self.front_end, ("waveform", "log_mel"))
        for name in ("conv_bias", "layer_norm_first", "plain_samplers", "normalize_input", "single_prediction",
                     "single_target"):  # fmt: skip
            _require(isinstance(getattr(self, name), bool), name, "true or false", getattr(self, name))
        for name in ("width", "heads", "ffn", "sampler_kernel", "conv_pos", "conv_pos_groups", "final_dim"):
            _require(_is_count(getattr(self, name)), name, f"a whole number from 1 to {LARGEST}", getattr(self, name))
        _require(
            _are_counts(self.convolutions, LONGEST, 3),
            "convolutions", f"1 to {LONGEST} triples of positive whole numbers (channels, kernel, stride)",
            self.convolutions,
        )  # fmt: skip
        _require(
            self.ratios == () or _are_counts(self.ratios, LONGEST // 2, 2),
            "ratios", f"at most {LONGEST // 2} pairs of positive whole numbers (up, down)", self.ratios,
        )  # fmt: skip
        _require(
            self.front_end == "waveform" or self.convolutions == LOG_MEL_GEOMETRY,
            "convolutions", f"{LOG_MEL_GEOMETRY} with a log-mel front end", self.convolutions,
        )  # fmt: skip
        blocks = 2 * len(self.ratios) + 1
        _require(
            _are_counts(self.depths, LONGEST + 1) and len(self.depths) == blocks,
            "depths", f"{blocks} positive whole numbers, one for each block", self.depths,
        )  # fmt: skip
        _require(sum(self.depths) <= DEEPEST, "depths", f"at most {DEEPEST} layers in all", self.depths)
        _require(
            self.sampler_kernel % 2 == 1, "sampler_kernel", "odd, so that frames keep their places", self.sampler_kernel
        )
        _require(self.width % self.heads == 0, "heads", f"a divisor of width {self.width}", self.heads)
        _require(
            self.width % self.conv_pos_groups == 0,
            "conv_pos_groups", f"a divisor of width {self.width}", self.conv_pos_groups,
        )  # fmt: skip
        _require(
            not self.plain_samplers or all(up == 1 for up, _ in self.ratios),
            "ratios", "(1, n) with plain samplers", self.ratios,
        )  # fmt: skip
        heads = 1 if self.single_prediction else len(self.ratios) + 1
        _require(
            _are_counts(self.classes, LONGEST) and (len(self.classes) == heads or not self.ratios),
            "classes", f"{heads} positive whole numbers, one for each head", self.classes,
        )  # fmt: skip
        temperature = self.logit_temperature
        _require(
            isinstance(temperature, int | float) and not isinstance(temperature, bool) and 0 < temperature < math.inf,
            "logit_temperature", "a positive number", temperature,
        )  # fmt: skip

    @property
    def first_layer(self) -> str:
        """The name of the layer before the Transformer: ``conv``, or ``input`` with a log-mel front end."""
        return "conv" if self.front_end == "waveform" else "input"

    @property
    def hop(self) -> int:
        """Samples from one frame of the waveform encoder to the next."""
        return math.prod(stride for _, _, stride in self.convolutions)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame of the waveform encoder covers."""
        field, hop = 1, 1
        for _, kernel, stride in self.convolutions:
            field += (kernel - 1) * hop
            hop *= stride
        return field

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks in the order of computation."""
        n = len(self.ratios)
        if n == 0:
            return ("encoder.0",)
        return (*(f"encoder.{i}" for i in range(n)), "middle", *(f"decoder.{i}" for i in range(n)))

    @property
    def frame_periods(self) -> tuple[float, ...]:
        """Seconds per frame at each resolution, finest first."""
        return tuple(float(Fraction(self.hop, SAMPLE_RATE) * scale) for scale in self._scales)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """The resolution of each block, 0 the finest."""
        n = len(self.ratios)
        return (*range(n), n, *reversed(range(n)))

    @property
    def _scales(self) -> tuple[Fraction, ...]:
        scales = [Fraction(1)]
        for up, down in self.ratios:
            scales.append(scales[-1] * Fraction(down, up))
        return tuple(scales)

    def frame_counts(self, samples: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " batch"], ...]:
        """Number of frames at each resolution, finest first, for waveforms of the given numbers of samples.

        Frame i of the waveform encoder covers samples ``i * hop`` to ``i * hop + receptive_field``, so there are
        ``floor((samples - receptive_field) / hop) + 1``; a sampler from ``(up, down)`` gives ``ceil(n * up / down)``.
        """
        n = samples
        for _, kernel, stride in self.convolutions:
            n = (n - kernel) // stride + 1
        return self.counts_below(n)

    def counts_below(self, frames: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " batch"], ...]:
        """Number of frames at each resolution, finest first, from that of the waveform encoder."""
        counts = [frames]
        for up, down in self.ratios:
            counts.append(resampled(counts[-1], up, down))
        return tuple(counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The configuration that `to_dict` gave.

        Raises
        ------
        MultiresError
            If a name is unknown or missing, or a value is not what the model needs.
        """
        if not isinstance(values, Mapping):
            raise MultiresError(
                f"a model configuration must be a mapping of names to values, not {reprlib.repr(values)}"
            )
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise MultiresError(
                f"unknown model configuration {reprlib.repr(unknown)}: known are {', '.join(sorted(known))}"
            )
        try:
            return cls(**{name: _hashable(value) for name, value in values.items()})
        except TypeError as error:
            raise MultiresError(f"the model configuration is not usable: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST


def _are_counts(values: object, most: int, each: int | None = None) -> bool:
    """True if `values` is a tuple of 1 to `most` counts, or of tuples of `each` counts."""
    if not isinstance(values, tuple) or not 0 < len(values) <= most:
        return False
    if each is None:
        return all(map(_is_count, values))
    return all(isinstance(item, tuple) and len(item) == each and all(map(_is_count, item)) for item in values)


def _require(condition: bool, name: str, wanted: str, value: object) -> None:
    if not condition:
        raise MultiresError(f"the model's {name} must be {wanted}, not {reprlib.repr(value)}")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list | tuple) else value


ARCHITECTURES = ("hubert", "mono", "multi", "multi3")
SIZES = ("small", "base", "large", "xlarge")

PRESETS = ("small", "mel", *SIZES[1:])
"""Sizes, and ``mel``: that of the models in the package, which read log-mel frames."""

_RATIOS: dict[str, tuple[tuple[int, int], ...]] = {
    "hubert": (),
    "mono": ((1, 1),),
    "multi": ((1, 2),),
    "multi3": ((1, 2), (1, 2)),
}
_SMALL_DEPTHS = {"hubert": (6,), "mono": (2, 2, 2), "multi": (2, 2, 2), "multi3": (1, 1, 2, 1, 1)}
_DEPTHS = {
    "small": _SMALL_DEPTHS,
    "mel": _SMALL_DEPTHS,
    "base": {"hubert": (12,), "mono": (4, 4, 4), "multi": (4, 4, 4), "multi3": (2, 2, 4, 2, 2)},
    "large": {"hubert": (24,), "mono": (8, 8, 8), "multi": (8, 8, 8), "multi3": (4, 4, 8, 4, 4)},
    "xlarge": {"hubert": (48,), "mono": (16, 16, 16), "multi": (16, 16, 16), "multi3": (8, 8, 16, 8, 8)},
}
_LARGE = {"extractor_norm": "layer", "layer_norm_first": True, "normalize_input": True}
# The first convolutions run at 3,200 and 1,600 frames a second and cost most of a small model: they are kept narrow.
_NARROW = tuple((channels, k, s) for channels, (_, k, s) in zip((32, 64, *(96,) * 5), CONVOLUTIONS, strict=True))
LOG_MEL_SHAPE: dict[str, Any] = {
    "front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY, "width": 192, "heads": 4, "ffn": 704, "conv_pos": 32,
    "conv_pos_groups": 16, "final_dim": 96,
}  # fmt: skip
"""Fields of 2.8 million parameters on log-mel frames: the size of the controlled experiment on 2 cores."""

_SMALL: dict[str, Any] = {
    "width": 128, "heads": 4, "ffn": 192, "convolutions": _NARROW, "conv_pos": 16, "conv_pos_groups": 8,
    "final_dim": 64, "layer_norm_first": True,
}  # fmt: skip
_SHAPES: dict[str, dict[str, Any]] = {
    "small": _SMALL,
    "mel": {**_SMALL, **LOG_MEL_SHAPE},
    "base": {"width": 768, "heads": 12, "ffn": 3072, "final_dim": 256},
    "large": {"width": 1024, "heads": 16, "ffn": 4096, "final_dim": 768, **_LARGE},
    "xlarge": {"width": 1280, "heads": 16, "ffn": 5120, "final_dim": 1024, **_LARGE},
}  # fmt: skip


def shape_name(config: ModelConfig) -> str:
    """Usual name of the architecture: HuBERT, MR-HuBERT, or the latter without downsampling."""
    if not config.ratios:
        return "HuBERT"
    return "MR-HuBERT" if len(set(config.frame_periods)) > 1 else "MR-HuBERT without downsampling"


def preset(architecture: str, size: str, *, classes: int | tuple[int, ...] = 100, **changes: Any) -> ModelConfig:
    """The configuration of an architecture at a size, with fields changed by name.

    Parameters
    ----------
    architecture
        ``hubert`` (20 ms, one block), ``mono`` (20 / 20 / 20 ms, U-shaped), ``multi`` (20 / 40 / 20 ms) or
        ``multi3`` (20 / 40 / 80 / 40 / 20 ms). ``mono`` and ``multi`` have the same parameters.
    size
        ``small`` (about a million parameters, for 2 cores), ``mel`` (as the models in the package, on log-mel frames),
        ``base``, ``large`` or ``xlarge`` as published.
    classes
        Units at each resolution; one number serves all.
    changes
        Of `ModelConfig`, such as ``single_prediction=True``.
    """
    choose("architecture", architecture, ARCHITECTURES)
    choose("size", size, PRESETS)
    ratios = _RATIOS[architecture]
    heads = 1 if changes.get("single_prediction", False) else len(changes.get("ratios", ratios)) + 1
    values: dict[str, Any] = {
        **_SHAPES[size],
        "ratios": ratios,
        "depths": _DEPTHS[size][architecture],
        "classes": classes if isinstance(classes, tuple) else (classes,) * heads,
    }
    return ModelConfig.from_dict({**values, **changes})
