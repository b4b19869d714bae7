"""Options in a fairseq checkpoint's own configuration, whatever version of fairseq wrote it."""

from __future__ import annotations

import ast
import math
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from multires.errors import MultiresError
from multires.models.condition import Targets
from multires.models.config import LARGEST
from multires.models.unpickling import Inert

_LONGEST_TEXT = 4096
"""Characters of an option's text."""

_KINDS = ("hubert", "multires_hubert")
_OTHER_KINDS = {
    "wav2vec2": "a wav2vec 2.0 checkpoint",
    "wav2vec_ctc": "a fine-tuned wav2vec 2.0 checkpoint",
    "data2vec_audio": "a data2vec checkpoint",
    "hubert_ctc": "a fine-tuned HuBERT checkpoint",
    "multires_hubert_ctc": "a fine-tuned MR-HuBERT checkpoint",
}


class Options:
    """Options of a checkpoint, wherever its age puts them: `cfg` as OmegaConf or dictionary, or flat in `args`."""

    def __init__(self, state: Mapping[str, Any], path: Path) -> None:
        self.path = path
        if state.get("cfg") is not None:
            self.root = mapping(state["cfg"])
            self.sections = {name: mapping(self.root.get(name)) for name in ("model", "task")}
        elif state.get("args") is not None:
            flat = mapping(state["args"])
            self.root = {"model": flat, "task": flat}
            self.sections = {"model": flat, "task": flat}
        else:
            raise MultiresError(f"{path} has no `cfg`: without its configuration no model can be built from it")
        if not self.sections["model"]:
            raise MultiresError(f"{path} has a `cfg` without `model`: without it no model can be built")

    def kind(self) -> str:
        """``hubert`` or ``multires_hubert``."""
        model = self.sections["model"]
        name = _value(model.get("_name")) or _value(model.get("arch"))
        if not isinstance(name, str) or name not in {*_KINDS, *_OTHER_KINDS}:
            raise MultiresError(
                f"{self.path} is a checkpoint of {reprlib.repr(name)}: multires reads {' and '.join(_KINDS)}"
            )
        if name in _OTHER_KINDS:
            raise MultiresError(f"{self.path} is {_OTHER_KINDS[name]}: multires reads pre-trained HuBERT and MR-HuBERT")
        return name

    def get(self, name: str, default: Any, *, section: str = "model") -> Any:
        """A plain value, references to other options followed; `default` where it is not set."""
        value = _value(self.sections[section].get(name))
        for _ in range(4):
            reference = re.fullmatch(r"\$\{(model|task)\.(\w+)\}", value) if isinstance(value, str) else None
            if reference is None:
                break
            value = _value(self.sections[reference[1]].get(reference[2]))
        return default if value is None or value == "???" else value

    def integer(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number, also where it is spelled as text."""
        value = self.get(name, default)
        try:
            number = least - 1 if isinstance(value, bool) or (isinstance(value, float) and value % 1) else int(value)
        except (TypeError, ValueError, OverflowError):
            number = least - 1
        if number < least or number > LARGEST:
            raise MultiresError(
                f"{self.path} has {name}={reprlib.repr(value)} where a whole number from {least} to {LARGEST} belongs"
            )
        return number

    def number(self, name: str, default: float, *, section: str = "model") -> float:
        """A finite number, also where it is spelled as text."""
        value = self.get(name, default, section=section)
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            found = math.nan
        if not math.isfinite(found):
            raise MultiresError(f"{self.path} has {name}={reprlib.repr(value)} where a number belongs")
        return found

    def boolean(self, name: str, default: bool, *, section: str = "model") -> bool:
        """True or false, also where it is spelled as text or a number."""
        value = self.get(name, default, section=section)
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() not in known:
            raise MultiresError(f"{self.path} has {name}={reprlib.repr(value)} where true or false belongs")
        return known[str(value).lower()]

    def ratios(self) -> tuple[tuple[int, int], ...]:
        """Pairs (up, down) of `label_rate_ratios`."""
        flat = _flat(_literal(self.get("label_rate_ratios", None), "label_rate_ratios", self.path))
        if not flat or len(flat) % 2:
            raise MultiresError(
                f"{self.path} has label_rate_ratios={reprlib.repr(flat)} where pairs of whole numbers belong"
            )
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def depths(self, ratios: int) -> tuple[int, ...]:
        """Layers of each block in the order of computation.

        fairseq lists `override_encoder_layers` by position in the U but builds its decoders from the outside in and
        runs them from the inside out: with three resolutions, ``[3,2,2,2,3]`` computes 3, 2, 2, 3, 2 layers.
        """
        if ratios == 0:
            depths = [self.integer("encoder_layers", 12)]
        elif override := _literal(self.get("override_encoder_layers", "") or [], "override_encoder_layers", self.path):
            listed = _flat(override)
            depths = [*listed[: ratios + 1], *reversed(listed[ratios + 1 :])]
        else:
            depths = [self.integer("encoder_layers", 2)] * (2 * ratios + 1)
        return tuple(depths)

    def convolutions(self) -> tuple[tuple[int, int, int], ...]:
        """Triples (channels, kernel, stride) of the waveform encoder."""
        default = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
        listed = _literal(self.get("conv_feature_layers", default), "conv_feature_layers", self.path)
        try:
            return tuple((channels, kernel, stride) for channels, kernel, stride in listed)
        except (TypeError, ValueError):
            raise MultiresError(
                f"{self.path} has conv_feature_layers={reprlib.repr(listed)} where triples belong"
            ) from None

    def targets(self) -> Targets:
        """Names, rate and folder of the units that were learned."""
        labels = self.get("labels", [], section="task")
        names = labels if isinstance(labels, list) else [labels]
        folder = self.get("label_dir", "", section="task")
        try:
            rate = self.number("label_rate", 0.0, section="task")
        except MultiresError:
            rate = 0.0
        return Targets(
            tuple(str(name)[:80] for name in names), rate, PurePosixPath(folder).name if isinstance(folder, str) else ""
        )


def mapping(node: Any) -> Mapping[str, Any]:
    """A section as a mapping: a dictionary, or the stand-in for OmegaConf's or argparse's object."""
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
        arguments = inside.get("arguments")
        return _plain_value(arguments[0], depth + 1, seen) if isinstance(arguments, tuple) and arguments else None
    if isinstance(node, list | tuple):
        return [_plain_value(item, depth + 1, seen) for item in node[:64]]
    if node is None or isinstance(node, bool | float):
        return node
    if (isinstance(node, int) and abs(node) < 2**63) or (isinstance(node, str) and len(node) <= _LONGEST_TEXT):
        return node
    # Dictionaries, tensors and endless text are no option's value.
    return f"<{type(node).__name__}>"


def _literal(value: Any, name: str, path: Path) -> Any:
    """A list, or a string that spells one with brackets, whole numbers, ``+`` and ``*``; never evaluated."""
    if not isinstance(value, str):
        return value
    try:
        return _spelled(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MultiresError(f"{path} has {name}={reprlib.repr(value)}, which spells no list of numbers") from error


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
