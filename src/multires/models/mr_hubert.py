"""MR-HuBERT (arXiv 2310.02720): masked unit prediction at several resolutions; HuBERT is its one-block case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multires.errors import MultiresError
from multires.models.condition import Condition, Targets, condition_of
from multires.models.config import SAMPLE_RATE, ModelConfig, preset
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
from multires.models.initialization import initialize
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.models.moments import BandMoments, Moments, MomentsGatherer, standardized


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
    """Outputs for a training step.

    Attributes
    ----------
    resolutions
        Finest first; those beyond the number of heads are not predicted from.
    feature_penalty
        The mean square of the waveform encoder's output before its layer norm, over own frames.
    """

    resolutions: tuple[ResolutionOutput, ...]
    feature_penalty: Float[Tensor, ""]


@dataclass(frozen=True)
class Whole:
    """Statistics of a whole recording that normalization over time needs.

    Attributes
    ----------
    moments
        Of the waveform.
    bands
        Of the log-mel bands; None with a waveform encoder.
    """

    moments: Moments
    bands: BandMoments | None


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

    Attributes
    ----------
    targets
        The units that it learned, where its checkpoint names them.
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
        self.targets: Targets | None = None
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
            initialize(self, config, seed)

    def _block(self, depth: int, position: PositionalConvolution | None = None) -> TransformerBlock:
        config = self.config
        return TransformerBlock(
            depth, config.width, config.heads, config.ffn, config.layer_norm_first, self.regularization, position
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """``conv`` (``input`` with a log-mel front end), then every Transformer layer in the order of computation.

        Frame i of ``conv`` covers samples ``320 i`` to ``320 i + 400`` (published waveform encoder) and is centered
        12.5 ms after the first; a frame at twice the period represents two of these and is centered between them.
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
    def condition(self) -> Condition:
        """The cell of the experiment that the model's own configuration puts it into, and the evidence."""
        return condition_of(self.config, self.targets)

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
            If a waveform is shorter than one frame or `lengths` do not fit `waveforms`.
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

    def measure(self, blocks: Callable[[], Iterable[Float[np.ndarray, " samples"]]]) -> Whole:
        """Moments over the whole recording of the waveform and, with a log-mel front end, of the bands."""
        _, kernel, stride = self.config.convolutions[0]
        gatherer = MomentsGatherer(kernel, stride)
        for block in blocks():
            gatherer.push(block)
        moments = gatherer.finish()
        if not isinstance(self.waveform_encoder, LogMelFrontEnd):
            return Whole(moments, None)
        bands = self.waveform_encoder.gatherer()
        for block in blocks():
            bands.push(standardized(block, moments) if self.config.normalize_input else block)
        return Whole(moments, bands.finish())

    def part(self, waveforms: Float[Tensor, "batch samples"], whole: Whole) -> LayerOutputs:
        """As `forward`, of a part of a recording: normalized over time as the whole is, before the Transformer."""
        frames: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}

        def record(name: str, x: Tensor, n: Tensor) -> None:
            frames[name], counts[name] = x[:, : int(n.max())], n

        self._run(waveforms, None, None, record, whole)
        names = [layer.name for layer in self.layers]
        return LayerOutputs({name: frames[name] for name in names}, {name: counts[name] for name in names})

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

    def _run(
        self,
        waveforms: Tensor,
        lengths: Tensor | None,
        mask: Tensor | None,
        record: Record,
        whole: Whole | None = None,
    ) -> TrainingOutputs:
        lengths, padded = self._checked(waveforms, lengths)
        if self.config.normalize_input and whole is not None:
            waveforms = standardized(waveforms, whole.moments)
            whole = Whole(whole.moments.standardized(), whole.bands)
        elif self.config.normalize_input:
            waveforms = _standardize(waveforms, lengths)
        features = self._features(waveforms, lengths if padded else None, whole)
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

    def _features(self, waveforms: Tensor, lengths: Tensor | None, whole: Whole | None) -> Tensor:
        scale = self.regularization.feature_gradient
        known = None if whole is None else whole.bands or whole.moments
        if scale == 0.0 or self.config.front_end == "log_mel":
            with torch.no_grad():
                return self.waveform_encoder(waveforms, lengths, known)
        features = self.waveform_encoder(waveforms, lengths, known)
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
    centered = (x - x.sum(1, keepdim=True) / count) * own
    variance = centered.square().sum(1, keepdim=True) / count
    return (centered * torch.rsqrt(variance + 1e-5)).to(waveforms.dtype)


def _own_mean_square(features: Tensor, lengths: Tensor | None) -> Tensor:
    square = clear_padding(features, lengths).float().square()
    return square.mean() if lengths is None else square.sum() / (lengths.sum() * features.shape[2])


def build_model(
    architecture: str, size: str, *, seed: int = 0, regularization: Regularization | None = None
) -> MultiResHubert:
    """An untrained model in evaluation mode; see `preset` for the names.

    Raises
    ------
    MultiresError
        If `architecture` or `size` is unknown.
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


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a model, by name; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(p.shape) for name, p in MultiResHubert(config, seed=None).named_parameters()}
