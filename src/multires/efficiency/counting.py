"""Parameters and multiply-accumulates of a model, part by part, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from multires.errors import MultiresError
from multires.models.acoustic import BANDS, FFT, HOP, WINDOW
from multires.models.config import SAMPLE_RATE, ModelConfig
from multires.models.encoder import LogMelFrontEnd, WaveformEncoder

PARTS = (
    "waveform encoder",
    "projection",
    "positional convolution",
    "attention, linear",
    "attention, quadratic",
    "feed-forward",
    "samplers",
    "norms and mask embedding",
    "prediction heads",
)
"""Parts that have multiply-accumulates and parameters; the last two have no multiply-accumulates in a forward pass."""


def count(
    config: ModelConfig,
    seconds: float,
    *,
    batch: int = 1,
    piece: int | None = WaveformEncoder.PIECE,
    depths: Sequence[int] | None = None,
) -> pd.DataFrame:
    r"""Parameters and multiply-accumulates of one forward pass over all layers, in closed form.

    A layer of width :math:`d` and inner width :math:`f` over :math:`T` frames takes
    :math:`4 T d^2` (attention's four projections), :math:`2 T^2 d` (its scores and weighted sums) and
    :math:`2 T d f` (feed-forward) multiply-accumulates. A convolution takes kernel x inputs / groups x outputs a frame.
    The filters of a log-mel front end are a matrix product too. Norms, activations and softmax are not matrix products and are not counted, but for the products from which the
    waveform encoder has its group norm's statistics.

    Parameters
    ----------
    config
        The architecture; nothing is built.
    seconds
        Duration of each waveform, all of the same length.
    batch
        Number of waveforms.
    piece
        Frames that the waveform encoder computes at a time, which overlap a little: as on a CPU; None on a GPU.
    depths
        Layers of each block in place of the configuration's own. A block may have none here, which a model cannot.

    Returns
    -------
    DataFrame
        One row for each part of each block: part, block, frame_period (seconds; of the frames that come out),
        frames (of one waveform), macs (of the whole batch) and parameters.

    Raises
    ------
    MultiresError
        If `seconds` holds no frame, `batch` is not positive, or `depths` does not fit the blocks.
    """
    if batch < 1:
        raise MultiresError(f"batch is {batch}: give a positive number of waveforms")
    table = pd.DataFrame(_rows(config, seconds, piece, tuple(config.depths if depths is None else depths)))
    table["macs"] *= batch
    return table


@lru_cache(maxsize=4096)
def count_total(
    config: ModelConfig, seconds: float, *, piece: int | None = None, depths: tuple[int, ...] | None = None
) -> int:
    """All multiply-accumulates of one waveform: the sum of what `count` gives."""
    return sum(row["macs"] for row in _rows(config, seconds, piece, depths or config.depths))


def _rows(config: ModelConfig, seconds: float, piece: int | None, depths: tuple[int, ...]) -> list[dict[str, Any]]:
    if len(depths) != len(config.depths) or min(depths) < 0:
        raise MultiresError(f"depths {depths}: give {len(config.depths)} numbers of layers of at least 0")
    samples = samples_of(config, seconds)
    rows = _front(config, samples, piece)
    frames = rows[-1]["frames"]
    resolutions, depth = config.frame_periods, len(config.ratios)
    across: list[int] = []
    for index, layers in enumerate(depths):
        level = config.block_resolutions[index]
        if depth and index > depth:
            up, down = config.ratios[level][1], config.ratios[level][0]
            rows.append(_sampler(config, f"up.{index - depth - 1}", resolutions[level], frames, up, down, "up"))
            frames = rows[-1]["frames"]
        rows += _block(config, config.blocks[index], resolutions[level], frames, layers, first=index == 0)
        if index < depth:
            across.append(frames)
            up, down = config.ratios[level]
            rows.append(_sampler(config, f"down.{index}", resolutions[level + 1], frames, up, down, "down"))
            frames = rows[-1]["frames"]
        elif index > depth:
            # A decoder may see one frame more than the encoder beside it; from their sum on it is gone.
            frames = min(frames, across[level])
    rows.append(_row("norms and mask embedding", "conv", resolutions[0], 0, 0, _small_parameters(config, depths)))
    heads = sum(config.final_dim * (config.width + 1) + classes * config.final_dim for classes in config.classes)
    rows.append(_row("prediction heads", "heads", resolutions[0], 0, 0, heads))
    return rows


def samples_of(config: ModelConfig, seconds: float) -> int:
    """Samples in a duration; at least one frame.

    Raises
    ------
    MultiresError
        If `seconds` holds no frame.
    """
    samples = round(seconds * SAMPLE_RATE)
    if samples < config.receptive_field:
        least = config.receptive_field / SAMPLE_RATE
        raise MultiresError(f"a duration of {seconds} s holds no frame: give at least {least:.3f} s")
    return samples


def _row(part: str, block: str, period: float, frames: int, macs: int, parameters: int) -> dict[str, Any]:
    return {
        "part": part,
        "block": block,
        "frame_period": period,
        "frames": frames,
        "macs": macs,
        "parameters": parameters,
    }


def _front(config: ModelConfig, samples: int, piece: int | None) -> list[dict[str, Any]]:
    """Waveform encoder or log-mel, and projection."""
    frames, inputs = _convolved(config, samples)[-1], config.convolutions[-1][0]
    encoder = _log_mel if config.front_end == "log_mel" else _waveform_encoder
    period = config.frame_periods[0]
    rows = [_row("waveform encoder", "conv", period, frames, *encoder(config, samples, piece))]
    if inputs != config.width:
        macs, parameters = frames * inputs * config.width, inputs * config.width + config.width
        rows.append(_row("projection", "conv", period, frames, macs, parameters))
    return rows


def _log_mel(config: ModelConfig, samples: int, piece: int | None) -> tuple[int, int]:
    """Operations of log-mel's filters, every 10 ms, as a matrix product; the Fourier transform is none. No parameters."""
    frames = (samples + 2 * LogMelFrontEnd.MARGIN - WINDOW) // HOP + 1
    return frames * (FFT // 2 + 1) * BANDS, 0


def _waveform_encoder(config: ModelConfig, samples: int, piece: int | None) -> tuple[int, int]:
    """Operations and parameters of the convolutions."""
    inputs, parameters = 1, 0
    for index, (channels, kernel, _) in enumerate(config.convolutions):
        parameters += kernel * inputs * channels + config.conv_bias * channels
        if index == 0 or config.extractor_norm == "layer":
            parameters += 2 * channels
        inputs = channels
    frames = _convolved(config, samples)[-1]
    piece = piece or frames
    macs = 0
    for first in range(0, frames, piece):
        length = (min(piece, frames - first) - 1) * config.hop + config.receptive_field
        macs += _convolutions(config, _convolved(config, length))
    if config.extractor_norm == "group":
        macs += _statistics(config, _convolved(config, samples)[0])
    return macs, parameters


def _convolved(config: ModelConfig, samples: int) -> list[int]:
    """Frames after each convolution."""
    frames = []
    for _, kernel, stride in config.convolutions:
        samples = (samples - kernel) // stride + 1
        frames.append(samples)
    return frames


def _convolutions(config: ModelConfig, frames: list[int]) -> int:
    inputs = [1, *(channels for channels, _, _ in config.convolutions)]
    shapes = zip(frames, inputs, config.convolutions, strict=False)
    return sum(n * kernel * before * channels for n, before, (channels, kernel, _) in shapes)


def _statistics(config: ModelConfig, frames: int) -> int:
    """Covariance of the first convolution's taps over its frames, and from it and their mean each channel's moments."""
    channels, kernel, _ = config.convolutions[0]
    return frames * kernel * kernel + kernel * kernel + kernel * kernel * channels + kernel * channels


def _block(
    config: ModelConfig, block: str, period: float, frames: int, layers: int, *, first: bool
) -> list[dict[str, Any]]:
    """One block's layers, and the positional convolution if it is the first."""
    width, ffn = config.width, config.ffn
    rows = []
    if first:
        taps = config.conv_pos * (width // config.conv_pos_groups)
        # An even kernel gives one frame more than went in; it is computed, then cut.
        positions = frames + 2 * (config.conv_pos // 2) - config.conv_pos + 1
        parameters = taps * width + config.conv_pos + width
        rows.append(_row("positional convolution", block, period, frames, positions * taps * width, parameters))
    linear = 4 * width * width
    rows.append(
        _row("attention, linear", block, period, frames, layers * frames * linear, layers * (linear + 4 * width))
    )
    rows.append(_row("attention, quadratic", block, period, frames, layers * 2 * frames * frames * width, 0))
    rows.append(
        _row(
            "feed-forward", block, period, frames, layers * frames * 2 * width * ffn,
            layers * (2 * width * ffn + width + ffn),
        )
    )  # fmt: skip
    return rows


def _sampler(
    config: ModelConfig, name: str, period: float, frames: int, up: int, down: int, plain: str
) -> dict[str, Any]:
    """A sampler's one or two convolutions; a transposed one is counted by the frames that go in."""
    square = config.width * config.width * config.sampler_kernel
    out = -(-frames * up // down)
    macs = parameters = 0
    if not config.plain_samplers or plain == "up":
        macs += frames * square
        parameters += square + 2 * config.width
    if not config.plain_samplers or plain == "down":
        macs += out * square
        parameters += square + 2 * config.width
    return _row("samplers", name, period, out, macs, parameters)


def _small_parameters(config: ModelConfig, depths: Sequence[int]) -> int:
    """The norm of the features, two norms a layer, one a block, and the mask embedding."""
    norms = 2 * sum(depths) + len(depths)
    return 2 * config.convolutions[-1][0] + 2 * config.width * norms + config.width
