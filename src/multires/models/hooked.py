"""Any PyTorch module with every layer under the common interface, read by forward hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from multires.errors import MultiresError
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.models.moments import Moments, MomentsGatherer, standardized

RATE = 16_000
"""Hertz; of all waveforms."""


class Hooked(LayeredModel):
    """Another library's model, read by hooks on its submodules.

    Utterances of unequal length go through one at a time, so that padding never takes part. Above a minute, recordings
    are run in windows: these libraries hold the first convolution's output as a whole, and some of their models an
    attention score for every two frames.

    Parameters
    ----------
    model
        The module that is run.
    modules
        The submodule after which each layer is read, by layer name; its output, or the first item of it, has shape
        ``(batch, frames, dim)``.
    layers
        In the order of computation.
    least
        Samples of the shortest waveform that gives a frame.
    normalize
        The number added to the variance where waveforms are normalized, None where they are not.
    receptive_field
        Samples that one frame of the first layer covers, where known.
    call
        Runs the model on waveforms ``(batch, samples)``; by default the model itself.
    key, description, trained
        As in `LayeredModel`.
    """

    def __init__(
        self, model: nn.Module, modules: Mapping[str, nn.Module], layers: tuple[Layer, ...], *, least: int,
        key: str, description: str, trained: bool = True, normalize: float | None = None,
        call: Callable[[Tensor], object] | None = None, receptive_field: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model = model.eval()
        self.key, self.description, self.trained = key, description, trained
        self.least, self.normalize = least, normalize
        self.receptive_field = receptive_field
        self._layers, self._call = layers, call or model
        self._running = _Running()
        for name, module in modules.items():
            module.register_forward_hook(self._keep(name))
        self._first = _first_group_norm(model)
        if self._first is not None:
            self._first[1].register_forward_hook(self._normalize_as_whole)

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._running.frames[name] = output[0] if isinstance(output, tuple | list) else output

        return hook

    def _normalize_as_whole(self, norm: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor | None:
        """The group norm's output with the statistics of the whole recording, where they are known."""
        if self._running.whole is None or self._first is None:
            return None
        convolution, group_norm = self._first
        mean, variance = self._running.whole.through(convolution)
        x = inputs[0]
        scale = group_norm.weight.double() * torch.rsqrt(variance + group_norm.eps)
        shift = group_norm.bias.double() - mean * scale
        return x * scale[:, None].to(x.dtype) + shift[:, None].to(x.dtype)

    whole_seconds = 60.0

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer that is read, in the order of computation."""
        return self._layers

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """Every layer of a batch of 16 kHz waveforms; `lengths` in samples, all of them full where None.

        Raises
        ------
        MultiresError
            If a waveform is shorter than one frame.
        """
        batch, samples = waveforms.shape
        each = [samples] * batch if lengths is None else [int(n) for n in lengths]
        if batch and min(each) < self.least:
            raise MultiresError(
                f"a waveform of {min(each)} samples is shorter than one frame of {self.least}: leave it out"
            )
        if all(n == samples for n in each):
            frames = self._run(waveforms)
            counts = {name: torch.full((batch,), x.shape[1], device=waveforms.device) for name, x in frames.items()}
            return LayerOutputs(frames, counts)
        alone = [self._run(waveforms[i : i + 1, :n]) for i, n in enumerate(each)]
        names = [layer.name for layer in self.layers]
        return LayerOutputs(
            {name: nn.utils.rnn.pad_sequence([one[name][0] for one in alone], batch_first=True) for name in names},
            {name: torch.tensor([one[name].shape[1] for one in alone], device=waveforms.device) for name in names},
        )

    def measure(self, blocks: Callable[[], Iterable[Float[np.ndarray, " samples"]]]) -> Moments | None:
        """Moments of the whole waveform, where it or the first convolution's channels are normalized over time."""
        if self.normalize is None and self._first is None:
            return None
        convolution: Any = nn.Conv1d(1, 1, 1) if self._first is None else self._first[0]
        gatherer = MomentsGatherer(convolution.kernel_size[0], convolution.stride[0])
        for block in blocks():
            gatherer.push(block)
        return gatherer.finish()

    def part(self, waveforms: Float[Tensor, "batch samples"], whole: Moments | None) -> LayerOutputs:
        """As `forward`, of a part of a recording whose waveform and first convolution are normalized as in the whole."""
        frames = self._run(waveforms, whole)
        counts = {
            name: torch.full((len(waveforms),), x.shape[1], device=waveforms.device) for name, x in frames.items()
        }
        return LayerOutputs(frames, counts)

    def _run(self, waveforms: Tensor, whole: Moments | None = None) -> dict[str, Tensor]:
        if self.normalize is not None and whole is not None:
            waveforms = standardized(waveforms, whole, self.normalize)
            whole = whole.standardized(self.normalize)
        elif self.normalize is not None:
            mean = waveforms.mean(1, keepdim=True)
            variance = waveforms.var(1, unbiased=False, keepdim=True)
            waveforms = (waveforms - mean) * torch.rsqrt(variance + self.normalize)
        self._running.frames, self._running.whole = {}, whole
        try:
            self._call(waveforms)
            return {layer.name: self._running.frames[layer.name] for layer in self.layers}
        finally:
            self._running.frames, self._running.whole = {}, None


