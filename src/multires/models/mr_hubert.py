"""MR-HuBERT (arXiv 2310.02720): masked unit prediction at several resolutions; HuBERT is its one-block case."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multires.errors import MultiresError, choose
from multires.models.acoustic import BANDS
from multires.models.encoder import (
    LogMelFrontEnd,
    PositionalConvolution,
    Record,
    Regularization,
    Sampler,
    TransformerBlock,
    WaveformEncoder,
    clear_padding,
    resampled,
)
from multires.models.layers import Layer, LayeredModel, LayerOutputs

SAMPLE_RATE = 16_000
"""Hertz; of all waveforms."""

CONVOLUTIONS = ((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2)
"""The published waveform encoder: 400 samples a frame, 320 from frame to frame."""

LOG_MEL_GEOMETRY = ((2 * BANDS, 400, 320),)
"""A log-mel front end as one convolution: its frames have the published waveform encoder's places and number."""


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
        _require(
            self.front_end == "waveform" or self.convolutions == LOG_MEL_GEOMETRY,
            "convolutions", f"{LOG_MEL_GEOMETRY} with a log-mel front end", self.convolutions,
        )  # fmt: skip
        positive = ("width", "heads", "ffn", "sampler_kernel", "conv_pos", "conv_pos_groups", "final_dim")
        for name in positive:
            _require(_is_count(getattr(self, name)), name, "a positive whole number", getattr(self, name))
        _require(
            bool(self.convolutions) and all(len(c) == 3 and all(map(_is_count, c)) for c in self.convolutions),
            "convolutions", "triples of positive whole numbers (channels, kernel, stride)", self.convolutions,
        )  # fmt: skip
        _require(
            all(len(pair) == 2 and all(map(_is_count, pair)) for pair in self.ratios),
            "ratios", "pairs of positive whole numbers (up, down)", self.ratios,
        )  # fmt: skip
        blocks = 2 * len(self.ratios) + 1
        _require(
            len(self.depths) == blocks and all(map(_is_count, self.depths)),
            "depths", f"{blocks} positive whole numbers, one for each block", self.depths,
        )  # fmt: skip
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
            all(map(_is_count, self.classes)) and (len(self.classes) == heads or (not self.ratios and len(self.classes) > 0)),
            "classes", f"{heads} positive whole numbers, one for each head", self.classes,
        )  # fmt: skip
        _require(self.logit_temperature > 0, "logit_temperature", "a positive number", self.logit_temperature)

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
        """Frames of waveforms with so many samples at each resolution, finest first.

        Frame i of the waveform encoder covers samples ``i * hop`` to ``i * hop + receptive_field``, so there are
        ``floor((samples - receptive_field) / hop) + 1``; a sampler from ``(up, down)`` gives ``ceil(n * up / down)``.
        """
        n = samples
        for _, kernel, stride in self.convolutions:
            n = (n - kernel) // stride + 1
        return self.counts_below(n)

    def counts_below(self, frames: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " batch"], ...]:
        """So many frames of the waveform encoder at each resolution, finest first."""
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
            Where a name is unknown or missing, or a value is not what the model needs.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise MultiresError(
                f"unknown model configuration {', '.join(unknown)}: known are {', '.join(sorted(known))}"
            )
        try:
            return cls(**{name: _hashable(value) for name, value in values.items()})
        except TypeError as error:
            raise MultiresError(f"the model configuration is not usable: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _require(condition: bool, name: str, wanted: str, value: object) -> None:
    if not condition:
        raise MultiresError(f"the model's {name} must be {wanted}, not {value!r}")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ResolutionOutput:
    """A resolution's final output, from which its units are predicted.

    Attributes
    ----------
    frames, lengths
        As in `LayerOutputs`.
    mask
        Which frames were masked. At a lower resolution a frame counts as masked where the first frame under it is.
    frame_period
        Seconds.
    """

    frames: Float[Tensor, "batch frames dim"]
    lengths: Int[Tensor, " batch"]
    mask: Bool[Tensor, "batch frames"] | None
    frame_period: float


@dataclass(frozen=True)
class TrainingOutputs:
    """What a training step needs.

    Attributes
    ----------
    resolutions
        Finest first; those beyond the number of heads are not predicted from.
    feature_penalty
        The mean square of the waveform encoder's output before its layer norm, over own frames.
    """

    resolutions: tuple[ResolutionOutput, ...]
    feature_penalty: Float[Tensor, ""]


class MultiResHubert(LayeredModel):
    """Waveform encoder, then Transformer blocks over falling and rising resolutions, U-shaped.

    Each encoder block's output goes down to the next resolution and across to the decoder of its own; the middle
    block's output is added to its input; going up, the matching encoder's output is added to each decoder's.
    Without ratios there is one block and nothing is added: HuBERT (arXiv 2106.07447).

    `layers` are ``conv`` (with a log-mel front end ``input``), the local features z that the layer-wise literature starts from (the waveform encoder's
    frames after layer norm, before the projection to the Transformer's width), then every Transformer layer's output.
    `trace` gives beside them ``projected`` (the Transformer's input), ``down.0``, ``up.0``, ... (each sampler's output,
    in the order of computation) and ``resolution.0``, ... (each resolution's final output, finest first).

    A decoder sees the frames that its upsampler gives, up to one more than the encoder beside it has;
    the surplus is attended to, as in training, but is no frame of the utterance and is left out of the outputs.

    Parameters
    ----------
    config
        The architecture.
    regularization
        Dropout and the like, in training only.
    seed
        Of the initial values, each drawn from the seed and the part's place: models share what they have in common.
    key, description, trained
        As in `LayeredModel`.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        regularization: Regularization | None = None,
        seed: int | None = 0,
        key: str = "untrained",
        description: str = "untrained",
        trained: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.regularization = regularization or Regularization()
        self.key, self.description, self.trained = key, description, trained
        channels = config.convolutions[-1][0]
        self.waveform_encoder: nn.Module = (
            LogMelFrontEnd()
            if config.front_end == "log_mel"
            else WaveformEncoder(config.convolutions, config.extractor_norm, config.conv_bias)
        )
        self.feature_norm = nn.LayerNorm(channels)
        self.projection = nn.Linear(channels, config.width) if channels != config.width else nn.Identity()
        self.mask_embedding = nn.Parameter(torch.empty(config.width))

        n = len(config.ratios)
        position = PositionalConvolution(config.width, config.conv_pos, config.conv_pos_groups)
        self.encoders = nn.ModuleList(
            self._block(config.depths[i], position if i == 0 else None) for i in range(max(n, 1))
        )
        self.middle = self._block(config.depths[n]) if n else None
        self.decoders = nn.ModuleList(self._block(depth) for depth in config.depths[n + 1 :])
        plain = config.plain_samplers
        self.downsamplers = nn.ModuleList(
            Sampler(config.width, config.sampler_kernel, up, down, "down" if plain else None)
            for up, down in config.ratios
        )
        self.upsamplers = nn.ModuleList(
            Sampler(config.width, config.sampler_kernel, down, up, "up" if plain else None)
            for up, down in reversed(config.ratios)
        )
        self.heads = nn.ModuleList(nn.Linear(config.width, config.final_dim) for _ in config.classes)
        self.units = nn.ParameterList(torch.empty(count, config.final_dim) for count in config.classes)
        if seed is not None:
            initialize(self, seed)

    def _block(self, depth: int, position: PositionalConvolution | None = None) -> TransformerBlock:
        config = self.config
        return TransformerBlock(
            depth, config.width, config.heads, config.ffn, config.layer_norm_first, self.regularization, position
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """``conv`` (``input`` with a log-mel front end), then every Transformer layer in the order of computation.

        Frame i of ``conv`` covers samples ``320 i`` to ``320 i + 400`` (published waveform encoder) and is centred
        12.5 ms after the first; a frame at twice the period stands for two of these and is centred between them.
        """
        config = self.config
        center = config.receptive_field / 2 / SAMPLE_RATE
        periods = config.frame_periods
        first = config.first_layer
        found = [Layer(first, first, first, 0, periods[0], config.convolutions[-1][0], center)]
        labels = {"encoder": 0, "middle": 0, "decoder": 0}
        for block, depth, resolution in zip(config.blocks, config.depths, config.block_resolutions, strict=True):
            kind = block.partition(".")[0]
            for index in range(depth):
                labels[kind] += 1
                period = periods[resolution]
                found.append(
                    Layer(
                        f"{block}.{index}", f"{kind[0].upper()}{labels[kind]}", block, len(found), period,
                        config.width, center + (period - periods[0]) / 2,
                    )
                )  # fmt: skip
        return tuple(found)

    @property
    def predicts_from(self) -> tuple[str, ...]:
        """The last layer of the last block of each resolution that has a prediction head, finest first."""
        config = self.config
        heads = 1 if config.single_prediction else len(config.ratios) + 1
        last = {level: (block, depth - 1) for block, depth, level in zip(
            config.blocks, config.depths, config.block_resolutions, strict=True)}  # fmt: skip
        return tuple(f"{last[level][0]}.{last[level][1]}" for level in range(heads))

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """Every layer of a batch of 16 kHz waveforms; `lengths` in samples, all of them full where None.

        Raises
        ------
        MultiresError
            Where a waveform is shorter than one frame or `lengths` do not fit `waveforms`.
        """
        outputs = self.trace(waveforms, lengths)
        names = [layer.name for layer in self.layers]
        return LayerOutputs(
            {name: outputs.frames[name] for name in names}, {name: outputs.lengths[name] for name in names}
        )

    def trace(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """As `forward`, with every place that has a name: layers, samplers and resolutions."""
        frames: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}

        def record(name: str, x: Tensor, n: Tensor) -> None:
            padded = bool((n != x.shape[1]).any())
            size = int(n.max())
            frames[name] = clear_padding(x[:, :size], n) if padded else x
            counts[name] = n

        self._run(waveforms, lengths, None, record)
        return LayerOutputs(frames, counts)

    def predict(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
        mask: Bool[Tensor, "batch frames"] | None = None,
    ) -> TrainingOutputs:
        """Each resolution's final output, with the finest frames in `mask` replaced by the mask embedding."""
        return self._run(waveforms, lengths, mask, lambda name, x, n: None)

    def logits(self, head: int, frames: Float[Tensor, "frames dim"]) -> Float[Tensor, "frames classes"]:
        """Cosine of projected frames to each unit of a head over the temperature, as one matrix product.

        HuBERT, arXiv 2106.07447, equation 3.
        """
        projected = F.normalize(self.heads[head](frames).float(), dim=-1)
        units = F.normalize(self.units[head].float(), dim=-1)
        return projected @ units.T / self.config.logit_temperature

    def predict_from(
        self, features: Float[Tensor, "batch frames channels"], mask: Bool[Tensor, "batch frames"] | None = None
    ) -> TrainingOutputs:
        """As `predict`, from the waveform encoder's frames, none of them padding; for an encoder that is not trained."""
        own = torch.full((len(features),), features.shape[1], device=features.device)
        return self._from_features(features, self.config.counts_below(own), False, mask, lambda name, x, n: None)

    def _run(self, waveforms: Tensor, lengths: Tensor | None, mask: Tensor | None, record: Record) -> TrainingOutputs:
        lengths, padded = self._checked(waveforms, lengths)
        if self.config.normalize_input:
            waveforms = _standardize(waveforms, lengths)
        features = self._features(waveforms, lengths if padded else None)
        return self._from_features(features, self.config.frame_counts(lengths), padded, mask, record)

    def _from_features(
        self, features: Tensor, counts: tuple[Tensor, ...], padded: bool, mask: Tensor | None, record: Record
    ) -> TrainingOutputs:
        config = self.config
        penalty = _own_mean_square(features, counts[0] if padded else None)
        features = self.feature_norm(features.to(self.feature_norm.weight.dtype))
        record(config.first_layer, features, counts[0])
        x = self.projection(features)
        record("projected", x, counts[0])
        x = F.dropout(x, self.regularization.input_dropout, self.training)
        if mask is not None:
            if mask.shape != x.shape[:2]:
                raise MultiresError(f"the mask has shape {tuple(mask.shape)}, the frames {tuple(x.shape[:2])}")
            x = torch.where(mask[..., None], self.mask_embedding.to(x.dtype), x)
        outputs = self._hierarchy(x, counts, padded, record)
        masks = self._masks(mask, [frames.shape[1] for frames in outputs])
        return TrainingOutputs(
            tuple(
                ResolutionOutput(frames, n, m, period)
                for frames, n, m, period in zip(outputs, counts, masks, config.frame_periods, strict=True)
            ),
            penalty,
        )

    def _hierarchy(
        self, x: Tensor, counts: tuple[Tensor, ...], padded: bool, record: Record
    ) -> list[Float[Tensor, "batch frames dim"]]:
        """Down the U and up again; final outputs, finest resolution first."""

        def own(n: Tensor) -> Tensor | None:
            return n if padded else None

        if self.middle is None:
            x = self.encoders[0](x, own(counts[0]), lambda i, y: record(f"encoder.0.{i}", y, counts[0]))
            record("resolution.0", x, counts[0])
            return [x]

        across: list[Tensor] = []
        for level, (encoder, downsampler) in enumerate(zip(self.encoders, self.downsamplers, strict=True)):
            n = counts[level]
            x = encoder(x, own(n), lambda i, y, b=level, n=n: record(f"encoder.{b}.{i}", y, n))
            across.append(x)
            x = downsampler(x, own(n))
            record(f"down.{level}", x, counts[level + 1])

        n = counts[-1]
        x = x + self.middle(x, own(n), lambda i, y: record(f"middle.{i}", y, n))
        outputs = [x]
        record(f"resolution.{len(across)}", x, n)

        for step, (upsampler, decoder) in enumerate(zip(self.upsamplers, self.decoders, strict=True)):
            level = len(across) - 1 - step
            x = upsampler(x, own(n))
            rates = self.config.ratios[level]
            seen = resampled(n, rates[1], rates[0])
            n = torch.minimum(seen, counts[level])
            record(f"up.{step}", x, n)
            x = decoder(x, own(seen), lambda i, y, b=step, n=n: record(f"decoder.{b}.{i}", y, n))
            size = min(x.shape[1], across[level].shape[1])
            x = x[:, :size] + across[level][:, :size]
            outputs.append(x)
            record(f"resolution.{level}", x, n)
        return outputs[::-1]

    def _features(self, waveforms: Tensor, lengths: Tensor | None) -> Tensor:
        scale = self.regularization.feature_gradient
        if scale == 0.0 or self.config.front_end == "log_mel":
            with torch.no_grad():
                return self.waveform_encoder(waveforms, lengths)
        features = self.waveform_encoder(waveforms, lengths)
        # The value is unchanged; only `scale` of the gradient passes.
        return features if scale == 1.0 else features * scale + (features * (1.0 - scale)).detach()

    def _masks(self, mask: Tensor | None, sizes: list[int]) -> list[Tensor | None]:
        if mask is None:
            return [None] * len(sizes)
        masks: list[Tensor | None] = [mask[:, : sizes[0]]]
        for (up, down), size in zip(self.config.ratios, sizes[1:], strict=True):
            mask = mask.repeat_interleave(up, dim=1)[:, ::down][:, :size]
            masks.append(mask)
        return masks

    def _checked(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, bool]:
        if waveforms.ndim != 2 or not waveforms.is_floating_point():
            raise MultiresError(
                f"waveforms must be floating point of shape (batch, samples), not {waveforms.dtype} {tuple(waveforms.shape)}"
            )
        batch, samples = waveforms.shape
        if lengths is None:
            lengths = torch.full((batch,), samples, device=waveforms.device)
        lengths = lengths.to(waveforms.device)
        if lengths.shape != (batch,):
            raise MultiresError(f"lengths must have shape ({batch},), not {tuple(lengths.shape)}")
        shortest, longest = (int(lengths.min()), int(lengths.max())) if batch else (0, 0)
        if longest > samples:
            raise MultiresError(f"a length of {longest} samples exceeds the waveforms' {samples}")
        if shortest < self.config.receptive_field:
            raise MultiresError(
                f"a waveform of {shortest} samples is shorter than one frame of {self.config.receptive_field}: leave it out"
            )
        return lengths, shortest < samples


def _standardize(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Zero mean and unit variance over each utterance's own samples; 1e-5 is added to the variance."""
    own = torch.arange(waveforms.shape[1], device=lengths.device) < lengths[:, None]
    count = lengths[:, None].to(torch.float32)
    x = waveforms.float() * own
    centred = (x - x.sum(1, keepdim=True) / count) * own
    variance = centred.square().sum(1, keepdim=True) / count
    return (centred * torch.rsqrt(variance + 1e-5)).to(waveforms.dtype)


def _own_mean_square(features: Tensor, lengths: Tensor | None) -> Tensor:
    square = clear_padding(features, lengths).float().square()
    return square.mean() if lengths is None else square.sum() / (lengths.sum() * features.shape[2])


def initialize(model: MultiResHubert, seed: int) -> None:
    """Draw every parameter from `seed` and the place where it stands.

    A Transformer layer's place is its depth counted over all blocks, so that the k-th layer of HuBERT and of every
    U-shaped model starts from the same values; other parts go by their name.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            digest = hashlib.sha256(f"{seed}/{_place(name, model.config)}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            _draw(name, parameter, generator)
        for module in model.modules():
            if isinstance(module, PositionalConvolution):
                module.weight_g.copy_(module.weight_v.norm(dim=(0, 1), keepdim=True))


def _place(name: str, config: ModelConfig) -> str:
    for block, first in zip(config.blocks, _first_layers(config.depths), strict=True):
        kind, _, index = block.partition(".")
        prefix = f"{kind}s.{index}.layers." if index else "middle.layers."
        if name.startswith(prefix):
            layer, _, rest = name[len(prefix) :].partition(".")
            return f"layer.{first + int(layer)}.{rest}"
    return name


def _first_layers(depths: tuple[int, ...]) -> list[int]:
    return [sum(depths[:i]) for i in range(len(depths))]


def _draw(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """The initial distributions of fairseq's HuBERT."""
    if name == "mask_embedding" or name.startswith("units."):
        parameter.uniform_(0.0, 1.0, generator=generator)
    elif parameter.ndim == 1:
        parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    elif name.startswith("waveform_encoder."):
        parameter.normal_(0.0, math.sqrt(2.0 / parameter[0].numel()), generator=generator)
    elif name.endswith("weight_v"):
        parameter.normal_(0.0, math.sqrt(4.0 / (parameter.shape[2] * parameter.shape[0])), generator=generator)
    elif ".layers." in name:
        parameter.normal_(0.0, 0.02, generator=generator)
    else:
        bound = 1.0 / math.sqrt(parameter[0].numel())
        parameter.uniform_(-bound, bound, generator=generator)


ARCHITECTURES = ("hubert", "mono", "multi", "multi3")
SIZES = ("small", "base", "large", "xlarge")

_RATIOS: dict[str, tuple[tuple[int, int], ...]] = {
    "hubert": (),
    "mono": ((1, 1),),
    "multi": ((1, 2),),
    "multi3": ((1, 2), (1, 2)),
}
_DEPTHS = {
    "small": {"hubert": (6,), "mono": (2, 2, 2), "multi": (2, 2, 2), "multi3": (1, 1, 2, 1, 1)},
    "base": {"hubert": (12,), "mono": (4, 4, 4), "multi": (4, 4, 4), "multi3": (2, 2, 4, 2, 2)},
    "large": {"hubert": (24,), "mono": (8, 8, 8), "multi": (8, 8, 8), "multi3": (4, 4, 8, 4, 4)},
    "xlarge": {"hubert": (48,), "mono": (16, 16, 16), "multi": (16, 16, 16), "multi3": (8, 8, 16, 8, 8)},
}
_LARGE = {"extractor_norm": "layer", "layer_norm_first": True, "normalize_input": True}
# The first convolutions run at 3,200 and 1,600 frames a second and cost most of a small model: they are kept narrow.
_NARROW = tuple((channels, k, s) for channels, (_, k, s) in zip((32, 64, *(96,) * 5), CONVOLUTIONS, strict=True))
_SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "width": 128, "heads": 4, "ffn": 192, "convolutions": _NARROW,
        "conv_pos": 16, "conv_pos_groups": 8, "final_dim": 64, "layer_norm_first": True,
    },
    "base": {"width": 768, "heads": 12, "ffn": 3072, "final_dim": 256},
    "large": {"width": 1024, "heads": 16, "ffn": 4096, "final_dim": 768, **_LARGE},
    "xlarge": {"width": 1280, "heads": 16, "ffn": 5120, "final_dim": 1024, **_LARGE},
}  # fmt: skip


