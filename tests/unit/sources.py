"""Records for bulk writes, from sources of every kind."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio
import anyio.lowlevel

from orchestra_memory.testing.contract.models import Lease


def leases(count: int, *, keys: int | None = None) -> list[Lease]:
    """Records with rising ranks; several of each id if there are fewer `keys`."""
    return [Lease(id=f"n{i if keys is None else i % keys}", rank=i) for i in range(count)]


def as_list(items: Iterable[Any]) -> Any:
    return list(items)


def as_iterator(items: Iterable[Any]) -> Any:
    return iter(items)


async def as_stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def as_halting_stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for number, item in enumerate(items):
        yield item
        if number % 97 == 0:
            await anyio.lowlevel.checkpoint()


class AsObject:
    """Asynchronous, and no generator."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    def __aiter__(self) -> "AsObject":
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


SOURCES = [as_list, as_iterator, as_stream, as_halting_stream, AsObject]
ITERATORS = SOURCES[1:]


class Closing:
    """An endless source that tells whether it was closed."""

    def __init__(self, *, halts_at: int | None = None) -> None:
        self.closed = False
        self.halts_at = halts_at

    async def records(self) -> AsyncIterator[Lease]:
        number = 0
        try:
            while True:
                if number == self.halts_at:
                    await anyio.sleep_forever()
                yield Lease.model_construct(id=f"n{number}", rank=number, expiration=None)
                number += 1
        finally:
            self.closed = True
