"""What a commit's metadata string says, read from its description and not by the product's code.

    gk1. + base64url( CRC-32 of the body, little end first | body )
    body = incarnation, burst, ledger mark, length of the writer as varints | writer | base, end - base as varints | set
    set  = 1 and for each unfinished offset its distance from the one before (varints)
         | 2 and lengths of finished and unfinished stretches in turn (varints)
         | 3 and one bit an offset, lowest bit first, deflated without a head

The set holds the offsets in base..end that are NOT finished; everything else below `end` is.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import NamedTuple

PREFIX = "gk1."
MAX_CHARS = 4_096


class Malformed(ValueError):
    """A string that no working program writes."""


class Frontier(NamedTuple):
    """A decoded string."""

    writer: str
    incarnation: int
    burst: int
    ledger: int
    base: int
    end: int
    unfinished: frozenset[int]

    def owns(self, offset: int) -> bool:
        """Whether this commit says that `offset` is finished."""
        return offset < self.base or (offset < self.end and offset not in self.unfinished)

    def finished_above_base(self) -> list[int]:
        """Offsets at or above the base that are finished, in order."""
        return [offset for offset in range(self.base, self.end) if offset not in self.unfinished]


def decode(text: str) -> Frontier:
    """The content of a string of ours; `Malformed` for everything else."""
    if len(text) > MAX_CHARS:
        raise Malformed(f"{len(text)} characters")
    if not text.startswith(PREFIX):
        raise Malformed(f"not ours: {text[:12]!r}")
    sealed = text[len(PREFIX):]
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    checksum, body = raw[:4], raw[4:]
    if len(checksum) < 4 or int.from_bytes(checksum, "little") != zlib.crc32(body):
        raise Malformed("wrong checksum")
    return _read_body(_Bytes(body))


def _read_body(body: _Bytes) -> Frontier:
    incarnation, burst, ledger = body.varint(), body.varint(), body.varint()
    writer = body.take(body.varint()).decode("utf-8", errors="strict")
    base = body.varint()
    end = base + body.varint()
    unfinished = _read_set(base, end, body)
    return Frontier(writer, incarnation, burst, ledger, base, end, frozenset(unfinished))


def _read_set(base: int, end: int, body: _Bytes) -> list[int]:
    form, offsets, following = body.take(1)[0], [], base
    if form == 1:
        while body.left():
            following += body.varint()
            offsets.append(following)
            following += 1
    elif form == 2:
        while body.left():
            following += body.varint()
            run = body.varint()
            offsets.extend(range(following, following + run))
            following += run
    elif form == 3:
        bits = zlib.decompress(body.take(body.left()), wbits=-15)
        offsets = [base + place for place in range(len(bits) * 8) if bits[place // 8] >> (place % 8) & 1]
    else:
        raise Malformed(f"form {form}")
    if offsets and offsets[-1] >= end:
        raise Malformed("an offset lies outside the range")
    return offsets


class _Bytes:
    """Bytes, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left():
            raise Malformed("cut short")
        self._at += count
        return self._data[self._at - count:self._at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise Malformed("a number too large")
