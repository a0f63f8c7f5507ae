"""What a source of a migration gives, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ..legacy.found import Found

BATCH: Final = 400
"""Pieces that are settled together; what a store takes in one commit."""
BATCH_BYTES: Final = 1_200_000
"""Records of a batch as JSON. On the wire they may be twice as large, and 3 MiB are allowed."""


@dataclass(frozen=True, slots=True)
class Position:
    """Behind which piece a migration goes on: so many of a place are settled.

    ``mark`` is the source's own: by it a file is known again, or the place in a collection.
    ``ended`` says that these were all.
    """

    place: str
    pieces: int
    mark: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces of one place, a file or a collection, in order.

    ``first`` is how many of the place came before; ``ends`` says that no more come. ``problem`` is
    why the place, or its rest, cannot be read; ``passed`` why it was not meant to be.
    """

    place: str
    founds: tuple[Found, ...] = ()
    first: int = 0
    mark: str = ""
    ends: bool = True
    problem: str = ""
    passed: str = ""

    @property
    def position(self) -> Position:
        return Position(self.place, self.first + len(self.founds), self.mark, self.ends)

    @property
    def size(self) -> int:
        return sum(found.size for found in self.founds)


class Source(Protocol):
    """Where legacy records come from. Two runs over the same source give the same pieces."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    def batches(
        self, start: Position | None = None, only: frozenset[str] | None = None
    ) -> AsyncGenerator[list[Chunk]]:
        """All chunks behind `start`, or those of the places in `only`, some at a time."""
        ...


def gathered(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Chunks together until they make a batch."""
    batch: list[Chunk] = []
    pieces = size = 0
    for chunk in chunks:
        if batch and (pieces + len(chunk.founds) > BATCH or size + chunk.size > BATCH_BYTES):
            yield batch
            batch, pieces, size = [], 0, 0
        batch.append(chunk)
        # A place counts too: a folder of files that hold nothing must not become one batch.
        pieces += len(chunk.founds) or 1
        size += chunk.size
    if batch:
        yield batch


def cut(place: str, founds: Iterable[Found], *, first: int = 0, mark: str = "") -> Iterator[Chunk]:
    """The pieces of a place in chunks that each fit into a batch; the last one ends it."""
    held: list[Found] = []
    size = 0
    for found in founds:
        if held and (len(held) == BATCH or size + found.size > BATCH_BYTES):
            yield Chunk(place, tuple(held), first, mark, ends=False)
            first, held, size = first + len(held), [], 0
        held.append(found)
        size += found.size
    yield Chunk(place, tuple(held), first, mark)
