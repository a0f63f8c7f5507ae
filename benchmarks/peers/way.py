"""What the modules of the peers share; imported in their processes, so of the standard library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

CONCURRENCY: Final = 64
"""Requests under way at once, where they are gathered."""
BATCH: Final = 400
"""Records in one batch, where a peer takes several but does not cut them."""
IN_FLIGHT: Final = 4
"""Batches under way at once."""
RECENT: Final = 50
"""Records in one page of the newest."""

Jobs: TypeAlias = Sequence[Sequence[Any]]
"""The records of each session, oldest first, in the form that the peer takes."""
Plain: TypeAlias = dict[str, Any]
"""A record as JSON."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a task with a prepared store. One that `writes` returns nothing."""

    task: str
    name: str
    run: Callable[[Any, Jobs], Awaitable[Jobs]]
    writes: bool = False


async def gathered(awaitables: Iterable[Awaitable[T]], at_once: int) -> list[T]:
    limit = asyncio.Semaphore(at_once)

    async def limited(awaitable: Awaitable[T]) -> T:
        async with limit:
            return await awaitable

    return await asyncio.gather(*map(limited, awaitables))


def flat(jobs: Jobs) -> list[Any]:
    return [record for job in jobs for record in job]


def chunks(records: Sequence[T]) -> Iterator[Sequence[T]]:
    return (records[start : start + BATCH] for start in range(0, len(records), BATCH))
