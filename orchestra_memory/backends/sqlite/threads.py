"""The threads SQLite works in, so that the event loop never waits for a disk.

One thread writes: SQLite takes one writer at a time anyway, and in a queue of our own several
writes can share a commit. A few threads read, each with a connection of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from ...errors import StorageError
from .commit import Job, Outcome, commit_group

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

GROUP_OPERATIONS: Final = 2_000
"""Operations after which a commit takes no more jobs, so that the first ones need not wait long."""


class Writer:
    """The thread that writes, and its connection, which it closes at the end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "orchestra-sqlite-writer")
        self._waiting: deque[tuple[Job, Future[Outcome]]] = deque()
        self.jobs: int = 0
        self.commits: int = 0

    async def run(self, work: Work[T]) -> T:
        """The result of `work`, done between two commits."""
        return await asyncio.wrap_future(_submitted(self._thread, work, self._connection))

    async def commit(self, job: Job) -> Outcome:
        """What became of the job, once it is on the disk.

        A cancelled caller leaves it either untouched, if it was still waiting, or whole.
        """
        outcome: Future[Outcome] = Future()
        self._waiting.append((job, outcome))
        try:
            _submitted(self._thread, self._commit_waiting)
        except StorageError:
            self._waiting.remove((job, outcome))
            raise
        return await asyncio.wrap_future(outcome)

    def _commit_waiting(self) -> None:
        """Commit whatever waits; with nothing left, an earlier call has done it."""
        if not self._waiting:
            return
        answers: list[Future[Outcome]] = []
        try:
            outcomes = commit_group(self._connection, partial(self._taken, answers))
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of a bug, too
            for answer in answers:
                answer.set_exception(error)
            return
        self.jobs += len(answers)
        self.commits += bool(answers)
        for answer, outcome in zip(answers, outcomes, strict=True):
            answer.set_result(outcome)

    def _taken(self, answers: list[Future[Outcome]]) -> list[Job]:
        """The next jobs that nobody has cancelled; from here on nobody can."""
        jobs: list[Job] = []
        operations = 0
        while self._waiting and operations < GROUP_OPERATIONS:
            job, answer = self._waiting.popleft()
            if answer.set_running_or_notify_cancel():
                jobs.append(job)
                answers.append(answer)
                operations += job.operations
        return jobs

    def close(self) -> None:
        """Finish what waits; blocks until it is done."""
        self._thread.shutdown()
        self._connection.close()


class Readers:
    """Threads that read, one for each of these connections, which they close at the end."""

    def __init__(self, connections: Sequence[sqlite3.Connection]) -> None:
        self._connections = connections
        self._idle = list(connections)
        self._threads = ThreadPoolExecutor(len(connections), "orchestra-sqlite-reader")

    async def run(self, work: Work[T]) -> T:
        """The result of `work`. A cancelled caller interrupts its statement."""
        reading = _Reading(work, self._idle)
        try:
            return await asyncio.wrap_future(_submitted(self._threads, reading))
        except asyncio.CancelledError:
            reading.interrupt()
            raise

    def close(self) -> None:
        """Finish what was begun; blocks until it is done."""
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()


class _Reading(Generic[T]):
    """One call, with the connection it has while it runs."""

    def __init__(self, work: Work[T], idle: list[sqlite3.Connection]) -> None:
        self._work = work
        self._idle = idle
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    def __call__(self) -> T:
        # There are as many connections as threads.
        connection = self._idle.pop()
        self._hold(connection)
        try:
            return self._work(connection)
        finally:
            self._hold(None)
            self._idle.append(connection)

    def _hold(self, connection: sqlite3.Connection | None) -> None:
        with self._lock:
            self._connection = connection

    def interrupt(self) -> None:
        # Under the lock the connection is still ours, and not at work for somebody else.
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()


def _submitted(threads: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> Future[T]:
    try:
        return threads.submit(work, *arguments)
    except RuntimeError:
        raise StorageError("this memory is closed; use it inside `async with`") from None
