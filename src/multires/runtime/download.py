"""Downloads: resumed where they were interrupted, checked, bounded, and explained where they fail."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pooch
import requests
from tqdm.auto import tqdm

from multires.errors import MultiresError
from multires.runtime.storage import making, replace_file
from multires.visible import visible

MOST_BYTES = 32 << 30
"""The largest body that is accepted where nothing better is known."""

SLOW_SECONDS, SLOW_BYTES = 30.0, 2000
"""A server that sends fewer bytes than this in this time is given up."""

_TIMEOUT = 30
_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|\?xml|!--)", re.IGNORECASE)


class Refused(Exception):
    """A response that is not the file; the message completes "cannot download X: ..."."""


def shown(url: str) -> str:
    """A URL for messages and names: without user, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def mirrored(url: str) -> str:
    """The address that a file is fetched from: its own, or the same below the variable MULTIRES_MIRROR.

    A mirror holds ``<host>/<path>`` of each address, as ``wget --force-directories`` stores files, for machines that
    reach nothing else.
    """
    mirror = os.environ.get("MULTIRES_MIRROR", "").rstrip("/")
    if not mirror:
        return url
    parts = urlsplit(url)
    return f"{mirror}/{parts.netloc.rpartition('@')[2]}{parts.path}"


def retrieve(
    key: str,
    url: str,
    target: Path,
    known: str | None,
    progress: bool = True,
    *,
    most: int | None = None,
) -> None:
    """Download `url` (or its mirror) to `target`; an interrupted download is resumed.

    Parameters
    ----------
    key
        Its name in errors and on the progress bar.
    known
        ``sha256:...`` or ``md5:...`` of the file, if known.
    most
        The largest size that is accepted, in bytes; `MOST_BYTES` if None.

    Raises
    ------
    MultiresError
        If the download is refused, interrupted, too slow, too large, does not fit on the disk, or is not the expected
        file.
    """
    address = mirrored(url)
    by_hand = f"put the file from {shown(address)} at {target} by other means"
    part = Part(target)
    try:
        _receive(part, address, target.name, MOST_BYTES if most is None else most, progress)
    except Refused as error:
        raise MultiresError(f"cannot download {key} ({error}): {by_hand}") from None
    except requests.RequestException as error:
        # Not chained: the library's messages contain the address with its query and password.
        raise MultiresError(f"cannot download {key} ({_cause(error)}): {by_hand}, or try again to resume") from None
    except OSError as error:
        part.forget()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "there is no room for it" if full else str(error.strerror or type(error).__name__)
        raise MultiresError(
            f"cannot write {key} to {target.parent} ({reason}): free some room, or set MULTIRES_CACHE to another folder"
        ) from error
    if known is not None:
        algorithm, _, digest = known.rpartition(":")
        if pooch.file_hash(str(part.path), alg=algorithm or "sha256") != digest:
            part.forget()
            raise MultiresError(
                f"what {shown(address)} gives is not the {key} first fetched or published ({known[:19]}...): {by_hand}"
            )
    os.replace(part.path, target)
    part.forget()


