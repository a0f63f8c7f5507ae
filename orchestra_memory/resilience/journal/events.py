"""What a journal tells while it works: values, given to hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .entries import DocumentKey


@dataclass(frozen=True, slots=True)
class FillingUp:
    """The journal is nearly full: ``share`` of its nearest bound. Told once, until it is emptied.

    ``entries`` and ``bytes`` are what it holds, dead letters included.
    """

    share: float
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """An entry cannot be read as it was appended; it is skipped, and stays in the file."""

    number: int
    document: DocumentKey


@dataclass(frozen=True, slots=True)
class Died:
    """The file cannot be written any more; from now on nothing is accepted."""

    reason: str


Event: TypeAlias = FillingUp | Damaged | Died


class Hook(Protocol):
    """Is told every event, on the event loop. It must neither raise nor block."""

    def __call__(self, event: Event, /) -> None: ...
