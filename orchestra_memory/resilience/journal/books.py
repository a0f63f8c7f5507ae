"""What a journal knows of its entries, and tells of them, wherever their bodies are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

from ...slices import mapped
from ...values import to_micros
from .bounds import CALM_AT, WARN_AT, Bounds, Held, Ledger
from .entries import DocumentKey, Draft
from .events import Event, FillingUp, Hook
from .medium import Medium
from .status import JournalStatus


class Books:
    """The ledger of a journal, its clock, and whom it tells; all of it the event loop's."""

    def __init__(
        self, bounds: Bounds, hooks: Iterable[Hook], clock: Callable[[], datetime]
    ) -> None:
        self.ledger: Ledger = Ledger(bounds)
        self.numbers: Iterator[int] = count(1)
        self._hooks = tuple(hooks)
        self._clock = clock
        self._warned = False

    def enter(self, drafts: Sequence[Draft], batch: str | None) -> tuple[list[Draft], list[Held]]:
        """Count drafts in, all or none, those that name no batch in this one.

        Raises ``JournalFull`` if there is no room for all, ``ValueError`` for an id that is here.
        """
        self._check_ids(drafts)
        if batch is not None:
            drafts = [
                each if each.batch is not None else replace(each, batch=batch) for each in drafts
            ]
        now = self._now()
        at = self.ledger.time(now)
        held = [
            Held(number, draft.id, draft.document, at, draft.size)
            for draft, number in zip(drafts, self.numbers, strict=False)
        ]
        self._warn(self.ledger.admit(held, now))
        return [*drafts], held

    def _check_ids(self, drafts: Sequence[Draft]) -> None:
        ids = {draft.id for draft in drafts}
        if len(ids) < len(drafts) or not ids.isdisjoint(self.ledger.ids):
            raise ValueError(
                "Draft.id: there is an entry of this id already; give each write its own"
            )

    def known(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if number in self.ledger]

    async def in_order(self) -> list[int]:
        """What waits for replay, in the order to replay it in."""
        places = await mapped(self.ledger.place, self.ledger.waiting())
        places.sort()
        return [number for _, number in places]

    def cross_off(self, numbers: Sequence[int]) -> None:
        self.ledger.remove(numbers)
        self.weigh()

    def set_reason(self, number: int, reason: str | None) -> None:
        if reason is None:
            self.ledger.revive(number)
        else:
            self.ledger.bury(number)

    def weigh(self) -> None:
        """Tell that the journal fills up, when it does."""
        self._warn(self.ledger.share(self._now()))

    def _warn(self, share: float) -> None:
        if share >= WARN_AT and not self._warned:
            self._warned = True
            self.tell(FillingUp(share, len(self.ledger), self.ledger.bytes))
        elif share < CALM_AT:
            self._warned = False

    def tell(self, event: Event) -> None:
        for hook in self._hooks:
            # In a turn of its own: a hook that raises must not take an answer with it.
            asyncio.get_running_loop().call_soon(hook, event)

    def status(
        self, path: Path | None, target: str, medium: Medium, *, dead: str | None = None
    ) -> JournalStatus:
        ledger = self.ledger
        return JournalStatus(
            path=path,
            target=target,
            medium=medium,
            holder=os.getpid(),
            entries=len(ledger) - len(ledger.dead) - len(ledger.damaged),
            dead_letters=len(ledger.dead),
            damaged=len(ledger.damaged),
            bytes=ledger.bytes,
            share=ledger.share(self._now()),
            oldest=ledger.oldest(),
            dead=dead,
        )

    def _now(self) -> int:
        return to_micros(self._clock())


class Booked:
    """A journal, as far as its books answer for it: at once, and without I/O."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._ledger = books.ledger

    @property
    def is_empty(self) -> bool:
        """Whether there is no entry, be it a dead letter or on its way to the disk."""
        return not self._ledger.ids

    def holds(self, document: DocumentKey) -> bool:
        """Whether entries for this document wait, those on their way to the disk included."""
        return self._ledger.holds(document)

    def waits(self, number: int) -> bool:
        """Whether this entry is here, and waits for replay."""
        return self._ledger.waits(number)

    def held(self, number: int) -> Held | None:
        """An entry that is here, but for its body."""
        return self._ledger.get(number)
