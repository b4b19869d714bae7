"""A table of segments in a file that other processes read, identified by its digest."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from multires.errors import MultiresError
from multires.runtime import storage

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedTable:
    """A parquet file whose bytes are compared with the digest that its writer computed in memory.

    The digest travels with this object, never through the workspace, so that every process works on the table of the
    process that wrote it or stops.

    Attributes
    ----------
    path
        The file; its name is the beginning of the digest.
    sha256
        Hexadecimal, of the whole file.
    """

    path: Path
    sha256: str

    @classmethod
    def write(cls, table: pd.DataFrame, folder: Path) -> SharedTable:
        """Write a table to a folder; a file that already has exactly its bytes is kept, any other is replaced.

        Raises
        ------
        MultiresError
            If the file cannot be written.
        """
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        packed = buffer.getvalue()
        shared = cls(folder / f"{(digest := hashlib.sha256(packed).hexdigest())[:16]}.parquet", digest)
        if shared.path.exists():
            try:
                shared._bytes()
                return shared
            except MultiresError as error:
                _LOG.warning("%s: writing it again", error)
        storage.replace_file(shared.path, lambda file: file.write_bytes(packed))
        return shared

    def read(self) -> pd.DataFrame:
        """The table, read once for each process.

        Raises
        ------
        MultiresError
            If the file is missing, unreadable, or not the one that was written.
        """
        return _read(self)

    def _bytes(self) -> bytes:
        try:
            packed = self.path.read_bytes()
        except OSError as error:
            raise MultiresError(f"cannot read {self.path}: {storage.reason(error)}; run again to restore it") from error
        if hashlib.sha256(packed).hexdigest() != self.sha256:
            raise MultiresError(f"{self.path} was changed or damaged after it was written: run again to restore it")
        return packed


@lru_cache(maxsize=1)
def _read(shared: SharedTable) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(shared._bytes()))
