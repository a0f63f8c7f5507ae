"""Which commits the writes that wait are made of: order kept per document, atomic writes whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from ...backends.batches import MAX_BYTES, MAX_OPERATIONS
from ...resilience.journal import DocumentKey
from .queued import Queued

MOST: Final = MAX_OPERATIONS - 1
"""Writes in one commit; the marker is one more."""
MOST_BYTES: Final = MAX_BYTES * 3 // 4
"""Bytes in one commit as a journal takes them, which is about as many as the store does."""


@dataclass(eq=False, slots=True)
class Planned:
    """Writes for one commit, ``bound`` to it by its id or not yet, and what must end before it."""

    items: Sequence[Queued]
    bound: str | None = None
    earlier: dict[Planned, None] = field(default_factory=dict["Planned", None])
    ended: anyio.Event = field(default_factory=anyio.Event)

    def end(self) -> None:
        """Let those behind it go on; what it held is freed, however long it is still known."""
        self.items = ()
        self.earlier.clear()
        self.ended.set()


class Planner:
    """Takes what waits, in its order, and gives commits: each after those it depends on.

    Writes bound to one commit stay together and alone; others share commits, several of one
    document in their order. What is to be written to `stuck` documents, or in one commit with them,
    is left out, and so is what follows it.
    """

    def __init__(
        self, waiting: Iterable[Queued], *, stuck: set[DocumentKey], most: int = MOST
    ) -> None:
        self._units = _units(deque(waiting))
        self._stuck = stuck
        self._most = most
        self._ready: deque[Planned] = deque()
        self._open: list[Queued] = []
        self._open_bytes = 0
        self._gathering = Planned(self._open)
        self._last: dict[DocumentKey, Planned] = {}

    def next(self) -> Planned | None:
        """The next commit; ``None`` after the last."""
        while not self._ready and (unit := next(self._units, None)) is not None:
            self._place(unit)
        if not self._ready:
            self._close()
        return self._ready.popleft() if self._ready else None

    def ease(self) -> None:
        """Make commits half as large from here on."""
        self._most = max(1, self._most // 2)

    def _place(self, unit: list[Queued]) -> None:
        documents = [item.document for item in unit]
        if not self._stuck.isdisjoint(documents):
            self._stuck.update(documents)
        elif unit[0].commit is not None:
            self._place_bound(Planned(unit, unit[0].commit), documents)
        else:
            self._gather(unit[0], documents[0])

    def _place_bound(self, planned: Planned, documents: Sequence[DocumentKey]) -> None:
        if any(self._last.get(document) is self._gathering for document in documents):
            self._close()
        for document in documents:
            self._follow(planned, document)
        self._ready.append(planned)

    def _gather(self, item: Queued, document: DocumentKey) -> None:
        size = item.size
        if self._open and (len(self._open) >= self._most or self._open_bytes + size > MOST_BYTES):
            self._close()
        self._open.append(item)
        self._open_bytes += size
        self._follow(self._gathering, document)

    def _follow(self, planned: Planned, document: DocumentKey) -> None:
        earlier = self._last.get(document)
        if earlier is not planned:
            if earlier is not None and not earlier.ended.is_set():
                planned.earlier[earlier] = None
            self._last[document] = planned

    def _close(self) -> None:
        if self._open:
            self._ready.append(self._gathering)
            self._open, self._open_bytes = [], 0
            self._gathering = Planned(self._open)


def _units(waiting: deque[Queued]) -> Iterator[list[Queued]]:
    """Writes that are bound to one commit together, all others alone, by the first of each."""
    bound: dict[str, list[Queued]] = {}
    for item in waiting:
        if item.commit is not None:
            bound.setdefault(item.commit, []).append(item)
    # Taken out, so that they are freed a few at a time: for all at once others would have to wait.
    while waiting:
        item = waiting.popleft()
        if item.commit is None:
            yield [item]
        elif item.commit in bound:
            yield bound.pop(item.commit)
