"""Matrices in Kaldi's binary archives."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from multires.errors import MultiresError

_TYPES = {b"FM ": "<f4", b"DM ": "<f8"}


def ark_index(path: Path) -> dict[str, int]:
    """Offset of each utterance's matrix in an archive.

    Raises
    ------
    MultiresError
        If the archive is damaged, or holds anything but uncompressed binary matrices.
    """
    found: dict[str, int] = {}
    with path.open("rb") as file:
        while name := _name(file, path):
            if name in found:
                raise MultiresError(f"{path} has the utterance {name} twice")
            found[name] = file.tell()
            dtype, rows, columns = _header(file, path)
            file.seek(rows * columns * dtype.itemsize, 1)
            if file.tell() > path.stat().st_size:
                raise MultiresError(f"{path} is truncated at {name}: write it again")
    return found


def read_ark(path: Path, offset: int) -> np.ndarray:
    """The matrix that begins at an offset, shape (rows, columns).

    Raises
    ------
    MultiresError
        As `ark_index`.
    """
    with path.open("rb") as file:
        file.seek(offset)
        dtype, rows, columns = _header(file, path)
        content = file.read(rows * columns * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(rows, columns)


def _name(file: BinaryIO, path: Path) -> str:
    name = bytearray()
    while (byte := file.read(1)) not in (b"", b" "):
        name += byte
        if len(name) > 1000:
            raise MultiresError(f"{path} is no Kaldi archive")
    return name.decode("utf-8", "replace").strip()


def _header(file: BinaryIO, path: Path) -> tuple[np.dtype, int, int]:
    binary, kind = file.read(2), file.read(3)
    if binary != b"\0B" or kind not in _TYPES:
        raise MultiresError(f"{path} must hold uncompressed binary matrices: write it with copy-feats --compress=false")
    sizes = []
    for _ in range(2):
        if file.read(1) != b"\4":
            raise MultiresError(f"{path} is damaged: write it again")
        sizes.append(int.from_bytes(file.read(4), "little", signed=True))
    if min(sizes) < 0:
        raise MultiresError(f"{path} is damaged: write it again")
    return np.dtype(_TYPES[kind]), sizes[0], sizes[1]
