"""Extent of the audio in a file, derived from its bytes instead of its header.

Headers are wrong in practice: programs that write to a pipe cannot go back to fill in a length, and libsndfile either
stops at a length that is too small or reads a truncated file without complaint. `contents` gives each recording in a
file as a `Content`, in which the lengths of the header are corrected, and says whether the file is cut off.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from multires.corpus.mpeg import MpegStream, is_mpeg, scan_mpeg

STREAMED = 0x7FFFF000
"""Bytes; sox, arecord and ffmpeg write this or more into 32-bit headers of streams whose length they do not know."""

_MOST_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class Content:
    """A recording inside a file.

    Attributes
    ----------
    start, end
        Its bytes in the file.
    prefix
        Bytes to put in front of them.
    patches
        Bytes to replace, by their offset in the file.
    frames
        The number of frames that the header promises; None where it gives none.
    cut
        Whether bytes are missing at the end.
    """

    start: int
    end: int
    prefix: bytes = b""
    patches: tuple[tuple[int, bytes], ...] = ()
    frames: int | None = None
    cut: bool = False


class ContentReader(io.RawIOBase):
    """A `Content` as a file of its own, for libsndfile to read and seek in."""

    def __init__(self, file: BinaryIO, content: Content) -> None:
        self._file, self._content, self._at = file, content, 0
        self._size = len(content.prefix) + content.end - content.start

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset in the recording."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset in the recording."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes, as far as there are any."""
        view = memoryview(buffer).cast("B")
        content, prefix = self._content, len(self._content.prefix)
        if self._at < prefix:
            part = content.prefix[self._at : self._at + len(view)]
        else:
            first = content.start + self._at - prefix
            part = _at(self._file, first, max(0, min(len(view), content.end - first)))
            for offset, replacement in content.patches:
                if first < offset + len(replacement) and offset < first + len(part):
                    patched = bytearray(part)
                    for place, value in enumerate(replacement, offset - first):
                        if 0 <= place < len(patched):
                            patched[place] = value
                    part = bytes(patched)
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def write(self, _data: object) -> int:
        """Refuse, as libsndfile only reads."""
        raise io.UnsupportedOperation("not writable")


def contents(file: BinaryIO) -> list[Content]:
    """The recordings in an open file, in order: one, or several where Ogg streams are chained."""
    end = file.seek(0, os.SEEK_END)
    start = _after_id3(file, end)
    whole = Content(start, end)
    magic = _at(file, start, 16)
    if magic[:4] == b"OggS":
        return _ogg(file, whole)
    examine = _EXAMINERS.get(magic[:4])
    if examine is not None:
        return [examine(file, whole)]
    if is_mpeg(magic):
        return [_mpeg(whole, scan_mpeg(file, start, end))]
    return [whole]


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _after_id3(file: BinaryIO, end: int) -> int:
    """The offset after ID3v2 tags, which some programs put in front of any format."""
    start = 0
    for _ in range(8):
        tag = _at(file, start, 10)
        if tag[:3] != b"ID3" or len(tag) < 10 or max(tag[6:10]) > 127:
            break
        size = (tag[6] << 21) | (tag[7] << 14) | (tag[8] << 7) | tag[9]
        if start + 10 + size >= end:
            break
        start += 10 + size
    return start


def _riff(file: BinaryIO, whole: Content) -> Content:
    """WAV as RIFF, RIFX (big-endian), RF64 or BW64."""
    magic = _at(file, whole.start, 4)
    order = ">" if magic == b"RIFX" else "<"
    wide = magic in (b"RF64", b"BW64")
    places = {name: (place, size) for place, name, size in _until_data(file, whole, order)}
    if b"data" not in places:
        return whole
    place, size = places[b"data"]
    ds64 = places[b"ds64"][0] if b"ds64" in places else None
    if wide and ds64 is not None and size == 0xFFFFFFFF:
        (size,) = struct.unpack("<Q", _at(file, ds64 + 16, 8).ljust(8, b"\xff"))
    available = whole.end - (place + 8)
    streamed = (STREAMED <= size < 1 << 32 or size >= 1 << 62) and size > available
    if size > available and not streamed:
        return replace(whole, cut=True)
    trusted = not streamed and not _audio_follows(file, place + 8 + size, whole.end, order)
    true, total = size if trusted else available, whole.end - whole.start - 8
    patches = []
    if total < 0xFFFFFFFF:
        if wide:
            patches.append((whole.start, b"RIFF"))
            if ds64 is not None:
                patches.append((ds64, b"JUNK"))
        patches += [(whole.start + 4, struct.pack(order + "I", total)), (place + 4, struct.pack(order + "I", true))]
    elif wide and ds64 is not None:
        patches += [(whole.start, b"RF64"), (ds64 + 8, struct.pack("<QQ", total, true))]
    return replace(whole, patches=tuple(patches))