@dataclass(frozen=True)
class Part:
    """The beginning of a download, kept between runs, and beside it what identifies the server's file."""

    target: Path

    @property
    def path(self) -> Path:
        """The bytes so far."""
        return self.target.with_name(f".{self.target.name}.part")

    @property
    def note(self) -> Path:
        """Validator (ETag or date) and size."""
        return self.path.with_name(f"{self.path.name}.json")

    def begun(self) -> tuple[int, str, int | None]:
        """Bytes so far, validator, and total size; no bytes where the file cannot be resumed."""
        found = read_record(self.note)
        validator, total = found.get("validator"), found.get("total")
        if not validator or self.path.is_symlink() or not self.path.is_file():
            return 0, "", None
        return self.path.stat().st_size, str(validator), total if isinstance(total, int) else None

    def open(self, *, resume: bool) -> BinaryIO:
        """For writing, at the end or new; a link is never followed."""
        if not resume:
            self.path.unlink(missing_ok=True)
        flags = os.O_APPEND if resume else os.O_CREAT | os.O_EXCL
        return os.fdopen(os.open(self.path, os.O_WRONLY | flags | getattr(os, "O_NOFOLLOW", 0), 0o666), "ab")

    def forget(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _receive(part: Part, url: str, name: str, most: int, progress: bool) -> None:
    """Fetch the whole file into `part`, resuming it if the server still has the same file, else from the start."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Refused("only http and https are supported")
    for resume in (True, False):
        have, validator, total = part.begun() if resume else (0, "", None)
        # Without this, a server may compress the file, and its ranges would count compressed bytes.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            _check_source(url, response)
            if have and not _continues(response, have, validator, total):
                if response.status_code != requests.codes.ok:
                    part.forget()
                    continue
                have = 0
            _receive_body(part, response, have, name, most, progress)
            return
    raise Refused("the server answered 416")


def _check_source(url: str, response: requests.Response) -> None:
    hops = [*(hop.headers.get("Location", "") for hop in response.history), response.url]
    if url.startswith("https:") and any(urlsplit(hop).scheme == "http" for hop in hops):
        raise Refused("it is redirected from https to http")
    code = response.status_code
    if code not in (requests.codes.ok, requests.codes.partial_content, requests.codes.requested_range_not_satisfiable):
        raise Refused(f"the server answered {code}")
    if code == requests.codes.partial_content and "Range" not in response.request.headers:
        raise Refused("the server sent a part that was not asked for")
    if code == requests.codes.requested_range_not_satisfiable and "Range" not in response.request.headers:
        raise Refused(f"the server answered {code}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("the server compressed it although that was not asked for")


def _continues(response: requests.Response, have: int, validator: str, total: int | None) -> bool:
    """Return True if a response holds the rest of the same file, starting where the part ends."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if response.status_code != requests.codes.partial_content or found is None:
        return False
    start, end, whole = map(int, found.groups())
    return (
        start == have
        and end == whole - 1
        and total in (None, whole)
        and _validator(response) in ("", validator)
        and _length(response) in (None, whole - have)
    )


def _validator(response: requests.Response) -> str:
    """The strong ETag, else the date of the file, else nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,18}", text.strip()):
        raise Refused(f"the server gave the size {text[:20]!r}")
    return int(text)


def _receive_body(part: Part, response: requests.Response, have: int, name: str, most: int, progress: bool) -> None:
    length = _length(response)
    total = None if length is None else have + length
    if total is not None and total > most:
        raise Refused(f"it has {total} bytes, more than the {most} that are accepted")
    if total == 0:
        raise Refused("the server sent nothing")
    strong = _validator(response)
    replace_record(part.note, {"validator": strong, "total": total} if strong else {})
    bar = tqdm(
        total=total, initial=have, unit="B", unit_scale=True, desc=visible(name), disable=not progress, leave=False
    )
    size = have
    with bar, part.open(resume=bool(have)) as file:
        for chunk in _chunks(response):
            if not size and _MARKUP.match(chunk):
                raise Refused("the server sent a web page in its place, perhaps a login page")
            size += len(chunk)
            if size > most:
                raise Refused(f"it has more than the {most} bytes that are accepted")
            file.write(chunk)
            bar.update(len(chunk))
    if not size:
        raise Refused("the server sent nothing")
    if total is not None and size != total:
        raise requests.ConnectionError(f"it ended after {size} of {total} bytes")


def _chunks(response: requests.Response, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """The body as it arrives; a server that sends almost nothing is given up."""
    began, received = clock(), 0
    while True:
        try:
            chunk = response.raw.read1(_CHUNK, decode_content=False)
        except Exception as error:  # of urllib3, http.client and the socket
            raise requests.ConnectionError("the connection broke off") from error
        if not chunk:
            return
        received += len(chunk)
        if received >= SLOW_BYTES:
            began, received = clock(), 0
        elif clock() - began > SLOW_SECONDS:
            raise Refused(f"the server sent {received} bytes in {SLOW_SECONDS:.0f} s")
        yield chunk


def read_record(path: Path) -> dict[str, Any]:
    """A small JSON record, empty if the file does not exist.

    Raises
    ------
    MultiresError
        If it exists and cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise MultiresError(f"cannot read {path}: {error}; delete it to start over") from error
    return found if isinstance(found, dict) else {}


def replace_record(path: Path, record: dict[str, Any]) -> None:
    """Write a small JSON record, replaced in one step."""
    text = json.dumps(record, indent=2, sort_keys=True)
    replace_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def add_to_record(path: Path, key: str, value: Any) -> None:
    """Add an entry to a record that several processes write to."""
    with making(path):
        replace_record(path, {**read_record(path), key: value})


def _cause(error: requests.RequestException) -> str:
    """The reason in words; never the library's own, which may hold a password."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} s"
    if isinstance(error, requests.TooManyRedirects):
        return "it is redirected too often"
    if isinstance(error, requests.ConnectionError) and "ended after" in str(error):
        return str(error)
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "it is redirected to something other than http and https"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return "its address is not valid"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection could not be made or broke off"
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