class _Running(threading.local):
    """State of one pass; batches may go through the model in several threads at once."""

    def __init__(self) -> None:
        self.frames: dict[str, Tensor] = {}
        self.whole: Moments | None = None

    def __reduce__(self) -> tuple[type[_Running], tuple[()]]:
        return _Running, ()


def _first_group_norm(model: nn.Module) -> tuple[nn.Conv1d, nn.GroupNorm] | None:
    """The first convolution of a wav2vec 2.0-like encoder and its norm over time, as torchaudio and transformers name them."""
    stack = getattr(getattr(model, "feature_extractor", None), "conv_layers", None)
    if not stack:
        return None
    convolution, norm = getattr(stack[0], "conv", None), getattr(stack[0], "layer_norm", None)
    if not isinstance(convolution, nn.Conv1d) or not isinstance(norm, nn.GroupNorm):
        return None
    return (convolution, norm) if norm.num_groups == norm.num_channels and convolution.padding == (0,) else None


def wrap(
    module: nn.Module,
    *,
    layers: Mapping[str, str],
    frame_period: float | Mapping[str, float],
    first_center: float | Mapping[str, float] | None = None,
    key: str = "wrapped",
    description: str = "a wrapped module",
    trained: bool = True,
) -> LayeredModel:
    """Any PyTorch module on 16 kHz waveforms as a layered model.

    Parameters
    ----------
    module
        Called with waveforms ``(batch, samples)``.
    layers
        The path of the submodule whose output, of shape ``(batch, frames, dim)``, is a layer's frames, by layer name
        in the order of computation.
    frame_period
        Seconds per frame, one for all layers or by name.
    first_center
        Seconds from the first sample to the center of frame 0; half a frame period where None.
    key, description, trained
        As in `LayeredModel`.

    Raises
    ------
    MultiresError
        If there is no such submodule, its output has another shape, or one second of audio does not give as many
        frames as `frame_period` says.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Unflatten(1, (-1, 320)), torch.nn.Linear(320, 8))
    >>> model = wrap(net, layers={"encoder.0.0": "1"}, frame_period=0.02)
    >>> model(torch.zeros(1, 16000)).frames["encoder.0.0"].shape
    torch.Size([1, 50, 8])
    """
    paths = dict(module.named_modules())
    if unknown := [path for path in layers.values() if path not in paths]:
        raise MultiresError(f"the module has no submodule {', '.join(unknown)}: see its named_modules()")
    modules = {name: paths[path] for name, path in layers.items()}
    periods = {name: frame_period[name] if isinstance(frame_period, Mapping) else frame_period for name in layers}
    probe = _probe(module.eval(), modules)
    found = []
    for index, (name, output) in enumerate(probe.items()):
        if not isinstance(output, Tensor) or output.ndim != 3 or len(output) != 1:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise MultiresError(f"layer {name} must give frames of shape (batch, frames, dim), not {shape}")
        if abs(output.shape[1] * periods[name] - 1) > max(3 * periods[name], 0.1):
            raise MultiresError(
                f"one second of audio gives {output.shape[1]} frames of layer {name}, which do not fit a frame_period of "
                f"{periods[name]} s"
            )
        block, _, place = name.rpartition(".")
        label = f"{block[0].upper()}{index + 1}" if block and place.isdigit() else name
        center = first_center[name] if isinstance(first_center, Mapping) else first_center
        found.append(
            Layer(name, label, block or name, index, periods[name], int(output.shape[2]),
                  periods[name] / 2 if center is None else center)
        )  # fmt: skip
    return Hooked(module, modules, tuple(found), least=1, key=key, description=description, trained=trained)


def _probe(module: nn.Module, modules: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Each layer's output for one second of faint noise."""
    kept: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda _m, _i, output: kept.__setitem__(name, output[0] if isinstance(output, tuple | list) else output)

    hooks = [part.register_forward_hook(keep(name)) for name, part in modules.items()]
    place = next((p.device for p in module.parameters()), torch.device("cpu"))
    noise = 0.01 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            module(noise.to(place))
    finally:
        for hook in hooks:
            hook.remove()
    if silent := [name for name in modules if name not in kept]:
        raise MultiresError(f"the submodules of {', '.join(silent)} do not run on a waveform")
    return {name: kept[name] for name in modules}


def convolved(convolutions: list[tuple[int, int]]) -> tuple[int, int]:
    """Receptive field and hop in samples of a stack of ``(kernel, stride)``."""
    field, hop = 1, 1
    for kernel, stride in convolutions:
        field, hop = field + (kernel - 1) * hop, hop * stride
    return field, hop


def encoder_layers(depth: int, width: int, period: float, center: float, *, first: Layer) -> tuple[Layer, ...]:
    """`first`, then ``encoder.0.0`` onwards: the layers of a one-block encoder."""
    return (
        first,
        *(
            Layer(f"encoder.0.{index}", f"E{index + 1}", "encoder.0", index + 1, period, width, center)
            for index in range(depth)
        ),
    )
