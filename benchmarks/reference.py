"""fairseq's models with random weights, written as fairseq writes them, and every place that ours has names for."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

_LARGE = {
    "encoder_embed_dim": 1024, "encoder_ffn_embed_dim": 4096, "encoder_attention_heads": 16, "encoder_layers": 8,
    "final_dim": 768, "extractor_mode": "layer_norm", "layer_norm_first": True,
}  # fmt: skip
_XLARGE = {
    **_LARGE, "encoder_embed_dim": 1280, "encoder_ffn_embed_dim": 5120, "encoder_layers": 16, "final_dim": 1024,
}  # fmt: skip
_NARROW = {"encoder_embed_dim": 128, "encoder_ffn_embed_dim": 256, "encoder_attention_heads": 4, "final_dim": 32}
_NARROW_CONVOLUTIONS = "[(64,10,5)] + [(64,3,2)] * 4 + [(64,2,2)] * 2"


@dataclass(frozen=True)
class Family:
    """One architecture among the published checkpoints, by what sets it apart in fairseq's configuration.

    Attributes
    ----------
    keys
        The published checkpoints, or what it stands for.
    model
        Options of the model.
    normalize
        Whether the task normalizes waveforms.
    """

    keys: str
    model: Mapping[str, Any] = field(default_factory=dict)
    normalize: bool = False

    @property
    def hubert(self) -> bool:
        """One block, or U-shaped."""
        return "label_rate_ratios" not in self.model

    @property
    def width(self) -> int:
        """Of a Transformer layer."""
        return int(self.model.get("encoder_embed_dim", 768))

    def narrow(self) -> Family:
        """The same switches at a width that a test affords."""
        model = {**self.model, **_NARROW, "conv_feature_layers": _NARROW_CONVOLUTIONS}
        if model.get("encoder_layers", 4) > 4:
            model["encoder_layers"] = 4
        return Family(self.keys, model, self.normalize)


FAMILIES: dict[str, Family] = {
    "hubert": Family("hubert_base", {"encoder_layers": 12}),
    "4-4-4": Family("mono_base, multi_base, b7-a to b7-d", {"label_rate_ratios": [1, 2]}),
    "2-4-6": Family("b1-a", {"label_rate_ratios": [1, 2], "override_encoder_layers": "[2,4,6]"}),
    "5-2-5": Family("b1-b", {"label_rate_ratios": [1, 2], "override_encoder_layers": "[5,2,5]"}),
    "6-4-2": Family("b1-c", {"label_rate_ratios": [1, 2], "override_encoder_layers": "[6,4,2]"}),
    "3-2-2-2-3": Family("b2-a", {"label_rate_ratios": [1, 2, 1, 2], "override_encoder_layers": "[3,2,2,2,3]"}),
    "2-2-4-2-2": Family("b2-b", {"label_rate_ratios": [1, 2, 1, 2], "override_encoder_layers": "[2,2,4,2,2]"}),
    "2-2-2-2-2": Family("b2-c", {"label_rate_ratios": [1, 2, 1, 2], "encoder_layers": 2}),
    "plain": Family("b3-a", {"label_rate_ratios": [1, 2], "use_plain_updownsample": True}),
    "single target": Family(
        "the published training configuration", {"label_rate_ratios": [1, 2], "use_single_target": True}
    ),
    "plain, single target": Family(
        "the same with plain samplers",
        {"label_rate_ratios": [1, 2], "use_plain_updownsample": True, "use_single_target": True},
    ),
    "mono": Family("b5-a", {"label_rate_ratios": [1, 1]}),
    "3-3-3": Family("b6-a", {"label_rate_ratios": [1, 2], "encoder_layers": 3}),
    "mono 3-3-3": Family("b6-b", {"label_rate_ratios": [1, 1], "encoder_layers": 3}),
    "kernel 7": Family("the default of fairseq's code", {"label_rate_ratios": [1, 2], "conv_adapator_kernal": 7}),
    "plain kernel 7": Family(
        "plain samplers with fairseq's default kernel",
        {"label_rate_ratios": [1, 2], "conv_adapator_kernal": 7, "use_plain_updownsample": True},
    ),
    "single prediction": Family(
        "b4-a (expected)", {"label_rate_ratios": [1, 2], "use_single_prediction": True, "use_single_target": True}
    ),
    "ratio 2:3": Family("20 and 30 ms", {"label_rate_ratios": [2, 3], "conv_adapator_kernal": 3}),
    "large": Family("mono_large, multi_large_400k, multi_large_600k", {**_LARGE, "label_rate_ratios": [1, 2]}, True),
    "xlarge": Family("mono_xlarge_v1, mono_xlarge_v2", {**_XLARGE, "label_rate_ratios": [1, 2]}, True),
    "large, no input normalization": Family("b8-a", {**_LARGE, "label_rate_ratios": [1, 2]}),
    "large, plain": Family(
        "multi_large_simple", {**_LARGE, "label_rate_ratios": [1, 2], "use_plain_updownsample": True}, True
    ),
    "large, convolution bias": Family("no published one", {**_LARGE, "label_rate_ratios": [1, 2], "conv_bias": True}),
    "hubert large": Family("hubert_large", {**_LARGE, "encoder_layers": 24}, True),
    "hubert xlarge": Family("hubert_xlarge", {**_XLARGE, "encoder_layers": 48}, True),
}
"""Every distinct architecture of the registry, and the switches that fairseq has beside them."""

BASE_FAMILIES = tuple(name for name in FAMILIES if "large" not in name)


@dataclass(frozen=True)
class Reference:
    """A model of fairseq's, and the checkpoint that fairseq wrote of it."""

    model: nn.Module
    path: Path
    config: Mapping[str, Any]
    normalize: bool
    hubert: bool


