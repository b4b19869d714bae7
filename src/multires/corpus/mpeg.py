"""Frame counts of MP3 streams.

An MP3 file holds no length: decoders estimate one from the first frame's bit rate, or take it from a Xing, Info or VBRI
frame that an encoder may have put in front. libsndfile stops at the estimate, so each stream is given an Info frame
with the number of frames that it really has.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_BIT_RATES = {  # kbit/s of Layer III by the header's index, for MPEG 1 and for MPEG 2 and 2.5
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SEARCH = 1 << 17
_EMPTY_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
"""libsndfile recognizes a stream that begins with a tag, and not each one that begins with a frame."""


@dataclass(frozen=True, slots=True)
class MpegStream:
    """Plan for reading a Layer III stream to its end.

    Attributes
    ----------
    start
        Offset of its first byte in the file.
    prefix
        A tag, and an Info frame where the stream has none.
    patches
        Replacements by offset in the file: the number of frames in the stream's own Xing or Info frame.
    cut
        Whether its last frame is not whole, or it has fewer frames than it says.
    """

    start: int
    prefix: bytes
    patches: tuple[tuple[int, bytes], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    size: int
    side: int
    """Bytes of side information, after which a Xing tag stands."""


def is_mpeg(head: bytes) -> bool:
    """Return True if bytes begin like a frame of MPEG audio, of any layer."""
    return len(head) > 3 and head[0] == 0xFF and head[1] >> 5 == 7 and head[1] & 0x18 != 0x08 and head[1] & 0x06 != 0


def scan_mpeg(file: BinaryIO, start: int, end: int) -> MpegStream | None:
    """Count the frames from `start` to `end`; None where these are not a Layer III stream with stated bit rates."""
    found = _first(file, start, end)
    if found is None:
        return None
    start, first = found
    head = _at(file, start, first.size)
    place, frames, cut = start, 0, False
    while place + 4 <= end:
        frame = _frame(_at(file, place, 4))
        if frame is None:
            after = _next(file, place, end)
            if after is None:
                break
            place = after
            continue
        if place + frame.size > end:
            cut = True
            break
        frames += 1
        place += frame.size
    tag = head[4 + first.side : 12 + first.side]
    if tag[:4] in (b"Xing", b"Info") and len(tag) == 8 and tag[7] & 1:
        count = start + 12 + first.side
        (promised,) = struct.unpack(">I", head[12 + first.side : 16 + first.side].ljust(4, b"\0"))
        return MpegStream(start, _EMPTY_ID3, ((count, struct.pack(">I", frames - 1)),), cut or frames - 1 < promised)
    promised = 0
    if tag[:4] in (b"Xing", b"Info") or head[36:40] == b"VBRI":
        promised = struct.unpack(">I", head[50:54])[0] if head[36:40] == b"VBRI" and len(head) >= 54 else 0
        start, frames = start + first.size, frames - 1
    return MpegStream(start, _EMPTY_ID3 + _info(head[:4], frames), (), cut or frames < promised)


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset, os.SEEK_SET)
    return file.read(count)


def _first(file: BinaryIO, start: int, end: int) -> tuple[int, _Frame] | None:
    """The first frame that another one follows."""
    place: int | None = start
    limit = start + _SEARCH
    while place is not None and place < limit:
        frame = _frame(_at(file, place, 4))
        if frame is not None and (place + frame.size == end or _frame(_at(file, place + frame.size, 4)) is not None):
            return place, frame
        place = _next(file, place, min(end, limit))
    return None


def _next(file: BinaryIO, place: int, end: int) -> int | None:
    """The next offset after `place` at which a frame may begin."""
    while place + 1 < end:
        window = _at(file, place + 1, min(1 << 16, end - place - 1))
        found = window.find(b"\xff")
        while found >= 0:
            if _frame(window[found : found + 4]) is not None:
                return place + 1 + found
            found = window.find(b"\xff", found + 1)
        if len(window) <= 3:
            return None
        place += len(window) - 3
    return None


def _frame(head: bytes) -> _Frame | None:
    if not is_mpeg(head) or head[1] & 0x06 != 0x02:
        return None
    version, mono = head[1] >> 3 & 3, head[3] >> 6 == 3
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if index in (0, 15) or rate == 3:
        return None
    bits = _BIT_RATES[3 if version == 3 else 2][index] * 1000
    size = (144 if version == 3 else 72) * bits // _SAMPLE_RATES[version][rate] + (head[2] >> 1 & 1)
    return _Frame(size, (17 if mono else 32) if version == 3 else (9 if mono else 17))


def _info(head: bytes, frames: int) -> bytes:
    """A frame of silence with the format of the stream and the number of its frames."""
    for index in range(head[2] >> 4, 15):
        made = bytes([head[0], head[1] | 1, index << 4 | (head[2] & 0x0C), head[3]])
        frame = _frame(made)
        if frame is not None and frame.size >= 4 + frame.side + 12:
            tag = b"Info" + struct.pack(">II", 1, frames)
            return (made + bytes(frame.side) + tag).ljust(frame.size, b"\0")
    return b""
