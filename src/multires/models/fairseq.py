"""fairseq's checkpoints: the architecture from their own configuration, and the tensors under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError, choose
from multires.models.config import ModelConfig
from multires.models.fairseq_options import Options, mapping
from multires.models.mr_hubert import parameter_shapes
from multires.models.tensors import check_names, check_storage
from multires.models.unpickling import read_pickled, reason

_UNSUPPORTED = {
    "activation_fn": "gelu",
    "layer_type": "transformer",
    "target_glu": False,
    "conv_pos_batch_norm": False,
    "pos_conv_depth": 1,
}
"""Options that no published checkpoint sets otherwise, with the one value that we compute."""


S3PRL = ("task_cfg", "model_cfg", "model_weight", "dictionaries_symbols")
"""Entries of the files that s3prl converts from fairseq's."""

_PARALLEL = "module."
"""Prefix that DataParallel gives to every tensor."""


def read_fairseq(path: Path) -> dict[str, Any]:
    """A checkpoint of fairseq, or of s3prl's conversion of one, in fairseq's layout.

    Raises
    ------
    MultiresError
        As `multires.models.unpickling.read_pickled`, or if there are no weights.
    """
    state = read_pickled(path)
    if all(name in state for name in S3PRL):
        state = _from_s3prl(state)
    if not isinstance(state.get("model"), dict):
        raise MultiresError(f"{path} holds no fairseq checkpoint: there is no `model` with tensors in it")
    if (weights := state["model"]) and all(isinstance(name, str) and name.startswith(_PARALLEL) for name in weights):
        state = {**state, "model": {name.removeprefix(_PARALLEL): tensor for name, tensor in weights.items()}}
    return state


def _from_s3prl(state: Mapping[Any, Any]) -> dict[str, Any]:
    weights, listed = state["model_weight"], state["dictionaries_symbols"]
    options = dict(mapping(state["model_cfg"]))
    if options and options.get("_name") is None and isinstance(weights, dict):
        options["_name"] = "multires_hubert" if "label_embs_concat.0" in weights else "hubert"
    dictionaries = [{"symbols": symbols} for symbols in listed] if isinstance(listed, list) else []
    return {
        "cfg": {"model": options, "task": state["task_cfg"]},
        "model": weights,
        "task_state": {"dictionaries": dictionaries},
    }


def fairseq_config(state: Mapping[str, Any], path: Path) -> ModelConfig:
    """The architecture that a checkpoint's own configuration describes; options it leaves out have fairseq's defaults.

    Raises
    ------
    MultiresError
        If there is no configuration, it is another kind of model's, or has options that are not supported.
    """
    options = Options(state, path)
    kind = options.kind()
    for name, only in _UNSUPPORTED.items():
        if (value := options.get(name, only)) != only and str(value).lower() != str(only).lower():
            raise MultiresError(f"{path} was trained with {name}={str(value)[:80]}, and multires computes only {only}")
    if (rate := options.number("sample_rate", SAMPLE_RATE, section="task")) != SAMPLE_RATE:
        raise MultiresError(f"{path} was trained on audio at {rate:g} Hz, and multires reads {SAMPLE_RATE:,} Hz")
    width = options.integer("encoder_embed_dim", 768)
    ratios = options.ratios() if kind == "multires_hubert" else ()
    single = options.boolean("use_single_prediction", False) if ratios else False
    final = options.integer("final_dim", 0, least=0)
    try:
        mode = choose("extractor_mode", options.get("extractor_mode", "default"), ("default", "layer_norm"))
        return ModelConfig(
            width=width,
            heads=options.integer("encoder_attention_heads", 12),
            ffn=options.integer("encoder_ffn_embed_dim", 3072),
            depths=options.depths(len(ratios)),
            ratios=ratios,
            convolutions=options.convolutions(),
            extractor_norm="layer" if mode == "layer_norm" else "group",
            conv_bias=options.boolean("conv_bias", False),
            layer_norm_first=options.boolean("layer_norm_first", False),
            plain_samplers=options.boolean("use_plain_updownsample", False) if ratios else False,
            sampler_kernel=options.integer("conv_adapator_kernal", 7) if ratios else 1,
            normalize_input=options.boolean("normalize", False, section="task"),
            conv_pos=options.integer("conv_pos", 128),
            conv_pos_groups=options.integer("conv_pos_groups", 16),
            single_prediction=single,
            single_target=options.boolean("use_single_target", False) if ratios else False,
            classes=_classes(state, 1 if single else len(ratios) + 1, bool(ratios), path),
            final_dim=final or width,
            logit_temperature=options.number("logit_temp", 0.1),
        )
    except MultiresError as error:
        if str(error).startswith(str(path)):
            raise
        raise MultiresError(f"{path} describes a model that cannot be: {error}") from error


