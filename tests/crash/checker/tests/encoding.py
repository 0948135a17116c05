"""Writes metadata strings as the description has them, in each of the three forms."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def gaps(base: int, unfinished: Iterable[int]) -> bytes:
    out, following = bytearray(b"\x01"), base
    for offset in unfinished:
        out += varint(offset - following)
        following = offset + 1
    return bytes(out)


def runs(base: int, unfinished: list[int]) -> bytes:
    out, following = bytearray(b"\x02"), base
    places = set(unfinished)
    for first in (offset for offset in unfinished if offset - 1 not in places):
        last = first
        while last + 1 in places:
            last += 1
        out += varint(first - following) + varint(last - first + 1)
        following = last + 1
    return bytes(out)


def bitmap(base: int, end: int, unfinished: Iterable[int]) -> bytes:
    bits = bytearray((end - base + 7) // 8)
    for offset in unfinished:
        bits[(offset - base) // 8] |= 1 << ((offset - base) % 8)
    deflate = zlib.compressobj(wbits=-15)
    return b"\x03" + deflate.compress(bytes(bits)) + deflate.flush()


def seal(body: bytes) -> str:
    sealed = zlib.crc32(body).to_bytes(4, "little") + body
    return "gk1." + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def encode(base: int, end: int, unfinished: list[int], *, writer: str = "gk-1", incarnation: int = 1, burst: int = 1,
           offsets: bytes | None = None) -> str:
    """A string like the product's; `offsets` is the set in a form of one's own."""
    head = varint(incarnation) + varint(burst) + varint(0) + varint(len(writer)) + writer.encode()
    return seal(head + varint(base) + varint(end - base) + (offsets or gaps(base, unfinished)))
