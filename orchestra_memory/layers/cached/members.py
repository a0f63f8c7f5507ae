"""The members of a window as one text, in which scripts find, add and remove them.

It is two separators, and then of each member its id, a separator, its sort text and two separators.
A separator in these is written otherwise; it is a character that is hardly ever there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

Member: TypeAlias = tuple[str, bytes]
"""The stored id of a record in a window, and its sort text; neither is ever empty.

As a change, an empty sort text takes the record out.
"""

_SEPARATOR: Final = b"\x1f"
_BOUND: Final = 2 * _SEPARATOR
_ESCAPE: Final = b"\x1b"


def packed(members: Iterable[Member]) -> bytes:
    return b"".join([_BOUND, *[b"%b\x1f%b\x1f\x1f" % parts_of(member) for member in members]])


def unpacked(text: bytes) -> tuple[Member, ...]:
    """The members in such a text. Raises ``ValueError`` if it is none."""
    first, *members, last = text.split(_BOUND)
    if first or last:
        raise ValueError
    found = [member.split(_SEPARATOR) for member in members]
    if _ESCAPE in text:
        found = [[_unescaped(part) for part in parts] for parts in found]
    return tuple([(stored_id.decode(), sort) for stored_id, sort in found])


def parts_of(member: Member) -> tuple[bytes, bytes]:
    """Its id and sort text as they stand in the text."""
    stored_id, sort = member
    return _escaped(stored_id.encode()), _escaped(sort)


def _escaped(text: bytes) -> bytes:
    if _SEPARATOR not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, _ESCAPE + b"1").replace(_SEPARATOR, _ESCAPE + b"0")


def _unescaped(text: bytes) -> bytes:
    return text.replace(_ESCAPE + b"0", _SEPARATOR).replace(_ESCAPE + b"1", _ESCAPE)
