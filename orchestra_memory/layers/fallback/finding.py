"""Pages that show the writes which wait, and go by what is known where the store is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import Unavailable
from ...operations import Options, Page, Ref, Source
from ...queries import Query
from ...record import Record
from ...resilience.deadline import Deadline, remaining
from ...scanning import paged
from .merging import Changes, Documents, Merging, changes_of
from .overlay import UNKNOWN, laid_over
from .overlaying import TRIES

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .overlaying import Overlaying
    from .recalling import Recall
    from .remembering import Remembering

R = TypeVar("R", bound=Record)


class Finder:
    """Answers queries: `below` with what waits over it, and else what is to `recall`."""

    def __init__(
        self,
        below: Remembering,
        overlaying: Overlaying,
        recall: Recall,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._below = below
        self._overlaying = overlaying
        self._recall = recall
        self._clock = clock

    async def find(self, query: Query[R], options: Options) -> Page[R]:
        """A page of the query, with what waits for the documents that it may find.

        In an outage it is of what is known, and not ``complete`` unless the cache has all of it.
        """
        try:
            if self._overlaying.is_touched(query):
                return await self._find_over(query, options)
            return await self._below.find(query, options)
        except Unavailable:
            if options.cache == "only":
                raise
            return await self._find_known(query, options)

    async def pages(
        self, primary: MemoryManager, query: Query[R], options: Options
    ) -> AsyncGenerator[Page[R]]:
        """The pages of a query: in one stream, as long as nothing waits and the store answers."""
        left = query
        if not self._overlaying.is_touched(query):
            async with aclosing(primary.pages(query, options=options)) as pages:
                while (page := await _next_of(pages)) is not None:
                    yield page
                    if page.cursor is None:
                        return
                    left = query.with_(after=page.cursor)
                    if self._overlaying.is_touched(query):
                        break
        async with aclosing(paged(lambda rest: self.find(rest, options), left)) as rest:
            async for page in rest:
                yield page

    async def _find_over(self, query: Query[R], options: Options) -> Page[R]:
        """A page of the store with the queued writes over it."""
        deadline = Deadline.after(options.timeout)
        tries = 0
        while True:
            merging = await self._merging(
                query, options, lambda refs: self._documents(refs, remaining(options, deadline))
            )
            while (asked := merging.asked) is not None:
                page = await self._below.find(asked, remaining(options, deadline))
                await merging.take(asked, page)
            tries += 1
            if tries == TRIES or not self._overlaying.was_sent(merging.patched):
                break
        return await merging.page(Source.PRIMARY)

    async def _merging(
        self,
        query: Query[R],
        options: Options,
        documents: Callable[[Sequence[Ref[Any]]], Awaitable[Documents]],
    ) -> Merging[R]:
        now = self._clock()
        waiting = await self._overlaying.waiting_in(query)
        return Merging(query, await changes_of(query, waiting, now, documents), options, now)

    async def _documents(self, refs: Sequence[Ref[Any]], options: Options) -> Documents:
        """The store's documents as they are after what waits for them."""
        parts, _ = await self._overlaying.read(refs, options)
        now = self._clock()
        return {each.ref: laid_over(each.ref, each.stored, each.waiting, now) for each in parts}

    async def _find_known(self, query: Query[R], options: Options) -> Page[R]:
        """What can be answered without the store."""
        page = await self._find_cached(query, options)
        if page is not None:
            return page
        now = self._clock()
        waiting = await self._overlaying.waiting_in(query)
        merging = Merging(query, Changes(complete=False), options, now)
        await merging.add(await self._recall.rows(query, waiting, options, now))
        return await merging.page(Source.MEMORY)

    async def _find_cached(self, query: Query[R], options: Options) -> Page[R] | None:
        """The cache's page with the queued writes over it, ``None`` if it has none."""
        if not self._overlaying.is_touched(query):
            return await self._recall.page(query, options)
        merging = await self._merging(
            query, options, lambda refs: self._known_documents(refs, options)
        )
        while (asked := merging.asked) is not None:
            page = await self._recall.page(asked, options)
            if page is None:
                return None
            await merging.take(asked, page)
        return await merging.page(Source.CACHE)

    async def _known_documents(self, refs: Sequence[Ref[Any]], options: Options) -> Documents:
        """What is known of these documents, as it is after what waits for them."""
        now = self._clock()
        waiting = await self._overlaying.waiting(refs)
        found = await self._recall.records(refs, options, now)
        return {
            ref: laid_over(ref, found.get(ref, UNKNOWN), waiting.get(ref, ()), now) for ref in refs
        }


async def _next_of(pages: AsyncGenerator[Page[R]]) -> Page[R] | None:
    """The next page, ``None`` where the store is away."""
    try:
        return await anext(pages)
    except (Unavailable, StopAsyncIteration):
        return None
