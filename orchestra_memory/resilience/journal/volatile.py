"""The journal of a process that has no disk to trust: the same verbs, and the same bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from ...slices import sliced
from ...values import utc_now
from .books import Booked, Books
from .bounds import Bounds
from .entries import DocumentKey, Draft, Entry, check_text
from .events import Hook
from .journal import DEFAULT_BOUNDS
from .medium import Medium
from .status import Adoption, JournalStatus

MEDIUM: Final[Medium] = "ephemeral"


class VolatileJournal(Booked):
    """Keeps writes in order until they are replayed, in memory: they go with the process.

    Its verbs are those of :class:`Journal`. It needs no closing, and there is nothing to adopt.
    """

    def __init__(
        self,
        *,
        target: str = "",
        bounds: Bounds = DEFAULT_BOUNDS,
        hooks: Iterable[Hook] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(Books(bounds, hooks, clock))
        self.target: str = target
        self.medium: Medium = MEDIUM
        self._entries: dict[int, Entry] = {}

    def __repr__(self) -> str:
        return f"<VolatileJournal {len(self._ledger)} entries>"

    async def append(self, drafts: Sequence[Draft], *, batch: str | None = None) -> list[int]:
        kept, held = self._books.enter(drafts, batch)
        for draft, each in zip(kept, held, strict=True):
            self._entries[each.number] = Entry(
                each.number, draft.id, draft.document, each.at, draft.body, batch=draft.batch
            )
        return [each.number for each in held]

    async def bind(self, numbers: Iterable[int], batch: str) -> None:
        check_text("batch", batch)
        for number in self._books.known(numbers):
            self._entries[number] = replace(self._entries[number], batch=batch)

    async def settle(self, numbers: Iterable[int]) -> None:
        async for number in sliced(self._books.known(numbers)):
            self._entries.pop(number, None)
            self._ledger.remove([number])
        self._books.weigh()

    async def dead_letter(self, number: int, reason: str) -> None:
        self._set_reason(number, reason)

    async def revive(self, number: int) -> None:
        self._set_reason(number, None)

    def _set_reason(self, number: int, reason: str | None) -> None:
        if number in self._ledger:
            self._entries[number] = replace(self._entries[number], reason=reason)
            self._books.set_reason(number, reason)

    async def pending(self) -> list[Entry]:
        return self._found(await self._books.in_order())

    async def pending_for(self, document: DocumentKey) -> list[Entry]:
        return self._found(self._ledger.waiting_for(document))

    async def dead_letters(self) -> list[Entry]:
        return self._found(sorted(self._ledger.dead))

    def _found(self, numbers: Iterable[int]) -> list[Entry]:
        return [self._entries[number] for number in numbers if number in self._entries]

    def status(self) -> JournalStatus:
        return self._books.status(None, self.target, self.medium)

    async def adopt(self) -> Adoption:
        return Adoption()
