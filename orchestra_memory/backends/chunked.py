"""Requests side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from ..errors import OrchestraMemoryError


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
