"""Speech encoders in transformers' format, by folder or name, with every layer under the common interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multires.errors import MultiresError
from multires.models.hooked import RATE, Hooked, convolved, encoder_layers
from multires.models.layers import Layer, LayeredModel
from multires.models.tensors import check_values, listed
from multires.models.unpickling import disguise, reason

WAVEFORM = ("hubert", "wav2vec2", "wav2vec2-conformer", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
"""Strided convolutions over the waveform, a layer norm, a projection, and layers at the same frame period."""

SQUEEZED = ("sew", "sew-d")
"""The same, with layers at a multiple of the frame period (arXiv 2109.06870)."""

KINDS = (*WAVEFORM, *SQUEEZED, "wav2vec2-bert", "whisper")

_HEADS = (
    "lm_head", "ctc_proj", "project_hid", "project_q", "quantizer", "final_proj", "label_embs", "label_embeddings_concat",
    "classifier", "projector", "layer_weights", "feature_extractor_proj", "tdnn", "objective", "proj_out", "speaker_proj",
    "dropout_features",
)  # fmt: skip
"""First parts of the names of tensors that training heads add to an encoder; extraction does not need them."""

_UNUSED = ("masked_spec_embed",)
"""Replaces masked frames in training, and takes no part in extraction."""


WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights that are not divided among several; transformers prefers the first."""


def load_transformers(name: str) -> LayeredModel:
    """A speech encoder in transformers' format: one of `KINDS`, by folder or by name on its hub.

    No code that comes with a model is run. Weights are safetensors or ``pytorch_model.bin``, read as data.

    Raises
    ------
    MultiresError
        If transformers is not installed, the model cannot be had or is of another kind, or its weights are not
        exactly those that its configuration calls for.
    """
    try:
        import transformers
    except ImportError as error:
        raise MultiresError("transformers is not installed: pip install 'multires[hub]'") from error
    kind = _kind(name, transformers)
    with _quiet(transformers):
        try:
            # The sizes of a mismatched tensor are reported rather than raised, so that its name can be given.
            model, info = transformers.AutoModel.from_pretrained(
                name, trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )  # fmt: skip
            extractor = transformers.AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
        except Exception as error:  # safetensors, pickle, JSON and PyTorch each raise errors of their own
            raise _cannot_load(name, error) from error
    _check_loaded(name, info, "encoder." if kind == "whisper" else "")
    if int(getattr(extractor, "sampling_rate", RATE)) != RATE:
        raise MultiresError(
            f"{name} was trained on audio at {extractor.sampling_rate} Hz, and multires reads 16,000 Hz"
        )
    key, description = f"transformers:{name}", f"{kind} of transformers from {name}"
    if kind == "whisper":
        from multires.models.whisper import WhisperEncoder

        encoder = model.encoder.float().eval()
        check_values(dict(encoder.named_parameters()), name)
        return WhisperEncoder(
            encoder, extractor, key=key, description=f"encoder of Whisper, of transformers from {name}"
        )
    check_values({n: p for n, p in model.named_parameters() if n not in _UNUSED}, name)
    if kind == "wav2vec2-bert":
        return _filterbank(model, extractor, key, description)
    return _convolutional(model, kind, 1e-7 if extractor.do_normalize else None, key, description)


def _kind(name: str, transformers: Any) -> str:
    with _quiet(transformers):
        try:
            kind = str(transformers.AutoConfig.from_pretrained(name, trust_remote_code=False).model_type)
        except Exception as error:  # as above
            raise _cannot_load(name, error) from error
    if kind not in KINDS:
        raise MultiresError(f"{name} is a {kind} model: choose a speech encoder of one of the kinds {', '.join(KINDS)}")
    return kind


def _cannot_load(name: str, error: Exception) -> MultiresError:
    for file in (Path(name) / weights for weights in WEIGHTS):
        if file.is_file() and (kind := disguise(file)):
            return MultiresError(f"{file} is no checkpoint{kind}: fetch it again")
    return MultiresError(
        f"transformers cannot load {name} ({reason(error)}): give a folder with config.json, the weights and "
        "preprocessor_config.json"
    )


