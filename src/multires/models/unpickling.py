"""Files that `torch.save` wrote, read as data: no class is created and no code in them runs."""

from __future__ import annotations

import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from multires.errors import MultiresError


class Inert:
    """Stand-in for a class that a checkpoint names: keeps its arguments and does nothing."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


def _inert_mapping(*_arguments: object) -> dict[Any, Any]:
    return {}


_NODES = ("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode", "PathNode", "StringNode")
_INERT = (
    "argparse.Namespace",
    "fairseq.data.dictionary.Dictionary",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    *(f"omegaconf.nodes.{node}" for node in _NODES),
    "typing.Any",
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("bool", "dict", "float", "int", "list")
    ),
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("long", "str", "tuple", "unicode")),
    # Meters and counters in the training history hold NumPy scalars.
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
"""Every class that fairseq's checkpoints name beside tensors and containers, none of which is ever made."""


def read_pickled(path: Path) -> dict[Any, Any]:
    """The dictionary in a file that PyTorch wrote: tensors, containers and inert stand-ins, nothing else.

    Read with ``torch.load(weights_only=True)``. The classes that fairseq's files name are admitted by name, each
    replaced by `Inert`; neither fairseq nor OmegaConf is needed, and no code of theirs runs.

    Raises
    ------
    MultiresError
        If the file is missing, empty, truncated, not as PyTorch writes it, or asks for any other global.
    """
    zipped = _check_file(path)
    allowed: list[Any] = [(Inert, name) for name in _INERT]
    allowed += [(_inert_mapping, "collections.defaultdict"), (Inert, "__builtin__.set"), (Inert, "builtins.set")]
    try:
        with torch.serialization.safe_globals(allowed):
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise MultiresError(_refusal(path, str(error))) from error
    except Exception as error:  # a damaged file makes the unpickler fail in many ways, struct.error among them
        raise MultiresError(
            f"{path} is damaged or no checkpoint{disguise(path)} ({reason(error)}): fetch it again and check its size"
        ) from error
    if not isinstance(state, dict):
        raise MultiresError(f"{path} holds no checkpoint but a {type(state).__name__}")
    return state


def _check_file(path: Path) -> bool:
    """True if a file is a zip archive; refuses damaged ones and archives of other kinds."""
    with check_readable(path).open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped and tarfile.is_tarfile(path):
        raise MultiresError(f"{path} is a tar archive and no checkpoint: unpack it, or fetch the file inside it")
    if zipped:
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                unpacked = sum(member.file_size for member in members)
                stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
                sound = stored and unpacked <= path.stat().st_size
                # Two entries of one name are read differently by different readers.
                twice = len({member.filename for member in members}) < len(members)
                damaged = archive.testzip() if sound and not twice else None
        except Exception as error:  # BadZipFile, NotImplementedError, struct.error: as many as there are damages
            raise MultiresError(f"{path} is truncated or damaged ({reason(error)}): fetch it again") from error
        if not sound:
            raise MultiresError(
                f"{path} is refused: it unpacks to {unpacked} bytes, and PyTorch never packs checkpoints"
            )
        if twice or damaged:
            what = f"{ascii(damaged)[:80]} does not have its checksum" if damaged else "an entry is there twice"
            raise MultiresError(f"{path} is damaged ({what}): fetch it again")
    return zipped


def check_readable(path: Path) -> Path:
    """The path itself if its file can be opened and is not empty.

    Raises
    ------
    MultiresError
        Otherwise.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except OSError as error:
        raise MultiresError(f"cannot read {path}: {reason(error)}") from error
    if not start:
        raise MultiresError(f"{path} is empty: fetch it again")
    return path


def _refusal(path: Path, message: str) -> str:
    if found := re.search(r"GLOBAL ([\w.]+)", message):
        return f"{path} is refused: it asks for {found[1]}, and a checkpoint is data; nothing of it was run"
    if "reduce" in message or "create new object" in message or "build Tensor" in message:
        return f"{path} is refused: it asks for a call that no checkpoint needs; nothing of it was run"
    return f"{path} is damaged or no checkpoint{disguise(path)}: fetch it again"


def disguise(path: Path) -> str:
    """The kind of a file that is often mistaken for a checkpoint."""
    with path.open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return " but a Git LFS pointer to one"
    return " but a web page" if start.startswith((b"<!doctype", b"<html")) else ""


def reason(error: BaseException) -> str:
    """An error's first line, shortened."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # torch goes on with advice to read the file unsafely.
    return first.partition(" In PyTorch 2.6")[0][:160]