def _classes(state: Mapping[str, Any], heads: int, multires: bool, path: Path) -> tuple[int, ...]:
    """Units of each head: rows of its embeddings. fairseq keeps the numbers nowhere else but in its dictionaries."""
    tensors = state["model"]
    names = [f"label_embs_concat.{head}" for head in range(heads)] if multires else ["label_embs_concat"]
    for name in names:
        if not isinstance(tensors.get(name), Tensor) or tensors[name].ndim != 2:
            raise MultiresError(f"{path} lacks the tensor {name}: it is not a whole pre-training checkpoint")
    rows = tuple(int(tensors[name].shape[0]) for name in names)
    if multires:
        return rows
    task_state = state.get("task_state")
    listed = task_state.get("dictionaries") if isinstance(task_state, dict) else None
    symbols = [mapping(d).get("symbols") for d in listed[:64]] if isinstance(listed, list) else []
    sizes = tuple(len(each) for each in symbols if isinstance(each, list | tuple))
    whole = len(sizes) == len(symbols) > 1 and all(sizes) and sum(sizes) == rows[0]
    return sizes if whole else rows


_PARTS = (
    (r"waveform_encoder\.convolutions\.(\d+)\.", r"feature_extractor.conv_layers.\1.0."),
    (r"feature_norm\.", "layer_norm."),
    (r"projection\.", "post_extract_proj."),
    (r"mask_embedding", "mask_emb"),
    (r"middle\.", "middle_encoder."),
    (r"heads\.", "final_projs."),
    (r"units\.", "label_embs_concat."),
)
_INSIDE = (
    (".position.", ".pos_conv.0."),
    (".norm.", ".layer_norm."),
    (".attention.out.", ".self_attn.out_proj."),
    (".attention_norm.", ".self_attn_layer_norm."),
    (".feed_forward_norm.", ".final_layer_norm."),
    (".up.", ".fc1."),
    (".down.", ".fc2."),
    (".up_convolution.", ".upsample_conv.0."),
    (".up_norm.", ".upsample_conv.2."),
    (".down_convolution.", ".downsample_conv.0."),
    (".down_norm.", ".downsample_conv.2."),
)
_WEIGHT_NORM = {
    "pos_conv.0.parametrizations.weight.original0": "pos_conv.0.weight_g",
    "pos_conv.0.parametrizations.weight.original1": "pos_conv.0.weight_v",
}


def fairseq_names(name: str, config: ModelConfig) -> tuple[str, ...]:
    """The tensors of fairseq's that a parameter of ours holds, stacked along the first axis where several."""
    layered = config.extractor_norm == "layer"
    norm = r"feature_extractor.conv_layers.\1.2.1." if layered else r"feature_extractor.conv_layers.\1.2."
    theirs = re.sub(r"^waveform_encoder\.norms\.(\d+)\.", norm, name)
    for pattern, replacement in _PARTS:
        theirs = re.sub(f"^{pattern}", replacement, theirs)
    theirs = re.sub(r"^downsamplers\.", "downsample_modules.", theirs)
    # Ours are in the order of computation, coarsest first; fairseq's by resolution, finest first.
    last = len(config.ratios) - 1
    theirs = re.sub(r"^upsamplers\.(\d+)\.", lambda found: f"upsample_modules.{last - int(found[1])}.", theirs)
    if not config.ratios:
        theirs = re.sub(r"^encoders\.0\.", "encoder.", theirs)
    for ours, inside in _INSIDE:
        theirs = theirs.replace(ours, inside)
    if ".attention.qkv." in theirs:
        return tuple(theirs.replace(".attention.qkv.", f".self_attn.{part}_proj.") for part in "qkv")
    return (theirs,)


def translate(state: Mapping[str, Any], config: ModelConfig, path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors under our names.

    Raises
    ------
    MultiresError
        If a tensor is missing, there is one more than the configuration has, or shapes do not fit together.
    """
    theirs = _respelled(state, config, path)
    names = {ours: fairseq_names(ours, config) for ours in parameter_shapes(config)}
    check_names(set(theirs), {name for parts in names.values() for name in parts}, path)
    try:
        return {
            ours: torch.cat([theirs[n] for n in parts]) if len(parts) > 1 else theirs[parts[0]]
            for ours, parts in names.items()
        }
    except RuntimeError as error:
        raise MultiresError(f"{path} holds tensors that do not fit together: {reason(error)}") from error


def _respelled(state: Mapping[str, Any], config: ModelConfig, path: Path) -> dict[str, Tensor]:
    """fairseq's tensors with one spelling for what it spells in several ways."""
    check_storage(state, path)
    theirs = {}
    for name, tensor in state.items():
        for new, old in _WEIGHT_NORM.items():
            name = name.replace(new, old)
        theirs[name] = tensor
    if config.ratios:
        return theirs
    # HuBERT keeps all label sets in one matrix, and their projections in one or a shared one.
    units = theirs.pop("label_embs_concat").split(list(config.classes))
    theirs.update({f"label_embs_concat.{head}": unit for head, unit in enumerate(units)})
    for part in ("weight", "bias"):
        projection = theirs.pop(f"final_proj.{part}", None)
        if projection is None or projection.ndim == 0:
            continue
        untied = projection.shape[0] == config.final_dim * len(units)
        for head in range(len(units)):
            rows = slice(head * config.final_dim, (head + 1) * config.final_dim) if untied else slice(None)
            theirs[f"final_projs.{head}.{part}"] = projection[rows]
    return theirs