def _check_loaded(name: str, info: dict[str, Any], only: str) -> None:
    """Refuse weights that are not those of the configuration; `only` tensors whose names begin so count."""

    def names(what: str) -> list[str]:
        found = [entry if isinstance(entry, str) else str(entry[0]) for entry in info.get(what, ())]
        return sorted(n for n in found if n.startswith(only) and n not in _UNUSED)

    missing, mismatched = names("missing_keys"), names("mismatched_keys")
    extra = [n for n in names("unexpected_keys") if n.split(".")[0] not in _HEADS and n.split(".")[-1] not in _UNUSED]
    for what, found in (("lacks", missing), ("has another shape than its configuration for", mismatched)):
        if found:
            raise MultiresError(f"{name} {what} {listed(found)}: its layers would have random weights; fetch it again")
    if extra:
        raise MultiresError(f"{name} has {listed(extra)}, which its configuration does not know: fetch it again")
    if errors := info.get("error_msgs"):
        raise MultiresError(f"transformers cannot load {name} ({str(errors[0])[:160]}): fetch it again")


def _convolutional(model: Any, kind: str, normalize: float | None, key: str, description: str) -> Hooked:
    config = model.config
    norm = model.layer_norm if kind in SQUEEZED else getattr(model.feature_projection, "layer_norm", None)
    if norm is None:
        raise MultiresError(f"{key} has no layer norm after its waveform encoder: its local features cannot be read")
    blocks = model.encoder.encoder.layer if kind == "sew-d" else model.encoder.layers
    squeeze = int(config.squeeze_factor) if kind in SQUEEZED else 1
    field, hop = convolved(list(zip(config.conv_kernel, config.conv_stride, strict=True)))
    period, center = hop / RATE, field / 2 / RATE
    first = Layer("conv", "conv", "conv", 0, period, int(norm.normalized_shape[0]), center)
    # A squeezed frame is the mean of consecutive ones and is centered between them.
    layers = encoder_layers(
        len(blocks), int(config.hidden_size), squeeze * period, center + (squeeze - 1) / 2 * period, first=first
    )
    return Hooked(
        model, _modules(layers, norm, blocks), layers, least=field + (squeeze - 1) * hop, receptive_field=field, normalize=normalize, key=key,
        description=description,
    )  # fmt: skip


def _filterbank(model: Any, extractor: Any, key: str, description: str) -> Hooked:
    """wav2vec2-BERT: two 10 ms filterbank frames for each 20 ms frame."""
    stride = int(extractor.stride)
    period, center = stride * 0.01, (400 + (stride - 1) * 160) / 2 / RATE
    norm, blocks = model.feature_projection.layer_norm, model.encoder.layers
    first = Layer("input", "input", "input", 0, period, int(norm.normalized_shape[0]), center)
    layers = encoder_layers(len(blocks), int(model.config.hidden_size), period, center, first=first)
    return Hooked(
        model, _modules(layers, norm, blocks), layers, least=400 + (stride - 1) * 160, receptive_field=400 + (stride - 1) * 160,
        key=key, description=description, call=_filterbank_call(model, extractor, stride),
    )  # fmt: skip


def _filterbank_call(model: Any, extractor: Any, stride: int) -> Callable[[Tensor], object]:
    def call(waveforms: Tensor) -> object:
        audio = list(waveforms.float().cpu().numpy())
        features = extractor(audio, sampling_rate=RATE, return_tensors="pt", padding=True)["input_features"]
        # Waveforms are of one length; the frames that padding would fill are left out.
        count = ((waveforms.shape[1] - 400) // 160 + 1) // stride
        return model(features[:, :count].to(waveforms.device, next(model.parameters()).dtype))

    return call


def _modules(layers: tuple[Layer, ...], norm: nn.Module, blocks: nn.ModuleList) -> dict[str, nn.Module]:
    return dict(zip([layer.name for layer in layers], [norm, *blocks], strict=True))


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without warnings and bars: what matters of them is an error here."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