def shape_name(config: ModelConfig) -> str:
    """What people call the architecture: HuBERT, MR-HuBERT, or the latter without downsampling."""
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
        ``small`` (about a million parameters, for 2 cores), ``base``, ``large`` or ``xlarge`` as published.
    classes
        Units at each resolution; one number serves all.
    changes
        Of `ModelConfig`, such as ``single_prediction=True``.
    """
    choose("architecture", architecture, ARCHITECTURES)
    choose("size", size, SIZES)
    ratios = _RATIOS[architecture]
    heads = 1 if changes.get("single_prediction", False) else len(changes.get("ratios", ratios)) + 1
    values: dict[str, Any] = {
        **_SHAPES[size],
        "ratios": ratios,
        "depths": _DEPTHS[size][architecture],
        "classes": classes if isinstance(classes, tuple) else (classes,) * heads,
    }
    return ModelConfig.from_dict({**values, **changes})


def build_model(
    architecture: str, size: str, *, seed: int = 0, regularization: Regularization | None = None
) -> MultiResHubert:
    """An untrained model in evaluation mode; see `preset` for the names.

    Raises
    ------
    MultiresError
        Where `architecture` or `size` is unknown.
    """
    config = preset(architecture, size)
    names = {"hubert": "HuBERT", "mono": "mono-resolution MR-HuBERT", "multi": "MR-HuBERT", "multi3": "MR-HuBERT (3)"}
    return MultiResHubert(
        config,
        regularization=regularization,
        seed=seed,
        key=f"untrained/{architecture}-{size}",
        description=f"{names[architecture]} {size}, untrained",
    ).eval()


__all__ = ["ARCHITECTURES", "SIZES", "ModelConfig", "MultiResHubert", "build_model", "initialize", "preset"]
