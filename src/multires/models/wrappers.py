"""HuBERT, wav2vec 2.0 and WavLM of torchaudio and transformers, with every layer under the same interface."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from multires.errors import MultiresError, choose
from multires.models.layers import Layer, LayeredModel, LayerOutputs

RATE = 16_000


class Hooked(LayeredModel):
    """Another library's model, read by hooks on its layers.

    Its layers are ``conv`` (local features after layer norm, before the projection) and ``encoder.0.0`` onwards, each
    Transformer layer's output as HuBERT has them. Utterances of unequal length go through one at a time: both
    libraries let padding into the group norm of the waveform encoder.

    Parameters
    ----------
    model
        Called with waveforms ``(batch, samples)``.
    feature_norm, blocks
        The modules after which ``conv`` and each layer are read.
    convolutions
        ``(kernel, stride)`` of the waveform encoder.
    normalize
        The number added to the variance where waveforms are normalized, None where they are not.
    """

    def __init__(
        self, model: nn.Module, feature_norm: nn.LayerNorm, blocks: nn.ModuleList, *,
        convolutions: list[tuple[int, int]], width: int, normalize: float | None, key: str, description: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model = model
        self.key, self.description, self.trained = key, description, True
        self.convolutions, self.normalize = convolutions, normalize
        self._frames: dict[str, Tensor] = {}
        channels = int(feature_norm.normalized_shape[0])
        feature_norm.register_forward_hook(self._keep("conv"))
        for index, block in enumerate(blocks):
            block.register_forward_hook(self._keep(f"encoder.0.{index}"))
        field, hop = 1, 1
        for kernel, stride in convolutions:
            field, hop = field + (kernel - 1) * hop, hop * stride
        self.receptive_field = field
        period, center = hop / RATE, field / 2 / RATE
        self._layers = (
            Layer("conv", "conv", "conv", 0, period, channels, center),
            *(
                Layer(f"encoder.0.{index}", f"E{index + 1}", "encoder.0", index + 1, period, width, center)
                for index in range(len(blocks))
            ),
        )

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._frames[name] = output[0] if isinstance(output, tuple) else output

        return hook

    @property
    def layers(self) -> tuple[Layer, ...]:
        """``conv``, then every Transformer layer."""
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
            Where a waveform is shorter than one frame.
        """
        batch, samples = waveforms.shape
        if lengths is None:
            lengths = torch.full((batch,), samples)
        lengths = lengths.to(waveforms.device)
        if batch and int(lengths.min()) < self.receptive_field:
            raise MultiresError(
                f"a waveform of {int(lengths.min())} samples is shorter than one frame of {self.receptive_field}: leave it out"
            )
        counts = lengths
        for kernel, stride in self.convolutions:
            counts = (counts - kernel) // stride + 1
        if bool((lengths == samples).all()):
            frames = self._one(waveforms)
        else:
            each = [self._one(waveforms[i : i + 1, : int(n)]) for i, n in enumerate(lengths)]
            frames = {
                layer.name: nn.utils.rnn.pad_sequence([one[layer.name][0] for one in each], batch_first=True)
                for layer in self.layers
            }
        return LayerOutputs(frames, {layer.name: counts for layer in self.layers})

    def _one(self, waveforms: Tensor) -> dict[str, Tensor]:
        if self.normalize is not None:
            mean = waveforms.mean(1, keepdim=True)
            variance = waveforms.var(1, unbiased=False, keepdim=True)
            waveforms = (waveforms - mean) * torch.rsqrt(variance + self.normalize)
        self.model(waveforms)
        frames = {layer.name: self._frames.pop(layer.name) for layer in self.layers}
        self._frames.clear()
        return frames


def wrap_torchaudio(model: Any, *, normalize: bool, key: str, description: str) -> Hooked:
    """A `torchaudio.models.Wav2Vec2Model` as a layered model; `normalize` where it was trained on normalized waveforms."""
    convolutions = [(layer.kernel_size, layer.stride) for layer in model.feature_extractor.conv_layers]
    blocks = model.encoder.transformer.layers
    width = model.encoder.feature_projection.projection.out_features
    return Hooked(
        model.eval(), model.encoder.feature_projection.layer_norm, blocks, convolutions=convolutions, width=width,
        normalize=1e-5 if normalize else None, key=key, description=description,
    )  # fmt: skip


def load_torchaudio(name: str) -> Hooked:
    """A bundle of torchaudio's, such as ``HUBERT_BASE``; torchaudio downloads and keeps its weights.

    Raises
    ------
    MultiresError
        Where there is no such bundle, or its weights cannot be had.
    """
    import torchaudio

    bundles = {n: b for n, b in vars(torchaudio.pipelines).items() if hasattr(b, "_normalize_waveform")}
    bundle = bundles[choose("torchaudio bundle", name, sorted(bundles))]
    try:
        model = bundle.get_model(dl_kwargs={"weights_only": True})
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise MultiresError(
            f"torchaudio cannot get the weights of {name} ({error}): fetch them where there is a network, and put "
            f"them into {torch.hub.get_dir()}/checkpoints"
        ) from error
    normalize = bool(bundle._normalize_waveform)
    inner = model.model if normalize else model
    return wrap_torchaudio(inner, normalize=normalize, key=f"torchaudio:{name}", description=f"{name} of torchaudio")


def load_transformers(name: str) -> LayeredModel:
    """A HuBERT, wav2vec 2.0 or WavLM model of transformers or Whisper's encoder, by folder or by name on its hub.

    Raises
    ------
    MultiresError
        Where transformers is not installed, the model cannot be had, or it is of another kind.
    """
    try:
        from transformers import AutoFeatureExtractor, AutoModel
    except ImportError as error:
        raise MultiresError("transformers is not installed: pip install 'multires[hub]'") from error
    try:
        model = AutoModel.from_pretrained(name)
        extractor = AutoFeatureExtractor.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise MultiresError(
            f"transformers cannot load {name} ({reason}): give a folder with config.json, the weights and "
            "preprocessor_config.json"
        ) from error
    kind = choose("kind of transformers model", model.config.model_type, ("hubert", "wav2vec2", "wavlm", "whisper"))
    if kind == "whisper":
        from multires.models.whisper import WhisperEncoder

        return WhisperEncoder(
            model.encoder.float().eval(), extractor, key=f"transformers:{name}",
            description=f"encoder of Whisper, of transformers from {name}",
        )  # fmt: skip
    projection = model.feature_projection
    norm = getattr(projection, "layer_norm", None)
    if norm is None:
        raise MultiresError(f"{name} has no layer norm after its waveform encoder: its local features cannot be read")
    config = model.config
    return Hooked(
        model.eval(), norm, model.encoder.layers,
        convolutions=list(zip(config.conv_kernel, config.conv_stride, strict=True)), width=config.hidden_size,
        normalize=1e-7 if extractor.do_normalize else None,
        key=f"transformers:{name}", description=f"{kind} of transformers from {name}",
    )  # fmt: skip