def build_reference(family: Family, folder: Path, *, seed: int = 0, save: bool = True) -> Reference:
    """Build a model of `family` with random weights in fairseq and let fairseq's trainer write it to `folder`."""
    with _quiet():
        from fairseq.trainer import Trainer

        cfg, task = _configured(family, folder)
        torch.manual_seed(seed)
        model = task.build_model(cfg.model)
        _randomize(model)
        path = folder / "checkpoint.pt"
        if save:
            trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
            trainer.consolidate_optimizer()
            trainer.save_checkpoint(str(path), {"epoch": 1, "train_iterator": {"epoch": 1}})
    return Reference(model.eval(), path, cfg, family.normalize, family.hubert)


def _configured(family: Family, folder: Path) -> tuple[Any, Any]:
    """A whole fairseq configuration, as Hydra composes it from the published pre-training file, and its task."""
    import fairseq
    from fairseq import tasks
    from fairseq.dataclass.configs import FairseqConfig
    from omegaconf import OmegaConf

    examples = Path(fairseq.__file__).parent / "examples"
    name = "hubert/config/pretrain/hubert_base_librispeech" if family.hubert else (
        "mr_hubert/config/pretrain/mrhubert_base_librispeech"
    )  # fmt: skip
    published: Any = OmegaConf.load(examples / f"{name}.yaml")
    del published["hydra"]
    folder.mkdir(parents=True, exist_ok=True)
    resolutions = 1 if family.hubert else len(family.model["label_rate_ratios"]) // 2 + 1
    labels = [f"{index}.km" for index in range(resolutions)]
    for index, label in enumerate(labels):
        (folder / f"dict.{label}.txt").write_text("".join(f"{unit} 1\n" for unit in range(50 + index)))
    base = OmegaConf.create(OmegaConf.to_container(OmegaConf.structured(FairseqConfig), enum_to_str=True))
    cfg: Any = OmegaConf.merge(base, published)
    OmegaConf.set_struct(cfg, False)
    cfg.common.update(fp16=False, tensorboard_logdir=None)
    cfg.distributed_training.distributed_world_size = 1
    cfg.task.update(data=str(folder), label_dir=str(folder), labels=labels, label_rate=50, normalize=family.normalize)
    model = dict(family.model)
    cfg.model.update(label_rate=50, **({} if family.hubert else {"use_single_target": False}))
    ratios = model.pop("label_rate_ratios", None)
    if ratios is not None:
        cfg.task.label_rate_ratios = ratios
    cfg.model.update(model)
    return cfg, tasks.setup_task(cfg.task)


