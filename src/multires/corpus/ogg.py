"""Ogg pages with a chosen serial number, so that encoding the same audio twice gives the same bytes."""

from __future__ import annotations

import struct
from functools import cache

from multires.errors import MultiresError

_HEADER = 27
_SERIAL, _CHECKSUM, _SEGMENTS = 14, 22, 26
_POLYNOMIAL = 0x04C11DB7


def with_serial(data: bytes, serial: int) -> bytes:
    """An Ogg file with another serial number in each page; encoders draw one at random (RFC 3533, section 6).

    Raises
    ------
    MultiresError
        If the data are not whole Ogg pages.
    """
    pages, place = [], 0
    while place < len(data):
        page = bytearray(data[place : place + _page_size(data, place)])
        struct.pack_into("<I", page, _SERIAL, serial)
        struct.pack_into("<I", page, _CHECKSUM, 0)
        struct.pack_into("<I", page, _CHECKSUM, checksum(bytes(page)))
        pages.append(bytes(page))
        place += len(page)
    return b"".join(pages)


def checksum(page: bytes) -> int:
    """Ogg's CRC-32 of a page whose checksum field is zero: no reflection, no initial or final inversion."""
    table, value = _table(), 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ table[(value >> 24) ^ byte]
    return value


def _page_size(data: bytes, place: int) -> int:
    count = data[place + _SEGMENTS] if place + _HEADER <= len(data) else 0
    size = _HEADER + count + sum(data[place + _HEADER : place + _HEADER + count])
    if data[place : place + 4] != b"OggS" or place + size > len(data):
        raise MultiresError("the data are not whole Ogg pages")
    return size


@cache
def _table() -> tuple[int, ...]:
    def entry(byte: int) -> int:
        value = byte << 24
        for _ in range(8):
            value = ((value << 1) ^ _POLYNOMIAL if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        return value

    return tuple(entry(byte) for byte in range(256))
