"""An append-only file for writes that their store cannot take now."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Final, Self

import anyio
import anyio.to_thread

from ...slices import mapped, sliced
from ...values import to_micros, utc_now
from .adoption import Taking, look_into
from .bounds import CALM_AT, WARN_AT, Bounds, Held, Ledger
from .commits import Commits
from .entries import DocumentKey, Draft, Entry, row_of
from .events import Damaged, Died, Event, FillingUp, Hook
from .files import Lock, databases, remove, remove_stray_locks
from .making import make
from .medium import Medium
from .status import Adoption, JournalFile, JournalStatus
from .table import Found, delete, insert, select, set_reason

READ_AT_ONCE: Final = 200
"""Entries read between two commits, so that who appends need not wait long."""
SETTLED_AT_ONCE: Final = 500
"""Entries settled by one commit, so that they are crossed off in little time."""
DEFAULT_BOUNDS: Final = Bounds()


class Journal:
    """Keeps writes in order until they are replayed, on the disk before they are acknowledged.

    Get one by :meth:`open`. It belongs to one event loop of one process: open it after forking.
    """

    def __init__(
        self,
        path: Path,
        target: str,
        connection: sqlite3.Connection,
        *,
        medium: Medium,
        bounds: Bounds,
        hooks: Iterable[Hook],
        clock: Callable[[], datetime],
    ) -> None:
        self.path = path
        self.target = target
        self.medium: Medium = medium
        self._hooks = tuple(hooks)
        self._clock = clock
        self._ledger = Ledger(bounds)
        self._numbers = count(1)
        self._commits = Commits(connection, self._died)
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._warned = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: str | PathLike[str],
        *,
        target: str,
        bounds: Bounds = DEFAULT_BOUNDS,
        medium: Medium | None = None,
        hooks: Iterable[Hook] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> AsyncIterator[Self]:
        """A new journal in a directory, which is made if need be; several processes may share it.

        ``target`` names the store the entries are for: only a journal of the same target takes them
        over. ``medium`` says whether the directory outlives the machine; by default it is found
        out. At the end, a journal that holds nothing is removed, and one that holds something stays
        for the next process. Raises ``ConfigurationError`` for a directory that cannot have one.
        """
        made = await anyio.to_thread.run_sync(make, Path(directory), target, to_micros(clock()))
        journal = cls(
            made.path,
            target,
            made.connection,
            medium=medium or made.medium,
            bounds=bounds,
            hooks=hooks,
            clock=clock,
        )
        try:
            yield journal
        finally:
            with anyio.CancelScope(shield=True):
                await journal._close(made.lock)

    def __repr__(self) -> str:
        commits, ledger = self._commits, self._ledger
        state = f"dead: {commits.dead}" if commits.dead else f"{len(ledger)} entries"
        return (
            f"<Journal {self.path.name} {state}, {commits.jobs} jobs in {commits.commits} commits>"
        )

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Keep them, all or none, and return their numbers once they are on the disk.

        It is meant for what belongs together, some hundreds: they are counted in one turn of the
        event loop. Entries are in the order in which this was called. A caller that is cancelled
        leaves all or nothing behind. Raises ``JournalFull`` before anything is written if there is
        no room for all of them, ``DurabilityUnavailable`` if the file cannot be written, and
        ``ValueError`` for an id that is here already.
        """
        self._commits.check()
        now = self._now()
        self._check_ids(drafts)
        sizes = [draft.size for draft in drafts]
        self._ledger.admit(len(drafts), sum(sizes), now)
        at = self._ledger.time(now)
        numbers = [next(self._numbers) for _ in drafts]
        for draft, number, size in zip(drafts, numbers, sizes, strict=True):
            self._ledger.add(Held(number, draft.id, draft.document, at, size))
        self._weigh(now)
        if drafts:
            # Rows, with their checksums, are made on the thread.
            rows = map(row_of, drafts, numbers, [at] * len(numbers))
            await self._commits.commit(partial(insert, rows=rows), partial(self._appended, numbers))
        return numbers

    def _appended(self, numbers: Sequence[int], ok: bool) -> None:
        if not ok:
            self._ledger.remove(numbers)

    def _check_ids(self, drafts: Sequence[Draft]) -> None:
        ids = {draft.id for draft in drafts}
        if len(ids) < len(drafts) or not ids.isdisjoint(self._ledger.ids):
            raise ValueError(
                "Draft.id: there is an entry of this id already; give each write its own"
            )

    async def settle(self, numbers: Iterable[int]) -> None:
        """Forget these entries, dead letters among them: they are replayed, or given up.

        Numbers that are not here are passed over. Many are settled in several commits. Raises
        ``DurabilityUnavailable`` if the file cannot be written; they are kept then.
        """
        self._commits.check()
        known = [number for number in numbers if number in self._ledger]
        for start in range(0, len(known), SETTLED_AT_ONCE):
            batch = known[start : start + SETTLED_AT_ONCE]
            work = partial(delete, numbers=batch)
            await self._commits.commit(work, partial(self._settled, batch))

    def _settled(self, numbers: Sequence[int], ok: bool) -> None:
        if ok:
            self._ledger.remove(numbers)
            self._weigh(self._now())

    async def dead_letter(self, number: int, reason: str) -> None:
        """Keep an entry, but out of replay. The reason must not tell what it holds."""
        await self._set_reason(number, reason)

    async def revive(self, number: int) -> None:
        """Let a dead letter wait for replay again, at the place in the order that it had."""
        await self._set_reason(number, None)

    async def _set_reason(self, number: int, reason: str | None) -> None:
        self._commits.check()
        if number in self._ledger:
            work = partial(set_reason, number=number, reason=reason)
            await self._commits.commit(work, partial(self._reason_set, number, reason))

    def _reason_set(self, number: int, reason: str | None, ok: bool) -> None:
        if ok and reason is None:
            self._ledger.revive(number)
        elif ok:
            self._ledger.bury(number)

    async def pending(self) -> list[Entry]:
        """Entries that wait for replay, those of each document in the order to replay them in.

        What cannot be read is left out, and told to the hooks.
        """
        places = await mapped(self._ledger.place, self._ledger.waiting())
        places.sort()
        return await self._entries([number for _, number in places])

    async def pending_for(self, document: DocumentKey) -> list[Entry]:
        """Those for one document, in the order to replay them in."""
        return await self._entries(self._ledger.waiting_for(document))

    async def dead_letters(self) -> list[Entry]:
        """Entries that are kept out of replay."""
        return await self._entries(sorted(self._ledger.dead))

    def holds(self, document: DocumentKey) -> bool:
        """Whether entries for this document wait, those on their way to the disk included."""
        return self._ledger.holds(document)

    async def _entries(self, numbers: Sequence[int]) -> list[Entry]:
        entries: list[Entry] = []
        for start in range(0, len(numbers), READ_AT_ONCE):
            batch = numbers[start : start + READ_AT_ONCE]
            found: Found = await self._commits.read(partial(select, numbers=batch))
            entries += found.entries
            for number in found.damaged:
                self._damaged(number)
        return entries

    def _damaged(self, number: int) -> None:
        ledger = self._ledger
        if number in ledger and number not in ledger.damaged:
            ledger.damage(number)
            self._tell(Damaged(number, ledger[number].document))

    def status(self) -> JournalStatus:
        """How the journal is; without I/O."""
        ledger = self._ledger
        return JournalStatus(
            path=self.path,
            target=self.target,
            medium=self.medium,
            holder=os.getpid(),
            entries=len(ledger) - len(ledger.dead) - len(ledger.damaged),
            dead_letters=len(ledger.dead),
            damaged=len(ledger.damaged),
            bytes=ledger.bytes,
            share=ledger.share(self._now()),
            oldest=ledger.oldest(),
            dead=self._commits.dead,
        )

    async def adopt(self) -> Adoption:
        """Take over the journals in the directory whose process has died.

        Their entries are on the disk here before their files are removed. Among those for one
        document they are put in order by their times, so replay them after, not during, this call.
        Journals for another target, of a later format, or for which there is no room, are left
        alone and listed. Raises ``DurabilityUnavailable`` if this file cannot be written.
        """
        self._commits.check()
        takings: list[Taking] = []
        for path in await anyio.to_thread.run_sync(_tidied, self.path.parent):
            if path != self.path:
                takings.append(await self._adopt(path))
        return Adoption(
            adopted=tuple(each.file for each in takings if not (each.left or each.file.living)),
            entries=sum(len(each.held) for each in takings),
            damaged=sum(each.damaged for each in takings if each.held),
            left=tuple(each.file for each in takings if each.left),
        )

    async def _adopt(self, path: Path) -> Taking:
        taking = Taking(path, self.target, self._ledger, self._numbers)
        entering: list[asyncio.Task[None]] = []
        try:
            await self._commits.commit(taking.copy, partial(self._adopted, taking, entering))
        finally:
            if entering:
                # Not awaited as such: a caller that is cancelled would cancel it.
                await asyncio.wait(entering)
        return taking

    def _adopted(self, taking: Taking, entering: list[asyncio.Task[None]], ok: bool) -> None:
        task = self._loop.create_task(self._enter(taking, committed=ok))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        entering.append(task)

    async def _enter(self, taking: Taking, *, committed: bool) -> None:
        """Count what is in the file now; a task of its own, as that cannot be given up."""
        if committed:
            async for held, dead in sliced(taking.held):
                self._ledger.add(held, dead=dead)
            self._weigh(self._now())
        await self._commits.do(partial(taking.finish, committed=committed))

    def _now(self) -> int:
        return to_micros(self._clock())

    def _weigh(self, now: int) -> None:
        """Tell that it fills up, when it does."""
        share = self._ledger.share(now)
        if share >= WARN_AT and not self._warned:
            self._warned = True
            self._tell(FillingUp(share, len(self._ledger), self._ledger.bytes))
        elif share < CALM_AT:
            self._warned = False

    def _died(self, reason: str) -> None:
        self._tell(Died(reason))

    def _tell(self, event: Event) -> None:
        for hook in self._hooks:
            # In a turn of its own: a hook that raises must not take an answer with it.
            self._loop.call_soon(hook, event)

    async def _close(self, lock: Lock) -> None:
        await self._commits.stop()
        if self._entering:
            await asyncio.wait(self._entering)
        await self._commits.close(partial(self._leave, lock))

    def _leave(self, lock: Lock) -> None:
        empty = not self._ledger
        if empty:
            remove(self.path)
        lock.release(remove=empty)


async def journals(directory: str | PathLike[str], *, target: str) -> list[JournalFile]:
    """Every journal in a directory, the living ones included; nothing in them is changed."""
    return await anyio.to_thread.run_sync(look_into, Path(directory), target)


async def orphans(directory: str | PathLike[str], *, target: str) -> list[JournalFile]:
    """The journals in a directory that no process has open, also those that must be left alone."""
    return [found for found in await journals(directory, target=target) if not found.living]


def _tidied(directory: Path) -> list[Path]:
    remove_stray_locks(directory)
    return databases(directory)
