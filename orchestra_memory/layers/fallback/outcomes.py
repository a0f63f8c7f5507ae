"""What became of queued writes that others build on, for as long as those wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ...resilience.journal import DocumentKey
from .composing import REFUSED, Outcome
from .queue import Queue
from .queued import Queued

Documents: TypeAlias = Mapping[DocumentKey, Sequence[Queued]]
"""The writes of a commit, by document."""
Left: TypeAlias = Callable[[Queued], Outcome]
"""How a write left its document."""


class Known:
    """Outcomes by the ids of writes; and writes that are done, but stay in the journal.

    One on which another builds is forgotten only together with that: so that a process that takes
    over after a crash finds out from its marker what became of it.
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

    def _built_on(self, entries: Sequence[Queued]) -> set[str]:
        waiting = self._queue.of(entries[0].op.ref)
        if len(waiting) <= len(entries):
            return set()
        own = {item.id for item in entries}
        return own & {item.basis.after or "" for item in waiting if item.id not in own}

    def _released(self, items: Sequence[Queued]) -> list[Queued]:
        """Writes that only waited for these."""
        # Several of one commit may build on the same.
        afters = {item.basis.after or "" for item in items} & self._held.keys()
        return [self._held.pop(after) for after in afters]
