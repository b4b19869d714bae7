"""Files from the net: resumed where they broke off, checked, and with a remedy where that fails."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
from tqdm.auto import tqdm

from multires.errors import MultiresError

_TIMEOUT = 30
_CHUNK = 1 << 20


def mirrored(url: str) -> str:
    """Where a file is fetched from: its own address, or the same below the variable MULTIRES_MIRROR.

    A mirror holds ``<host>/<path>`` of each address, as ``wget --force-directories`` lays files out, for machines that
    reach nothing else.
    """
    mirror = os.environ.get("MULTIRES_MIRROR", "").rstrip("/")
    if not mirror:
        return url
    parts = urlsplit(url)
    return f"{mirror}/{parts.netloc}{parts.path}"


def retrieve(key: str, url: str, target: Path, known: str | None, progress: bool = True) -> None:
    """Download `url` (or its mirror) to `target`; one that broke off goes on where it stopped.

    Parameters
    ----------
    key
        What errors and the progress bar call it.
    known
        ``sha256:...`` or ``md5:...`` of the file, if known.

    Raises
    ------
    MultiresError
        Where the download is refused, breaks off or does not fit on the disk, or is not the file that was expected.
    """
    url = mirrored(url)
    part = target.with_name(f".{target.name}.part")
    by_hand = f"put the file from {url} at {target} by other means"
    try:
        pooch.retrieve(
            url,
            known_hash=known,
            fname=target.name,
            path=target.parent,
            downloader=Resuming(part, target.name, progress),
        )
    except requests.RequestException as error:
        raise MultiresError(f"cannot download {key} ({_cause(error)}): {by_hand}, or try again to resume") from error
    except OSError as error:
        _forget(part)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "there is no room for it" if full else str(error.strerror or error)
        raise MultiresError(
            f"cannot write {key} to {target.parent} ({reason}): make room, or set MULTIRES_CACHE to another folder"
        ) from error
    except ValueError as error:
        _forget(part)
        raise MultiresError(
            f"what {url} gives is not the {key} first fetched or published ({str(known)[:19]}...): {by_hand}"
        ) from error


@dataclass(frozen=True)
class Resuming:
    """A downloader for pooch that continues `part` by HTTP range, if the server still has the same file.

    Attributes
    ----------
    part
        Where the beginning is kept; its validator (ETag or date) stands beside it.
    name
        On the progress bar.
    progress
        Whether to show one.
    """

    part: Path
    name: str
    progress: bool = True

    def __call__(self, url: str, output_file: Any, _pooch: Any) -> None:
        """Fetch `url` to `output_file`."""
        note = _note(self.part)
        validator = read_record(note).get("validator") if self.part.exists() else None
        have = self.part.stat().st_size if validator else 0
        # Without this, a server may pack the file and its ranges would count packed bytes.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": str(validator)}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                _forget(self.part)
                return self(url, output_file, _pooch)
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            have = have if resumed else 0
            total = have + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
            tag = response.headers.get("ETag", "")
            strong = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
            write_record(note, {"validator": strong} if strong else {})
            self._receive(response, have, total)
        if total is not None and self.part.stat().st_size != total:
            raise requests.ConnectionError(f"it ended after {self.part.stat().st_size} of {total} bytes")
        os.replace(self.part, output_file)
        note.unlink(missing_ok=True)

    def _receive(self, response: requests.Response, have: int, total: int | None) -> None:
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=self.name, disable=not self.progress, leave=False
        )
        with bar, self.part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """A small JSON record, empty where there is none.

    Raises
    ------
    MultiresError
        Where it is there and cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MultiresError(f"cannot read {path}: {error}; delete it to start over") from error
    return found if isinstance(found, dict) else {}


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a small JSON record, replaced in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(record, indent=2, sort_keys=True), encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} s"
    if isinstance(error, requests.ConnectionError) and "ended after" in str(error):
        return str(error)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection could not be made or broke off"
    return str(error).splitlines()[0][:160]
