"""What a file to import holds, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeGuard, cast

from ..codec.document import encode
from ..codec.size import checked_size
from ..errors import InvalidRecord, OrchestraMemoryError
from ..record import Record
from .long_json import PIECE, long_json

DEFAULT_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""The time of a first message where a chat tells none."""


class UnreadableFile(OrchestraMemoryError, ValueError):
    """A file to import, or to continue, cannot be used at all. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a file that is read at once: a line, or one conversation of a JSON document.

    ``number`` counts lines, or conversations, from 1. ``raw`` is a line's bytes; ``value`` is a
    conversation.
    """

    number: int
    raw: bytes | None = None
    value: Any = None

    @property
    def where(self) -> str:
        return f"line {self.number}" if self.raw is not None else f"conversation {self.number}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to store, and the namespace it was exported from."""

    record: Record
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be imported: where, and why, without its content."""

    unit: Unit
    message: str
    inside: str = ""

    def __str__(self) -> str:
        place = f"{self.unit.where}, {self.inside}" if self.inside else self.unit.where
        return f"{place}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON."""
        line = self.unit.number if self.unit.raw is not None else None
        return {"line": line, "problem": str(self)}


Parsed: TypeAlias = Entry | Problem
Parser: TypeAlias = Callable[[Unit], Iterator[Parsed]]


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """Whose memory a chat becomes.

    ``user_id`` is the owner of every item; where it is ``None``, the conversation's own owner or
    id is, and ``name`` where it has none. ``start`` is the time of a first message that has none.
    """

    user_id: str | None = None
    name: str = "imported"
    start: datetime = DEFAULT_START


def is_map(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def as_map(value: object) -> dict[str, Any] | None:
    """`value` if it is a map of JSON."""
    return value if is_map(value) else None


def as_list(value: object) -> list[Any] | None:
    """`value` if it is a list of JSON."""
    return value if is_list(value) else None


def checked(record: Record) -> Record:
    """`record` if every store takes it. Raises ``InvalidRecord``."""
    checked_size(type(record), encode(record))
    return record


def entry_of(unit: Unit, make: Callable[[], Record], inside: str = "") -> Parsed:
    """What `make` makes of a part of `unit`, or why it cannot."""
    try:
        return Entry(checked(make()))
    except InvalidRecord as error:
        return Problem(unit, str(error), inside)


def plain_json(raw: bytes) -> object:
    """The value in `raw`. Raises ``ValueError``, which never shows the text."""
    try:
        return long_json(raw) if len(raw) > PIECE else cast("object", json.loads(raw))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    raise ValueError(f"not JSON at {place}")
