"""Requests side by side, and chunks committed so: each whole, each document's in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio

from ..errors import OrchestraMemoryError
from ..operations import Receipt
from .batches import Prepared, partial_write, predecessors

Commit = Callable[[Sequence[Prepared]], Awaitable[Receipt]]


async def commit_chunks(
    chunks: Sequence[Sequence[Prepared]], commit: Commit, *, in_flight: int
) -> list[Receipt]:
    """The receipts, in order. After a failure nothing new starts; what is under way finishes.

    Raises ``PartialWrite`` from the first failure.
    """
    run = _Run(chunks, commit)
    async with anyio.create_task_group() as group:
        for _ in range(min(in_flight, len(chunks))):
            group.start_soon(run.work)
    if run.failure is not None:
        raise partial_write(chunks, run.receipts, run.failure) from run.failure
    return [run.receipts[number] for number in range(len(chunks))]


async def side_by_side(jobs: Sequence[Callable[[], Awaitable[object]]], in_flight: int) -> None:
    """Run all jobs, so many at a time. The first error of ours ends the others and is raised."""
    waiting = iter(jobs)
    failures: list[OrchestraMemoryError] = []

    async def work() -> None:
        for job in waiting:
            try:
                await job()
            except OrchestraMemoryError as error:
                failures.append(error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(min(in_flight, len(jobs))):
            group.start_soon(work)
    if failures:
        raise failures[0]


class _Run:
    def __init__(self, chunks: Sequence[Sequence[Prepared]], commit: Commit) -> None:
        self._chunks = chunks
        self._commit = commit
        self._before = predecessors(chunks)
        self._ended = [anyio.Event() for _ in chunks]
        self._next: Iterator[int] = iter(range(len(chunks)))
        self.receipts: dict[int, Receipt] = {}
        self.failure: OrchestraMemoryError | None = None

    async def work(self) -> None:
        # Chunks are taken in order, so whatever one waits for is under way or done.
        for number in self._next:
            for before in self._before[number]:
                await self._ended[before].wait()
            if self.failure is not None:
                return
            await self._one(number)

    async def _one(self, number: int) -> None:
        try:
            self.receipts[number] = await self._commit(self._chunks[number])
        except OrchestraMemoryError as error:
            self.failure = self.failure or error
        finally:
            self._ended[number].set()
