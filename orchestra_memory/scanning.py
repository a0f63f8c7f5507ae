"""Every record that matches a query, read page after page ahead of its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from contextlib import aclosing
from itertools import islice
from sys import getsizeof
from typing import Any, Final, TypeAlias, TypeVar, cast

import anyio
from pydantic import BaseModel

from .errors import CorruptRecord, Unavailable
from .operations import Page, Stored
from .queries import Query
from .record import Record

R = TypeVar("R", bound=Record)
OnCorrupt: TypeAlias = Callable[[CorruptRecord], object]

PAGE_SIZE: Final = 5_000
"""Records to which the pages of a scan grow: a store begins each page with a new search."""
PAGE_BYTES: Final = 16 * 1024 * 1024
"""Bytes in the process to which they grow; two pages are there at a time."""
GROWTH: Final = 4
"""How many times as large as the one before a page may be."""
PAGES_BEFORE_READING_AHEAD: Final = 2
"""Pages after which the reader is taken to want them all."""
SAMPLE: Final = 8
"""Records of a page that are weighed to tell how many the next one may hold."""
FEW: Final = 4
"""Items of a list or a map that are weighed for all of it."""


async def paged(
    find: Callable[[Query[R]], Coroutine[Any, Any, Page[R]]], query: Query[R]
) -> AsyncGenerator[Page[R]]:
    """The pages that `find` gives; see ``MemoryManager.pages``."""
    pages = 0
    upcoming: asyncio.Task[Page[R]] | None = None
    try:
        while True:
            page = await (upcoming or find(query))
            upcoming, pages = None, pages + 1
            if page.cursor is not None:
                size = next_size(query.page_size, pages, page.items)
                query = query.with_(after=page.cursor, page_size=size)
                if pages > PAGES_BEFORE_READING_AHEAD:
                    upcoming = asyncio.create_task(find(query))
            yield page
            if page.cursor is None:
                return
    finally:
        if upcoming is not None:
            upcoming.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(upcoming, return_exceptions=True)


async def scanned(
    pages: AsyncGenerator[Page[R]], *, partial: bool, on_corrupt: OnCorrupt | None
) -> AsyncGenerator[R]:
    """The records on all pages; see ``MemoryManager.scan``."""
    async with aclosing(pages):
        async for page in pages:
            if on_corrupt is not None:
                for error in page.corrupt:
                    on_corrupt(error)
            for item in page.items:
                yield item.record
            _check_complete(page, partial=partial)


def _check_complete(page: Page[Any], *, partial: bool) -> None:
    if not page.complete and not partial:
        raise Unavailable(
            "an outage hides part of the answer; scan(partial=True) takes what is there",
            operation="scan",
        )


def next_size(size: int, pages: int, items: Sequence[Stored[Record]]) -> int:
    """How many records the page behind `items` may hold, the last of `pages` so far."""
    if pages < PAGES_BEFORE_READING_AHEAD:
        return size
    some = items[:: 1 + len(items) // SAMPLE]
    mean = sum(weight(item.record) for item in some) / max(1, len(some))
    room = PAGE_BYTES // int(mean + 1)
    return max(size, min(PAGE_SIZE, size * GROWTH, room))


def weight(record: Record) -> int:
    """Bytes a record takes in the process, estimated from a few items of each list and map."""
    return sum(map(_weight, (*record.__dict__.values(), *record.unknown_fields.values())))


def _weight(value: object) -> int:
    items = _items(value)
    some = list(islice(items, FEW))
    return getsizeof(value) + len(items) * sum(map(_weight, some)) // max(1, len(some))


def _items(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    if isinstance(value, list | tuple | set | frozenset):
        return cast("Collection[object]", value)
    return value.__dict__.values() if isinstance(value, BaseModel) else ()
