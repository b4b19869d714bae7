"""fairseq's checkpoints: the architecture from their own configuration, and the tensors under our names."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multires.errors import MultiresError, choose
from multires.models.config import ModelConfig
from multires.models.mr_hubert import parameter_shapes
from multires.models.tensors import check_names
from multires.models.unpickling import Inert, reason

_KINDS = ("hubert", "multires_hubert")
_OTHER_KINDS = {
    "wav2vec2": "a wav2vec 2.0 checkpoint",
    "wav2vec_ctc": "a fine-tuned wav2vec 2.0 checkpoint",
    "data2vec_audio": "a data2vec checkpoint",
    "hubert_ctc": "a fine-tuned HuBERT checkpoint",
    "multires_hubert_ctc": "a fine-tuned MR-HuBERT checkpoint",
}
_UNSUPPORTED = {
    "activation_fn": "gelu",
    "layer_type": "transformer",
    "target_glu": False,
    "conv_pos_batch_norm": False,
    "pos_conv_depth": 1,
}
"""Options that no published checkpoint sets otherwise, with the one value that we compute."""


def fairseq_config(state: Mapping[str, Any], path: Path) -> ModelConfig:
    """The architecture that a checkpoint's own configuration describes; options it leaves out have fairseq's defaults.

    fairseq lists `override_encoder_layers` by position in the U but builds its decoders from the outside in and runs
    them from the inside out: with three resolutions, ``[3,2,2,2,3]`` computes 3, 2, 2, 3, 2 layers. `depths` has the
    order of computation.

    Raises
    ------
    MultiresError
        Where there is no configuration, it is another kind of model's, or has options that we do not compute.
    """
    options = _Options(state, path)
    kind = options.kind()
    for name, only in _UNSUPPORTED.items():
        if (value := options.get(name, only)) != only and str(value).lower() != str(only).lower():
            raise MultiresError(f"{path} was trained with {name}={value}, and multires computes only {only}")
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
            logit_temperature=float(options.get("logit_temp", 0.1)),
        )
    except MultiresError as error:
        raise MultiresError(f"{path} describes a model that cannot be: {error}") from error


class _Options:
    """Options of a checkpoint, wherever its age puts them: `cfg` as OmegaConf or dictionary, or flat in `args`."""

    def __init__(self, state: Mapping[str, Any], path: Path) -> None:
        self.path = path
        if state.get("cfg") is not None:
            self.root = _mapping(state["cfg"])
            self.sections = {name: _mapping(self.root.get(name)) for name in ("model", "task")}
        elif state.get("args") is not None:
            flat = _mapping(state["args"])
            self.root = {"model": flat, "task": flat}
            self.sections = {"model": flat, "task": flat}
        else:
            raise MultiresError(f"{path} has no `cfg`: without its configuration no model can be built from it")
        if not self.sections["model"]:
            raise MultiresError(f"{path} has a `cfg` without `model`: without it no model can be built")

    def kind(self) -> str:
        model = self.sections["model"]
        name = _value(model.get("_name") or model.get("arch"))
        if name in _OTHER_KINDS:
            raise MultiresError(f"{self.path} is {_OTHER_KINDS[name]}: multires reads pre-trained HuBERT and MR-HuBERT")
        if name not in _KINDS:
            raise MultiresError(f"{self.path} is a checkpoint of {name!r}: multires reads {' and '.join(_KINDS)}")
        return str(name)

    def get(self, name: str, default: Any, *, section: str = "model") -> Any:
        value = _value(self.sections[section].get(name))
        for _ in range(4):
            reference = re.fullmatch(r"\$\{(model|task)\.(\w+)\}", value) if isinstance(value, str) else None
            if reference is None:
                break
            value = _value(self.sections[reference[1]].get(reference[2]))
        return default if value is None or value == "???" else value

    def integer(self, name: str, default: int, *, least: int = 1) -> int:
        value = self.get(name, default)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if number < least or number > 1_000_000 or isinstance(value, bool):
            raise MultiresError(f"{self.path} has {name}={value!r} where a whole number of at least {least} belongs")
        return number

    def boolean(self, name: str, default: bool, *, section: str = "model") -> bool:
        value = self.get(name, default, section=section)
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() not in known:
            raise MultiresError(f"{self.path} has {name}={value!r} where true or false belongs")
        return known[str(value).lower()]

    def ratios(self) -> tuple[tuple[int, int], ...]:
        flat = _flat(_literal(self.get("label_rate_ratios", None), "label_rate_ratios", self.path))
        if not flat or len(flat) % 2:
            raise MultiresError(f"{self.path} has label_rate_ratios={flat} where pairs of whole numbers belong")
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def depths(self, ratios: int) -> tuple[int, ...]:
        if ratios == 0:
            depths = [self.integer("encoder_layers", 12)]
        elif override := _literal(self.get("override_encoder_layers", "") or [], "override_encoder_layers", self.path):
            listed = _flat(override)
            depths = [*listed[: ratios + 1], *reversed(listed[ratios + 1 :])]
        else:
            depths = [self.integer("encoder_layers", 2)] * (2 * ratios + 1)
        if sum(depths) > 1000:
            raise MultiresError(f"{self.path} describes {sum(depths)} layers: no such model is known")
        return tuple(depths)

    def convolutions(self) -> tuple[tuple[int, int, int], ...]:
        default = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
        listed = _literal(self.get("conv_feature_layers", default), "conv_feature_layers", self.path)
        try:
            return tuple((channels, kernel, stride) for channels, kernel, stride in listed)
        except (TypeError, ValueError):
            raise MultiresError(f"{self.path} has conv_feature_layers={listed!r} where triples belong") from None


def _mapping(node: Any) -> Mapping[str, Any]:
    """A section as a mapping: a dictionary, or what stands in for OmegaConf's or argparse's object."""
    if isinstance(node, Inert):
        node = node.__dict__.get("_content", node.__dict__)
    return node if isinstance(node, dict) else {}


def _value(node: Any) -> Any:
    """A plain value out of OmegaConf's nodes and enumerations' stand-ins, cut off beyond what any option needs."""
    return _plain_value(node, 0, [0])


def _plain_value(node: Any, depth: int, seen: list[int]) -> Any:
    seen[0] += 1
    # Lists that hold themselves or one another many times over would never end.
    if depth > 8 or seen[0] > 1000:
        return None
    if isinstance(node, Inert):
        inside = node.__dict__
        if "_val" in inside:
            return _plain_value(inside["_val"], depth + 1, seen)
        if "_content" in inside:
            return _plain_value(inside["_content"], depth + 1, seen)
        return _plain_value(node.arguments[0], depth + 1, seen) if node.arguments else None
    if isinstance(node, list | tuple):
        return [_plain_value(item, depth + 1, seen) for item in node[:64]]
    return node


def _literal(value: Any, name: str, path: Path) -> Any:
    """A list, or a string that spells one with brackets, whole numbers, ``+`` and ``*``; never evaluated."""
    if not isinstance(value, str):
        return value
    try:
        return _spelled(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MultiresError(f"{path} has {name}={value[:80]!r}, which spells no list of numbers") from error


def _spelled(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_spelled(item) for item in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        left, right = _spelled(node.left), _spelled(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
            return left + right
        if isinstance(node.op, ast.Mult) and isinstance(left, list) and isinstance(right, int) and right <= 64:
            return (left * right)[:256]
    raise ValueError(ast.dump(node)[:80])


def _flat(value: Any) -> list[int]:
    if isinstance(value, list | tuple):
        return [number for item in value for number in _flat(item)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


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
    sizes = tuple(len(_mapping(d).get("symbols", ())) for d in listed) if isinstance(listed, list) else ()
    return sizes if len(sizes) > 1 and sum(sizes) == rows[0] else rows


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
    # Ours stand in the order of computation, coarsest first; fairseq's by resolution, finest first.
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
        Where a tensor is missing, there is one more than the configuration has, or shapes do not fit together.
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
    theirs = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise MultiresError(f"{path} has {name!r} among its weights, which is no floating-point tensor")
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
        if projection is None:
            continue
        untied = projection.shape[0] == config.final_dim * len(units)
        for head in range(len(units)):
            rows = slice(head * config.final_dim, (head + 1) * config.final_dim) if untied else slice(None)
            theirs[f"final_projs.{head}.{part}"] = projection[rows]
    return theirs