def _chunks(file: BinaryIO, place: int, end: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Offset, name and size of each chunk; the last may run past the end."""
    for _ in range(_MOST_CHUNKS):
        head = _at(file, place, 8) if place + 8 <= end else b""
        if len(head) < 8:
            return
        (size,) = struct.unpack(order + "I", head[4:])
        yield place, head[:4], size
        place += 8 + size + size % 2


def _until_data(file: BinaryIO, whole: Content, order: str) -> Iterator[tuple[int, bytes, int]]:
    """The chunks of a RIFF file up to the audio; what follows it may be anything."""
    for chunk in _chunks(file, whole.start + 12, whole.end, order):
        yield chunk
        if chunk[1] == b"data":
            return


def _audio_follows(file: BinaryIO, place: int, end: int, order: str) -> bool:
    """Return True if the bytes after a data chunk are neither chunks, tags nor padding, hence more audio."""
    place += place % 2 if _at(file, place, 1) == b"\0" else 0
    rest = _at(file, place, 4096)
    if len(rest) < 8 or rest[:3] in (b"TAG", b"ID3") or rest[:8] == b"APETAGEX":
        return False
    if len(rest) == end - place and not rest.strip(b"\0"):
        return False
    for start in (place, place + 1):
        reached, names = start, []
        for found, name, size in _chunks(file, start, end, order):
            names.append(name)
            reached = found + 8 + size
        if names and all(re.fullmatch(rb"[\x20-\x7e]{4}", name) for name in names) and reached <= end + 1:
            return False
    return True


def _aiff(file: BinaryIO, whole: Content) -> Content:
    for place, name, size in _chunks(file, whole.start + 12, whole.end, ">"):
        if name == b"SSND":
            available = whole.end - (place + 8)
            if size > available and size < STREAMED:
                return replace(whole, cut=True)
            if size > available or (size <= 8 < available and _audio_follows(file, place + 16, whole.end, ">")):
                total = struct.pack(">I", whole.end - whole.start - 8)
                return replace(whole, patches=((whole.start + 4, total), (place + 4, struct.pack(">I", available))))
            break
    return whole


def _au(file: BinaryIO, whole: Content) -> Content:
    head = _at(file, whole.start, 12)
    if len(head) < 12:
        return whole
    order = ">" if head[:4] == b".snd" else "<"
    offset, size = struct.unpack(order + "II", head[4:])
    available = whole.end - whole.start - offset
    if available < size < STREAMED:
        return replace(whole, cut=True)
    return replace(whole, patches=((whole.start + 8, b"\xff\xff\xff\xff"),))


def _caf(file: BinaryIO, whole: Content) -> Content:
    place = whole.start + 8
    for _ in range(_MOST_CHUNKS):
        head = _at(file, place, 12)
        if len(head) < 12:
            break
        (size,) = struct.unpack(">q", head[4:])
        if head[:4] == b"data":
            return replace(whole, cut=size > whole.end - place - 12)
        if size < 0:
            break
        place += 12 + size
    return whole


def _w64(file: BinaryIO, whole: Content) -> Content:
    place = whole.start + 40
    for _ in range(_MOST_CHUNKS):
        head = _at(file, place, 24)
        if len(head) < 24:
            break
        (size,) = struct.unpack("<Q", head[16:])
        if head[:4] == b"data":
            return replace(whole, cut=whole.end - place < size < 1 << 62)
        if size < 24:
            break
        place += size + -size % 8
    return whole


def _nist(file: BinaryIO, whole: Content) -> Content:
    """SPHERE, as TIMIT has it: a header of text."""
    head = _at(file, whole.start, 4096).decode("latin-1")
    values = dict(re.findall(r"(?m)^(sample_count|channel_count|sample_n_bytes) -i (\d{1,15})\s*$", head))
    length = re.match(r"NIST_1A\n\s*(\d{1,9})\n", head)
    if length is None or "sample_count" not in values:
        return whole
    coding = re.search(r"(?m)^sample_coding -s\d+ (\S+)", head)
    if coding is not None and coding[1] not in ("pcm", "ulaw", "alaw", "mu-law"):
        return whole
    width = int(values.get("sample_n_bytes", 2)) if coding is None or coding[1] == "pcm" else 1
    size = int(values["sample_count"]) * int(values.get("channel_count", 1)) * width
    return replace(whole, cut=whole.start + int(length[1]) + size > whole.end)


def _flac(file: BinaryIO, whole: Content) -> Content:
    """The number of samples, which is 0 where the writer did not know it, is taken out: decoding goes on to the end."""
    head = _at(file, whole.start, 26)
    if len(head) < 26 or head[4] & 0x7F != 0:
        return whole
    promised = (head[21] & 0x0F) << 32 | int.from_bytes(head[22:26], "big")
    unknown = ((whole.start + 21, bytes([head[21] & 0xF0]) + bytes(4)),)
    tag = 128 if _at(file, whole.end - 128, 3) == b"TAG" else 0  # of MP3 programs; no part of the stream
    return replace(whole, end=whole.end - tag, patches=unknown, frames=promised or None)


def _ogg(file: BinaryIO, whole: Content) -> list[Content]:
    """Chained streams one by one, of which libsndfile reads the first; a stream that never ends is cut off."""
    found: list[Content] = []
    start = place = whole.start
    going: set[bytes] = set()
    cut = False
    while place + 27 <= whole.end:
        head = _at(file, place, 27)
        if head[:4] != b"OggS":
            gap = _at(file, place, 1 << 17).find(b"OggS")
            if gap < 0:
                break
            place += gap
            continue
        flags, serial, segments = head[5], head[14:18], head[26]
        if flags & 2 and not going and place > start:
            found.append(Content(start, place))
            start = place
        going.add(serial)
        if flags & 4:
            going.discard(serial)
        place += 27 + segments + sum(_at(file, place + 27, segments))
        if place > whole.end:
            cut = True
    found.append(Content(start, whole.end, cut=cut or bool(going)))
    return found


def _mpeg(whole: Content, stream: MpegStream | None) -> Content:
    if stream is None:
        return whole
    return Content(stream.start, whole.end, stream.prefix, stream.patches, cut=stream.cut)


_EXAMINERS: dict[bytes, Callable[[BinaryIO, Content], Content]] = {
    b"RIFF": _riff, b"RIFX": _riff, b"RF64": _riff, b"BW64": _riff, b"FORM": _aiff, b".snd": _au, b"dns.": _au,
    b"caff": _caf, b"riff": _w64, b"NIST": _nist, b"fLaC": _flac,
}  # fmt: skip
