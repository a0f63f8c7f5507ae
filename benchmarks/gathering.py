"""What users write who have many records: some requests at once, many records in one.

Of the standard library alone: other libraries' processes import it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

BATCH: Final = 400
"""Records in one request, where the way decides."""
IN_FLIGHT: Final = 4
"""Such requests under way at once."""
AT_ONCE: Final = 64
"""Requests for single records under way at once."""


async def gathered(awaitables: Iterable[Awaitable[T]], at_once: int) -> list[T]:
    limit = asyncio.Semaphore(at_once)

    async def limited(awaitable: Awaitable[T]) -> T:
        async with limit:
            return await awaitable

    return await asyncio.gather(*map(limited, awaitables))


def chunks(records: Sequence[T]) -> list[Sequence[T]]:
    return [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
