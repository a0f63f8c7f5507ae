"""Numbers of any size, and what has its length before it, as messages hold them on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


class Varints(dict[int, bytes]):
    """A number of up to 64 bits in groups of seven, the lowest first, all but the last marked.

    Those of up to two groups are at hand, as most lengths are; others are put together of them.
    """

    def __init__(self) -> None:
        super().__init__((number, bytes((number,))) for number in range(1 << 7))
        pairs = range(1 << 14)
        self.marked: list[bytes] = [
            bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in pairs
        ]
        self.update((n, bytes((n & 0x7F | 0x80, n >> 7))) for n in pairs[1 << 7 :])

    def __missing__(self, number: int) -> bytes:
        if number < 0:
            number += 1 << 64
        marked = self.marked
        if number >> 28:
            return marked[number & 0x3FFF] + marked[number >> 14 & 0x3FFF] + self[number >> 28]
        return marked[number & 0x3FFF] + self[number >> 14]


varints: Final[Varints] = Varints()
varint: Final[Callable[[int], bytes]] = varints.__getitem__
"""The bytes of a number of up to 64 bits."""


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field of bytes, of text or of a message."""
    return b"%b%b%b" % (tag, varints[len(data)], data)
