"""How a vector lies on the wire: a map with a type mark, and its doubles in an array."""

from __future__ import annotations

from typing import Final

TYPE_NAME: Final = "__type__"
VECTOR_TYPE: Final = "__vector__"
ELEMENT: Final = b"\x0a\x09\x19"
"""One double of an array: entry, length 9, field 3 of 64 bits."""
STRIDE: Final = 11
"""Bytes of one double with its :data:`ELEMENT`."""
