"""The parts of a HuBERT-like model: waveform encoder, positional convolution, Transformer block and samplers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multires.models.acoustic import LogMel
from multires.models.moments import BandGatherer, BandMoments, Moments
from multires.runtime.products import Linear, attention, product

Record = Callable[[str, Tensor, Tensor], None]
"""Receives a name, frames ``(batch, frames, dim)`` and lengths ``(batch,)`` of each place that a model passes."""


@dataclass(frozen=True)
class Regularization:
    """Dropout and gradient scaling, in training only; none by default.

    Attributes
    ----------
    dropout
        After the attention, after the feed-forward layer, and on each block's input.
    attention_dropout, activation_dropout
        On the attention weights, and inside the feed-forward layer.
    input_dropout
        On the projected features.
    layerdrop
        The probability of skipping a layer.
    feature_gradient
        Multiplies the gradient into the waveform encoder; 0 freezes it.
    """

    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    input_dropout: float = 0.0
    layerdrop: float = 0.0
    feature_gradient: float = 1.0


def own_frames(lengths: Int[Tensor, " batch"], size: int) -> Bool[Tensor, "batch size"]:
    """True where a frame belongs to its utterance."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def resampled(frames: Int[Tensor, " batch"], up: int, down: int) -> Int[Tensor, " batch"]:
    """Frames that a sampler returns: ``ceil(frames * up / down)``."""
    return -(-frames * up // down)


def clear_padding(x: Float[Tensor, "batch frames dim"], lengths: Int[Tensor, " batch"] | None) -> Tensor:
    """The same frames with zeros after each utterance's end; nothing to do where `lengths` is None."""
    return x if lengths is None else x * own_frames(lengths, x.shape[1])[..., None].to(x.dtype)


def group_norm(
    x: Float[Tensor, "batch channels time"],
    norm: nn.GroupNorm,
    lengths: Int[Tensor, " batch"] | None,
) -> Float[Tensor, "batch channels time"]:
    """Group normalization in float32 whose statistics over time leave the padding out.

    Wu and He (arXiv 1803.08494, equation 1), over each utterance's own `lengths`; None where nothing is padded.
    """
    if lengths is None:
        return F.group_norm(x.float(), norm.num_groups, norm.weight.float(), norm.bias.float(), norm.eps).to(x.dtype)
    batch, channels, time = x.shape
    own = own_frames(lengths, time)[:, None, :]
    grouped = (x.float() * own).reshape(batch, norm.num_groups, -1)
    count = (lengths * (channels // norm.num_groups)).to(grouped.dtype)[:, None, None]
    mean = grouped.sum(-1, keepdim=True) / count
    own = own.expand(batch, channels, time).reshape(batch, norm.num_groups, -1)
    centered = (grouped - mean) * own
    variance = centered.square().sum(-1, keepdim=True) / count
    normalized = (centered * torch.rsqrt(variance + norm.eps)).reshape(batch, channels, time)
    return (normalized * norm.weight[:, None].float() + norm.bias[:, None].float()).to(x.dtype)


class WaveformEncoder(nn.Module):
    """Strided convolutions from samples to frames, GELU after each (wav2vec 2.0, arXiv 2006.11477, section 2).

    The one statistic over time, group norm after the first convolution, follows from the waveform's own second
    moments; with it known, everything is local, and is computed piece by piece as matrix products that stay in the
    processor's cache.

    Parameters
    ----------
    convolutions
        ``(channels, kernel, stride)`` of each.
    norm
        ``group``: each channel normalized over time after the first convolution only;
        ``layer``: each frame normalized over channels after every convolution.
    bias
        Whether the convolutions have one.
    """

    PIECE = 256
    """Output frames computed at a time on a CPU."""

    def __init__(self, convolutions: Sequence[tuple[int, int, int]], norm: str, bias: bool) -> None:
        super().__init__()
        self.shapes = tuple(convolutions)
        inputs = [1, *(channels for channels, _, _ in convolutions)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, channels, kernel, stride, bias=bias)
            for before, (channels, kernel, stride) in zip(inputs, convolutions, strict=False)
        )
        self.norm = norm
        self.norms = nn.ModuleList(
            nn.LayerNorm(channels) if norm == "layer" else nn.GroupNorm(channels, channels)
            for channels, _, _ in (convolutions if norm == "layer" else convolutions[:1])
        )

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None,
        moments: Moments | None = None,
    ) -> Float[Tensor, "batch frames channels"]:
        """Frames of a batch of waveforms; `lengths` in samples, None where nothing is padded.

        `moments` are those of the whole recordings of which the waveforms are parts; by default, of the waveforms.
        """
        waveforms = waveforms.float()
        weight, bias = self._first(waveforms, lengths, moments)
        weights = self._taps()
        frames, hop, field = waveforms.shape[1], 1, 1
        for _, kernel, stride in self.shapes:
            frames = (frames - kernel) // stride + 1
            field, hop = field + (kernel - 1) * hop, hop * stride
        piece = frames if waveforms.is_cuda or torch.is_grad_enabled() else self.PIECE
        pieces = [
            self._local(
                waveforms[:, first * hop : (min(first + piece, frames) - 1) * hop + field], weight, bias, weights
            )
            for first in range(0, frames, piece)
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def plain(self, waveforms: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch frames channels"]:
        """The definition, convolution by convolution: the reference that tests hold `forward` against."""
        x = waveforms[:, None]
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if self.norm == "layer":
                x = self.norms[index](x.transpose(1, 2)).transpose(1, 2)
            elif index == 0:
                x = self.norms[0](x)
            x = F.gelu(x)
        return x.transpose(1, 2)

    def _first(
        self, waveforms: Tensor, lengths: Tensor | None, moments: Moments | None
    ) -> tuple[Float[Tensor, "#batch taps channels"], Float[Tensor, "#batch 1 channels"] | None]:
        """The first convolution as a matrix from its taps to its channels, and its bias, in float32 as waveforms are.

        The group norm is folded in.
        """
        convolution: Any = self.convolutions[0]
        weight = convolution.weight[:, 0].T.float()
        if self.norm == "group":
            return self._normalized(weight, *(self._moments(waveforms, lengths) if moments is None else (
                moments.taps[None, None].to(weight.device), moments.covariance[None].to(weight.device))))  # fmt: skip
        return weight[None], None if convolution.bias is None else convolution.bias.float()[None, None]

    def _taps(self) -> list[list[Float[Tensor, "out taps_channels"]]]:
        """Each further convolution as matrices: the taps within a stride as one, and each beyond as another."""
        matrices = []
        further: list[Any] = list(self.convolutions)[1:]
        for convolution, (_, _, stride) in zip(further, self.shapes[1:], strict=True):
            taps = convolution.weight.permute(0, 2, 1)
            matrices.append([taps[:, :stride].flatten(1), *(taps[:, i] for i in range(stride, taps.shape[1]))])
        return [[matrix.contiguous() for matrix in each] for each in matrices]

    def _moments(
        self, waveforms: Tensor, lengths: Tensor | None
    ) -> tuple[Float[Tensor, "batch 1 taps"], Float[Tensor, "batch taps taps"]]:
        """Mean and covariance of the stretches that the first convolution sees, in float64; padding takes no part."""
        _, kernel, stride = self.shapes[0]
        windows = waveforms.double().unfold(1, kernel, stride)
        if lengths is None:
            count = torch.full((len(waveforms), 1, 1), windows.shape[1], device=waveforms.device).double()
        else:
            own = (lengths - kernel) // stride + 1
            windows = windows * own_frames(own, windows.shape[1])[..., None]
            count = own.double()[:, None, None]
        mean = windows.sum(1, keepdim=True) / count
        return mean, windows.transpose(1, 2) @ windows / count - mean.transpose(1, 2) @ mean

    def _normalized(
        self, weight: Float[Tensor, "taps channels"], mean: Tensor, covariance: Tensor
    ) -> tuple[Float[Tensor, "batch taps channels"], Float[Tensor, "batch 1 channels"]]:
        """The first convolution and its group norm as one, for each utterance.

        A channel's mean and variance over time are ``w'm`` and ``w'Cw`` with the mean m and covariance C of the
        stretches of waveform that it sees; a bias would cancel. In float64.
        """
        norm: Any = self.norms[0]
        w = weight.double()
        variance = ((covariance @ w) * w).sum(1, keepdim=True).clamp_min(0.0)
        scale = norm.weight.double() * torch.rsqrt(variance + norm.eps)
        return (w * scale).to(weight.dtype), (norm.bias.double() - (mean @ w) * scale).to(weight.dtype)

    def _local(
        self, waveforms: Tensor, weight: Tensor, bias: Tensor | None, weights: list[list[Tensor]]
    ) -> Float[Tensor, "batch frames channels"]:
        _, kernel, stride = self.shapes[0]
        taps = waveforms.unfold(1, kernel, stride)
        first: Any = self.convolutions[0]
        x = taps @ weight if bias is None else torch.baddbmm(bias, taps, weight.expand(len(taps), -1, -1))
        if first.weight.dtype is not torch.float32:
            x = x.to(first.weight.dtype)
        convolutions: list[Any] = list(self.convolutions)
        for index, convolution in enumerate(convolutions):
            if index:
                _, kernel, stride = self.shapes[index]
                x = _convolved(x, weights[index - 1], convolution.bias, kernel, stride)
            if self.norm == "layer":
                x = self.norms[index](x)
            x = gelu(x)
        return x


def _convolved(
    x: Float[Tensor, "batch time channels"],
    weights: list[Float[Tensor, "out taps_channels"]],
    bias: Tensor | None,
    kernel: int,
    stride: int,
) -> Float[Tensor, "batch frames out"]:
    """A convolution with the channels last, as products."""
    frames = (x.shape[1] - kernel) // stride + 1
    head = x[:, : frames * stride].unflatten(1, (frames, stride))[:, :, : min(kernel, stride)].flatten(2)
    y = product(head, weights[0], bias)
    for tap, weight in enumerate(weights[1:], start=stride):
        y = product(x[:, tap : tap + (frames - 1) * stride + 1 : stride], weight, plus=y)
    return y


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """GELU (arXiv 1606.08415); in place, on a tensor that nothing else needs, where no gradient is wanted."""
    return F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)


@cache
def _log_mel(device: torch.device) -> LogMel:
    """Mel filters in float32, kept apart from the model: they have no parameters and never change type."""
    with torch.device("cpu"):
        return LogMel().to(device)


class LogMelFrontEnd(nn.Module):
    """Two stacked 10 ms log-mel frames for each 20 ms frame, normalized by utterance (MelHuBERT, arXiv 2211.09944).

    Log-mel frame k is computed from 25 ms centered on sample ``160 k + 120``, so that frame i of the output, which
    stacks frames ``2 i`` and ``2 i + 1``, is centered where frame i of the published waveform encoder is, and there
    are as many. At either end, 80 samples of silence are assumed. Each band has zero mean and unit variance over the
    utterance's own frames. There are no parameters; everything is computed in float32.
    """

    MARGIN = 80
    """Samples assumed before the first and after the last."""

    def gatherer(self) -> BandGatherer:
        """Gathers what `forward` needs to know of a whole recording."""
        return BandGatherer(_log_mel(torch.device("cpu")).log_mel, self.MARGIN)

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None,
        moments: BandMoments | None = None,
    ) -> Float[Tensor, "batch frames channels"]:
        """Frames of a batch of waveforms; `lengths` in samples, None where nothing is padded.

        `moments` are those of the whole recordings of which the waveforms are parts; by default, of the waveforms.
        """
        batch, samples = waveforms.shape
        if lengths is None:
            lengths = torch.full((batch,), samples, device=waveforms.device)
        waveforms = waveforms.float() * own_frames(lengths, samples)
        x = _log_mel(waveforms.device).log_mel(F.pad(waveforms, (self.MARGIN, self.MARGIN)))
        frames = (samples - 400) // 320 + 1
        x = x[:, : 2 * frames]
        own = own_frames(2 * ((lengths - 400) // 320 + 1), 2 * frames)[..., None]
        if moments is not None:
            x = (x - moments.mean.to(x.device)) * own / moments.deviation.to(x.device).clamp_min(1e-3)
            return x.reshape(batch, frames, -1)
        count = own.sum(1, keepdim=True)
        x = (x - (x * own).sum(1, keepdim=True) / count) * own
        deviation = (x.square().sum(1, keepdim=True) / count).sqrt()
        return (x / deviation.clamp_min(1e-3)).reshape(batch, frames, -1)


class PositionalConvolution(nn.Module):
    """Positional embedding by a wide grouped convolution, weight-normalized over its taps."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.kernel = kernel
        self.weight_v = nn.Parameter(torch.empty(width, width // groups, kernel))
        self.weight_g = nn.Parameter(torch.empty(1, 1, kernel))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, x: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch frames dim"]:
        """Positions of frames, to be added to them; padding must be zero."""
        # As one axis: the norm over two is several times slower.
        scale = self.weight_g / self.weight_v.float().flatten(0, 1).norm(dim=0)
        weight = (self.weight_v * scale).to(x.dtype)
        y = F.conv1d(x.transpose(1, 2), weight, self.bias.to(x.dtype), padding=self.kernel // 2, groups=self.groups)
        return gelu(y[..., : x.shape[1]]).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch frames dim"], attend: Bool[Tensor, "batch 1 1 frames"] | None
    ) -> Float[Tensor, "batch frames dim"]:
        """Attend to the frames where `attend` is true, to all where it is None."""
        batch, frames, width = x.shape
        q, k, v = self.qkv(x).view(batch, frames, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(attention(q, k, v, attend, self.dropout if self.training else 0.0))


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual, normalized before (`norm_first`) or after."""

    def __init__(self, width: int, heads: int, ffn: int, norm_first: bool, regularization: Regularization) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.regularization = regularization
        self.attention = SelfAttention(width, heads, regularization.attention_dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.up = Linear(width, ffn)
        self.down = Linear(ffn, width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def feed_forward(self, x: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch frames dim"]:
        """Two linear layers with GELU between them."""
        return self.down(F.dropout(gelu(self.up(x)), self.regularization.activation_dropout, self.training))

    def forward(
        self, x: Float[Tensor, "batch frames dim"], attend: Bool[Tensor, "batch 1 1 frames"] | None
    ) -> Float[Tensor, "batch frames dim"]:
        """One layer further."""
        p, training = self.regularization.dropout, self.training
        if self.norm_first:
            x = x + F.dropout(self.attention(self.attention_norm(x), attend), p, training)
            return x + F.dropout(self.feed_forward(self.feed_forward_norm(x)), p, training)
        x = self.attention_norm(x + F.dropout(self.attention(x, attend), p, training))
        return self.feed_forward_norm(x + F.dropout(self.feed_forward(x), p, training))


class TransformerBlock(nn.Module):
    """Layers at one resolution; the first block of a model has the positional convolution.

    The block's own layer norm comes before its layers, or after them where layers are normalized first.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        heads: int,
        ffn: int,
        norm_first: bool,
        regularization: Regularization,
        position: PositionalConvolution | None = None,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.regularization = regularization
        self.position = position
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, ffn, norm_first, regularization) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "batch frames dim"],
        lengths: Int[Tensor, " batch"] | None,
        record: Callable[[int, Tensor], None],
    ) -> Float[Tensor, "batch frames dim"]:
        """The block's output; `record` is called with each layer's index and output."""
        x = clear_padding(x, lengths)
        if self.position is not None:
            x = x + self.position(x)
        if not self.norm_first:
            x = self.norm(x)
        x = F.dropout(x, self.regularization.dropout, self.training)
        attend = None if lengths is None else own_frames(lengths, x.shape[1])[:, None, None, :]
        drop = self.regularization.layerdrop if self.training else 0.0
        for index, layer in enumerate(self.layers):
            if drop == 0.0 or torch.rand(()) >= drop:
                x = layer(x, attend)
            record(index, x)
        return self.norm(x) if self.norm_first else x


class Sampler(nn.Module):
    """From one frame rate to another, `up` / `down` times as high (MR-HuBERT, arXiv 2310.02720, section 3.1).

    An upsampling and a downsampling convolution, each with group norm, GELU and a residual that repeats or
    skips frames, and a third residual around both; every sum is scaled by sqrt(0.4).
    The plain kind has only the convolution that it needs, and no residual around both.
    """

    SCALE = math.sqrt(0.4)

    def __init__(self, width: int, kernel: int, up: int, down: int, plain: str | None = None) -> None:
        super().__init__()
        self.up, self.down, self.kernel = up, down, kernel
        self.around = plain is None
        self.up_convolution: nn.ConvTranspose1d | None = None
        self.down_convolution: nn.Conv1d | None = None
        if plain != "down":
            self.up_convolution = nn.ConvTranspose1d(width, width, kernel, up, bias=False, output_padding=up - 1)
            self.up_norm = nn.GroupNorm(1, width)
        if plain != "up":
            self.down_convolution = nn.Conv1d(width, width, kernel, down, bias=False, padding=(kernel - 1) // 2)
            self.down_norm = nn.GroupNorm(1, width)

    def forward(
        self, x: Float[Tensor, "batch frames dim"], lengths: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch resampled dim"]:
        """The same frames at the other rate; `lengths` of the input, None where nothing is padded."""
        x = clear_padding(x, lengths).transpose(1, 2)
        residual = x
        if self.up_convolution is not None:
            # The convolution's tail beyond the repeated frames counts in the statistics, then is cut.
            tail = None if lengths is None else lengths * self.up + self.kernel - 1
            y = gelu(group_norm(self.up_convolution(x), self.up_norm, tail))
            residual = x.repeat_interleave(self.up, dim=2) if self.up > 1 else x
            x = (y[..., : residual.shape[2]] + residual) * self.SCALE
            lengths = None if lengths is None else lengths * self.up
            x = x if lengths is None else x * own_frames(lengths, x.shape[2])[:, None, :].to(x.dtype)
        if self.down_convolution is not None:
            count = None if lengths is None else resampled(lengths, 1, self.down)
            y = gelu(group_norm(self.down_convolution(x), self.down_norm, count))
            x = (y + x[..., :: self.down]) * self.SCALE
        if self.around:
            x = (x + residual[..., :: self.down]) * self.SCALE
        return x.transpose(1, 2)
