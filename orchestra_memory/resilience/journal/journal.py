"""An append-only file for writes that their store cannot take now."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from itertools import repeat
from os import PathLike
from pathlib import Path
from typing import Final, Self

import anyio
import anyio.to_thread

from ...slices import sliced
from ...values import to_micros, utc_now
from .adoption import Taking
from .books import Booked, Books
from .bounds import Bounds
from .commits import Commits
from .entries import DocumentKey, Draft, Entry, check_text, values_of
from .events import Damaged, Died, Hook
from .files import Lock, databases, remove, remove_stray_locks
from .inspection import look_into, read
from .making import make
from .medium import Medium
from .status import Adoption, JournalFile, JournalStatus
from .table import Found, deletion, insertion, new_batch, new_reason, select

READ_AT_ONCE: Final = 200
"""Entries read between two commits, so that who appends need not wait long."""
SETTLED_AT_ONCE: Final = 500
"""Entries settled by one commit, so that they are crossed off in little time."""
DEFAULT_BOUNDS: Final = Bounds()


class Journal(Booked):
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
        super().__init__(Books(bounds, hooks, clock))
        self.path = path
        self.target = target
        self.medium: Medium = medium
        self._commits = Commits(connection, self._died)
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()

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

    async def append(self, drafts: Sequence[Draft], *, batch: str | None = None) -> list[int]:
        """Keep them, all or none, and return their numbers once they are on the disk.

        It is meant for what belongs together, some hundreds: they are counted in one turn of the
        event loop. Entries are in the order in which this was called; those that name no batch of
        their own belong to this one. A caller that is cancelled leaves all or nothing behind.
        Raises ``JournalFull`` before anything is written if there is no room for all of them,
        ``DurabilityUnavailable`` if the file cannot be written, and ``ValueError`` for an id that
        is here already.
        """
        self._commits.check()
        kept, held = self._books.enter(drafts, batch)
        numbers = [each.number for each in held]
        if kept:
            # Rows, with their checksums, are made on the thread.
            rows = map(values_of, kept, numbers, repeat(held[0].at))
            await self._commits.commit(insertion(rows), partial(self._appended, numbers))
        return numbers

    def _appended(self, numbers: Sequence[int], ok: bool) -> None:
        if not ok:
            self._ledger.remove(numbers)

    async def bind(self, numbers: Iterable[int], batch: str) -> None:
        """Name what these entries are applied together with, all or none, on the disk.

        Numbers that are not here are passed over. Raises ``DurabilityUnavailable`` if the file
        cannot be written.
        """
        self._commits.check()
        check_text("batch", batch)
        if known := self._books.known(numbers):
            await self._commits.commit(new_batch(known, batch), _ignored)

    async def settle(self, numbers: Iterable[int]) -> None:
        """Forget these entries, dead letters among them: they are replayed, or given up.

        Numbers that are not here are passed over. Many are settled in several commits. Raises
        ``DurabilityUnavailable`` if the file cannot be written; they are kept then.
        """
        self._commits.check()
        known = self._books.known(numbers)
        for start in range(0, len(known), SETTLED_AT_ONCE):
            batch = known[start : start + SETTLED_AT_ONCE]
            await self._commits.commit(deletion(batch), partial(self._settled, batch))

    def _settled(self, numbers: Sequence[int], ok: bool) -> None:
        if ok:
            self._books.cross_off(numbers)

    async def dead_letter(self, number: int, reason: str) -> None:
        """Keep an entry, but out of replay. The reason must not tell what it holds."""
        await self._set_reason(number, reason)

    async def revive(self, number: int) -> None:
        """Let a dead letter wait for replay again, at the place in the order that it had."""
        await self._set_reason(number, None)

    async def _set_reason(self, number: int, reason: str | None) -> None:
        self._commits.check()
        if number in self._ledger:
            change = new_reason(number, reason)
            await self._commits.commit(change, partial(self._reason_set, number, reason))

    def _reason_set(self, number: int, reason: str | None, ok: bool) -> None:
        if ok:
            self._books.set_reason(number, reason)

    async def pending(self) -> list[Entry]:
        """Entries that wait for replay, those of each document in the order to replay them in.

        What cannot be read is left out, and told to the hooks.
        """
        return await self._entries(await self._books.in_order())

    async def pending_for(self, document: DocumentKey) -> list[Entry]:
        """Those for one document, in the order to replay them in."""
        return await self._entries(self._ledger.waiting_for(document))

    async def dead_letters(self) -> list[Entry]:
        """Entries that are kept out of replay."""
        return await self._entries(sorted(self._ledger.dead))

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
            self._books.tell(Damaged(number, ledger[number].document))

    def status(self) -> JournalStatus:
        """How the journal is; without I/O."""
        return self._books.status(self.path, self.target, self.medium, dead=self._commits.dead)

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
        taking = Taking(path, self.target, self._ledger, self._books.numbers)
        entering: list[asyncio.Task[None]] = []
        try:
            await self._commits.commit(
                insertion(taking.rows()), partial(self._adopted, taking, entering)
            )
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
            self._books.weigh()
        await self._commits.do(partial(taking.finish, committed=committed))

    def _died(self, reason: str) -> None:
        self._books.tell(Died(reason))

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


async def journals(directory: str | PathLike[str], *, target: str | None) -> list[JournalFile]:
    """Every journal in a directory, the living ones included; nothing in them is changed.

    Those for another store than ``target`` are listed with that as their ``refusal``; with ``None``
    all that can be read are told about.
    """
    return await anyio.to_thread.run_sync(look_into, Path(directory), target)


async def entries_in(path: str | PathLike[str]) -> tuple[JournalFile, list[Entry]]:
    """A journal, whoever it belongs to, and all it holds; nothing in it is changed.

    What is damaged is among it, as dead letters that are not ``intact``. A journal that cannot be
    read, or is gone, has no entries, and a ``refusal``.
    """
    return await anyio.to_thread.run_sync(read, Path(path))


async def orphans(directory: str | PathLike[str], *, target: str) -> list[JournalFile]:
    """The journals in a directory that no process has open, also those that must be left alone."""
    return [found for found in await journals(directory, target=target) if not found.living]


def _tidied(directory: Path) -> list[Path]:
    remove_stray_locks(directory)
    return databases(directory)


def _ignored(_: bool) -> None:
    """Nothing is counted for what a commit did."""
