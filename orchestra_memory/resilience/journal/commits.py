"""One thread that writes, and commits that are shared.

All state is the event loop's; the thread is given changes and returns. While one commit is under
way, what arrives waits, and becomes the next one: the more writers there are, the more of them
share an fsync.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar

from ...errors import DurabilityUnavailable, StorageError
from .table import Change, execute

T = TypeVar("T")
Ended: TypeAlias = Callable[[bool], None]

_PASSING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REASONS: Final = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its disk refused a write",
    sqlite3.SQLITE_READONLY: "its file became read-only",
    sqlite3.SQLITE_CANTOPEN: "its file is gone",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is damaged",
}


@dataclass(slots=True, eq=False)
class _Job:
    """A change for a commit; `ended` is told whether it is on the disk, also if nobody waits."""

    change: Change
    ended: Ended
    answer: asyncio.Future[None]


class Commits:
    """Brings changes to the disk in groups; `died` is told why nothing more can be written."""

    def __init__(self, connection: sqlite3.Connection, died: Callable[[str], None]) -> None:
        self._connection = connection
        self._died = died
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "orchestra-journal")
        self._waiting: deque[_Job] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._due = False
        self._running = False
        self._closed = False
        self.dead: str | None = None
        self.jobs: int = 0
        self.commits: int = 0

    def check(self) -> None:
        """Raises ``DurabilityUnavailable`` if nothing can be written."""
        if self.dead is not None:
            raise _unavailable(
                f"it died because {self.dead}; restart this process once that is mended, what the "
                "journal holds is kept"
            )
        if self._closed:
            raise _unavailable("it is closed; use it inside `async with`")

    def commit(self, change: Change, ended: Ended) -> asyncio.Future[None]:
        """Done once `change` is on the disk.

        A cancelled caller leaves it either untouched, if it was still waiting, or whole; `ended` is
        told which. Raises ``DurabilityUnavailable``.
        """
        self.check()
        answer: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(_Job(change, ended, answer))
        self._begin_soon()
        return answer

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` reads, between two commits; also of a journal that died."""
        if self._closed:
            raise StorageError(
                "the journal is closed; use it inside `async with`", operation="journal"
            )
        return await self._loop.run_in_executor(self._thread, work, self._connection)

    def do(self, task: Callable[[], None]) -> asyncio.Future[None]:
        """Do something on the thread, behind all that was begun; it must not raise."""
        return self._loop.run_in_executor(self._thread, task)

    async def stop(self) -> None:
        """Accept nothing more, and wait until what was begun is done."""
        self._closed = True
        await self._idle.wait()

    async def close(self, last: Callable[[], None]) -> None:
        """Stop, close the connection, and do what is `last`."""
        await self.stop()
        await self.do(self._connection.close)
        await self.do(last)
        self._thread.shutdown(wait=False)

    def _begin_soon(self) -> None:
        # Behind all tasks that are ready now: those woken by one commit then share the next.
        if not (self._due or self._running):
            self._due = True
            self._idle.clear()
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._due = False
        jobs = self._taken()
        if not jobs:
            self._idle.set()
            return
        self._running = True
        changes = [job.change for job in jobs]
        group = self._loop.run_in_executor(self._thread, commit_all, self._connection, changes)
        group.add_done_callback(partial(self._end, jobs))

    def _taken(self) -> list[_Job]:
        """What waits and was not given up; from here on, nothing of it can be."""
        jobs: list[_Job] = []
        while self._waiting:
            job = self._waiting.popleft()
            if job.answer.done():
                job.ended(False)
            else:
                jobs.append(job)
        return jobs

    def _end(self, jobs: Sequence[_Job], group: asyncio.Future[None]) -> None:
        error = group.exception()
        self._running = False
        if error is None:
            self.jobs += len(jobs)
            self.commits += 1
        elif isinstance(error, sqlite3.Error) and not _is_passing(error):
            self.dead = _reason(error)
            jobs = [*jobs, *self._taken()]
            self._died(self.dead)
        for job in jobs:
            self._answer(job, error)
        if self._waiting:
            self._begin_soon()
        else:
            self._idle.set()

    def _answer(self, job: _Job, error: BaseException | None) -> None:
        job.ended(error is None)
        if job.answer.done():
            return
        if error is None:
            job.answer.set_result(None)
        else:
            job.answer.set_exception(_translated(error))


def commit_all(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """All of it in one transaction, or none."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        execute(connection, changes)
        connection.execute("COMMIT")
    finally:
        connection.rollback()


def _translated(error: BaseException) -> BaseException:
    """An error of its own for each who waits; a bug is told as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    if _is_passing(error):
        ours = _unavailable("another process holds the lock of its file; try again")
    else:
        ours = _unavailable(
            f"{_reason(error)}; the write was not acknowledged. It accepts no more until this "
            "process is restarted"
        )
    ours.__cause__ = error
    return ours


def _unavailable(why: str) -> DurabilityUnavailable:
    return DurabilityUnavailable(f"the journal: {why}", operation="journal")


def _is_passing(error: sqlite3.Error) -> bool:
    return _code(error) in _PASSING


def _reason(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{_REASONS.get(_code(error), 'SQLite failed')} ({name})"


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for what the Python module itself objects to."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
