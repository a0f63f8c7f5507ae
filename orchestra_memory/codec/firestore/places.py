"""Places where values stand, and the bytes before those values, made once for each size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .varints import delimited, varints

KEPT_SIZES: Final = 1 << 7
"""Sizes in bytes below which a place keeps the heads of values; those in records keep more."""
KEPT_SIZES_IN_RECORDS: Final = 1 << 11


class Heads(dict[int, bytes]):
    """What stands before so many bytes of one kind of value in one place, by their number."""

    __slots__ = ("_place", "_tag", "_tells_size")

    def __init__(self, place: Place, tag: bytes, *, tells_size: bool = True) -> None:
        super().__init__()
        self._place = place
        self._tag = tag
        self._tells_size = tells_size

    def __missing__(self, size: int) -> bytes:
        field = self._tag + varints[size] if self._tells_size else self._tag
        head = self._place.head(field, size)
        if size < self._place.kept_sizes:
            self[size] = head
        return head


class Place:
    """Where values stand: in a list, or under one name in maps or in documents.

    An entry there is a head, by the kind and size of the value, and the value's own bytes; those of
    constants and of some short texts are kept whole. ``convert`` makes a stored value of what may
    be none; where there is no such function, all values are.
    """

    __slots__ = (
        "_entry",
        "_key",
        "constants",
        "convert",
        "float",
        "integer",
        "kept_sizes",
        "list",
        "map",
        "text",
        "texts",
        "time",
    )

    def __init__(
        self,
        entry: bytes,
        key: bytes = b"",
        convert: Callable[[Any], Any] | None = None,
        *,
        kept_sizes: int = KEPT_SIZES,
    ) -> None:
        self._entry = entry
        self._key = key
        self.convert: Callable[[Any], Any] | None = convert
        self.kept_sizes: int = kept_sizes
        self.text: Heads = Heads(self, b"\x8a\x01")
        self.time: Heads = Heads(self, b"\x52")
        self.map: Heads = Heads(self, b"\x32")
        self.list: Heads = Heads(self, b"\x4a")
        self.integer: Heads = Heads(self, b"\x10", tells_size=False)
        self.float: bytes = self.head(b"\x19", 8)
        self.constants: dict[bool | None, bytes] = {
            None: self.head(b"\x58\x00", 0),
            True: self.head(b"\x08\x01", 0),
            False: self.head(b"\x08\x00", 0),
        }
        self.texts: dict[str, bytes] = {}

    def head(self, field: bytes, size: int) -> bytes:
        """What stands before `size` bytes, `field` being the tag and length just before them."""
        value = varints[len(field) + size] + field
        if not self._key:
            return self._entry + value
        length = varints[len(self._key) + len(value) + size]
        return b"%b%b%b%b" % (self._entry, length, self._key, value)


def key_bytes(name: str) -> bytes:
    """What stands before the value in the entry of a map: its key, and the value's tag."""
    return delimited(b"\x0a", name.encode()) + b"\x12"
