"""What became of queued writes that others build on, for as long as those wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from ...resilience.journal import DocumentKey
from .composing import REFUSED, UNKNOWN, Base, Outcome
from .queue import Queue
from .queued import Queued

Documents: TypeAlias = Mapping[DocumentKey, Sequence[Queued]]
"""The writes of a commit, by document."""
Left: TypeAlias = Callable[[Queued], Outcome]
"""How a write left its document."""


class Known:
    """Outcomes by the ids of writes; and writes that are done, but stay in the journal.

    One on which another builds is forgotten only together with that: so that a process that takes
    over after a crash finds out from its marker what became of it. What is decided while one is
    being forgotten is told how that left the document instead.
    """

    def __init__(self, queue: Queue) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._queue = queue
        self._held: dict[str, Queued] = {}

    def __contains__(self, item: Queued) -> bool:
        """Whether the write is done already."""
        return item.id in self._held

    def hold(self, documents: Documents, left: Left) -> list[Queued]:
        """Note how writes left documents if others build on it; returns what can be forgotten."""
        done: list[Queued] = []
        for entries in documents.values():
            built_on = self._built_on(entries)
            if built_on:
                self.outcomes[entries[-1].id] = left(entries[-1])
            for item in entries:
                if item.id in built_on:
                    self._held[item.id] = item
                else:
                    done.append(item)
            done += self._released(entries)
        return done

    @contextmanager
    def leaving(self, documents: Documents, left: Left) -> Iterator[None]:
        """Let who builds on what is being forgotten know how it left its document."""

        def told(item: Queued) -> Base | None:
            entries = documents.get(item.document)
            if entries is None or entries[-1].id != item.id or item in self:
                return None
            base = left(item).base
            return None if base == UNKNOWN else base

        self._queue.leaving.append(told)
        try:
            yield
        finally:
            self._queue.leaving.remove(told)

    def forget(self, documents: Documents, left: Left) -> None:
        """Forget outcomes on which nothing builds any more, but note those that something may.

        What was queued in the meantime was decided on what now is done.
        """
        for entries in documents.values():
            last = entries[-1]
            if self._queue.holds(last.op.ref):
                self.outcomes[last.id] = left(last)
            for item in entries:
                self.outcomes.pop(item.basis.after or "", None)

    def give_up(self, items: Sequence[Queued]) -> list[Queued]:
        """Note that these will not be applied; returns what can be forgotten now."""
        for item in items:
            self.outcomes[item.id] = REFUSED
        return self._released(items)

    def orphans(self) -> list[Queued]:
        """Returns writes that stay in the journal although nothing builds on them any more.

        What was to do so could not be kept, or is of somebody who was erased.
        """
        gone = [item for item in self._held.values() if not self._built_on([item])]
        for item in gone:
            del self._held[item.id]
        return gone

    def _built_on(self, entries: Sequence[Queued]) -> set[str]:
        waiting, coming = self._queue.of(entries[0].op.ref), self._queue.built_on
        if len(waiting) <= len(entries) and not coming:
            return set()
        own = {item.id for item in entries}
        afters = {item.basis.after or "" for item in waiting if item.id not in own}
        return {each for each in own if each in afters or each in coming}

    def _released(self, items: Sequence[Queued]) -> list[Queued]:
        """Writes that only waited for these."""
        # Several of one commit may build on the same.
        afters = {item.basis.after or "" for item in items} & self._held.keys()
        return [self._held.pop(after) for after in afters]
