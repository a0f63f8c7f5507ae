"""What an operator is told of journals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .medium import Medium


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """An open journal.

    ``entries`` wait for replay, those on their way to the disk included; ``oldest`` is when the
    first of them was appended, in microseconds since 1970. ``share`` is how full the journal is by
    its nearest bound, 1 being full. ``damaged`` entries cannot be read. ``holder`` is the id of the
    process the journal belongs to. ``dead`` says why nothing can be written any more. One in memory
    has no ``path``.
    """

    path: Path | None
    target: str
    medium: Medium
    holder: int
    entries: int
    dead_letters: int
    damaged: int
    bytes: int
    share: float
    oldest: int | None
    dead: str | None


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A journal in a directory, seen from outside.

    ``living`` if a process has it open; ``holder`` is the id of the process it belongs, or
    belonged, to. ``refusal`` is why it cannot be taken over, and is left as it is; what is not
    known of it then is empty. Of a ``damaged`` one, what can be read is taken over. ``created`` and
    ``oldest`` are microseconds since 1970, ``bytes`` those of the bodies.
    """

    path: Path
    living: bool
    holder: int | None = None
    refusal: str | None = None
    damaged: bool = False
    format: int = 0
    target: str = ""
    library: str = ""
    created: int = 0
    entries: int = 0
    dead_letters: int = 0
    bytes: int = 0
    oldest: int | None = None


@dataclass(frozen=True, slots=True)
class Adoption:
    """What came of taking over the journals of dead processes.

    ``adopted`` are those whose entries are in this journal now, ``entries`` how many that are,
    dead letters included, and ``damaged`` how many of these were damaged and became dead letters.
    ``left`` are journals nobody has open that stay where they are; each has its ``refusal``.
    """

    adopted: tuple[JournalFile, ...] = ()
    entries: int = 0
    damaged: int = 0
    left: tuple[JournalFile, ...] = ()