def _randomize(model: nn.Module) -> None:
    """Move norms and biases off their trivial starting values and sharpen attention: what is left out must be seen."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and "mask_emb" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif name.endswith(("q_proj.weight", "k_proj.weight")):
                parameter.mul_(4.0)


def trace_reference(
    reference: Reference, waveform: Float[Tensor, " samples"]
) -> dict[str, Float[Tensor, "frames dim"]]:
    """fairseq's output at every place by the name that `MultiResHubert.trace` gives it."""
    model: Any = reference.model
    found: dict[str, Tensor] = {}
    hooks = [_listen(model.layer_norm, "conv", found, lambda y: y[0])]
    blocks = {"encoder.0": model.encoder} if reference.hubert else _blocks(model)
    for block, encoder in blocks.items():
        for index, layer in enumerate(encoder.layers):
            hooks.append(_listen(layer, f"{block}.{index}", found, lambda y: y[0][:, 0]))
    if not reference.hubert:
        for index, sampler in enumerate(model.downsample_modules):
            hooks.append(_listen(sampler, f"down.{index}", found, lambda y: y[0][0]))
        for index, sampler in enumerate(reversed(model.upsample_modules)):
            hooks.append(_listen(sampler, f"up.{index}", found, lambda y: y[0][0]))
    source = F.layer_norm(waveform, waveform.shape) if reference.normalize else waveform
    try:
        with torch.inference_mode():
            outputs = model(
                source[None], padding_mask=torch.zeros(1, len(source), dtype=torch.bool), mask=False, features_only=True
            )
    finally:
        for hook in hooks:
            hook.remove()
    found["projected"] = outputs["features"][0]
    resolutions = [outputs["x"]] if reference.hubert else outputs["x"][::-1]
    found.update({f"resolution.{index}": x[0] for index, x in enumerate(resolutions)})
    return found


def trace_batch(
    reference: Reference, waveforms: Float[Tensor, "batch samples"], lengths: Int[Tensor, " batch"]
) -> dict[str, Float[Tensor, "batch frames dim"]]:
    """fairseq's output of every layer for waveforms of different `lengths` (samples), padding not cleared."""
    model: Any = reference.model
    found: dict[str, Tensor] = {}
    hooks = [_listen(model.layer_norm, "conv", found, lambda y: y)]
    for block, encoder in ({"encoder.0": model.encoder} if reference.hubert else _blocks(model)).items():
        for index, layer in enumerate(encoder.layers):
            hooks.append(_listen(layer, f"{block}.{index}", found, lambda y: y[0].transpose(0, 1)))
    padding = torch.arange(waveforms.shape[1]) >= lengths[:, None]
    try:
        with torch.inference_mode():
            model(waveforms, padding_mask=padding, mask=False, features_only=True)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _blocks(model: Any) -> dict[str, Any]:
    return {
        **{f"encoder.{index}": block for index, block in enumerate(model.encoders)},
        "middle": model.middle_encoder,
        **{f"decoder.{index}": block for index, block in enumerate(model.decoders)},
    }


def _listen(module: nn.Module, name: str, found: dict[str, Tensor], pick: Any) -> Any:
    return module.register_forward_hook(lambda _module, _inputs, output: found.__setitem__(name, pick(output)))


def old_style(path: Path, target: Path) -> Path:
    """The same checkpoint as fairseq wrote them before Hydra: options flat in an argparse namespace under `args`."""
    state = torch.load(path, weights_only=False)
    cfg = state.pop("cfg")
    flat = {**cfg["task"], **cfg["model"], "arch": cfg["model"]["_name"], "task": cfg["task"]["_name"]}
    torch.save({**state, "args": argparse.Namespace(**flat)}, target)
    return target


def omegaconf_style(path: Path, target: Path) -> Path:
    """The same checkpoint with its configuration as an OmegaConf object, as fairseq wrote it in between."""
    from omegaconf import OmegaConf

    state = torch.load(path, weights_only=False)
    cfg = OmegaConf.create(state["cfg"])
    if "label_rate_ratios" in cfg.model:
        cfg.model.label_rate_ratios = "${task.label_rate_ratios}"
    torch.save({**state, "cfg": cfg}, target)
    return target


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """fairseq's start is talkative; none of it concerns the reader."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
