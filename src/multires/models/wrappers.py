"""torchaudio's HuBERT, wav2vec 2.0 and WavLM bundles, with every layer under the common interface."""

from __future__ import annotations

import re
from pickle import UnpicklingError
from typing import Any

import torch

from multires.errors import MultiresError, choose
from multires.models.hooked import RATE, Hooked, convolved, encoder_layers
from multires.models.layers import Layer


def wrap_torchaudio(model: Any, *, normalize: bool, key: str, description: str) -> Hooked:
    """A `torchaudio.models.Wav2Vec2Model` as a layered model; `normalize` if it was trained on normalized waveforms."""
    field, hop = convolved([(layer.kernel_size, layer.stride) for layer in model.feature_extractor.conv_layers])
    blocks = model.encoder.transformer.layers
    projection = model.encoder.feature_projection
    period, center = hop / RATE, field / 2 / RATE
    first = Layer("conv", "conv", "conv", 0, period, int(projection.layer_norm.normalized_shape[0]), center)
    layers = encoder_layers(len(blocks), projection.projection.out_features, period, center, first=first)
    modules = dict(zip([layer.name for layer in layers], [projection.layer_norm, *blocks], strict=True))
    return Hooked(
        model,
        modules,
        layers,
        least=field,
        receptive_field=field,
        normalize=1e-5 if normalize else None,
        key=key,
        description=description,
    )


def load_torchaudio(name: str) -> Hooked:
    """A bundle of torchaudio's, such as ``HUBERT_BASE``; torchaudio downloads and keeps its weights.

    Raises
    ------
    MultiresError
        If there is no such bundle, or its weights cannot be had.
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


def bundle_license(name: str) -> str:
    """The license of a bundle's weights as torchaudio's documentation gives it; empty where it names none."""
    import torchaudio

    text = " ".join((vars(torchaudio.pipelines)[name].__doc__ or "").split())
    found = re.search(r"under (?:the )?([\w .-]+?)(?: License)? and redistributed", text)
    return f"{found[1]}, as torchaudio's documentation says" if found else ""
