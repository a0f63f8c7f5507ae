"""Following events: each of them, in the order in which the store got them, from where one was."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf
from types import TracebackType
from typing import Final, Self

import anyio

from ..errors import Conflict, DurabilityUnavailable, InvalidQuery, Unavailable
from ..models import CoordinationEvent
from ..operations import Options, Page
from ..protocol import MemoryManager
from ..values import EPOCH
from . import issued, last_words
from .bulk import check_complete
from .followers import Cursor, Progress

log: Final = logging.getLogger("orchestra_memory.coordination")

PAGE: Final = 200
"""Events asked for at once."""
SAVE_EVERY: Final = 1.0
"""Seconds after which it is stored again how far a consumer has come."""
_AS_STORED: Final = Options(cache="bypass")


class Pages:
    """The pages of what may be new, round after round, each round from where `progress` is."""

    def __init__(self, memory: MemoryManager, shards: Sequence[int], progress: Progress) -> None:
        self._memory = memory
        self._shards = shards
        self._progress = progress
        self._start = progress.start
        self._after: str | None = None

    @property
    def round_ended(self) -> bool:
        """Whether the last page was the last there was."""
        return self._after is None

    async def next(self) -> Page[CoordinationEvent]:
        """Raises ``Unavailable`` where an outage may hide events."""
        if self._after is None:
            self._start = self._progress.start
        query = issued.events_from(
            self._start, shards=self._shards, page_size=PAGE, after=self._after
        )
        page = await self._memory.find(query, options=_AS_STORED)
        check_complete(page, query)
        self._after = page.cursor
        return page


class Following:
    """The events that a consumer has not handled yet; see :meth:`Coordination.follow`."""

    def __init__(
        self,
        memory: MemoryManager,
        consumer: str,
        *,
        shards: Sequence[int],
        since: datetime | None,
        every: float,
        overlap: float,
        wait: bool,
    ) -> None:
        if not 0 < every < inf:
            raise InvalidQuery("every must be a number of seconds above 0", field="every")
        if not 0 <= overlap < inf:
            raise InvalidQuery("overlap must be a number of seconds, 0 or more", field="overlap")
        self._consumer = consumer
        self._every = every
        self._wait = wait
        self._cursor = Cursor(memory, consumer)
        self._progress = Progress(since or EPOCH, timedelta(seconds=overlap))
        self._pages = Pages(memory, shards, self._progress)
        self._ready: deque[CoordinationEvent] = deque()
        self._current: CoordinationEvent | None = None
        self._unsaved = False
        self._saved_at = time.monotonic()
        self._away = False

    def __repr__(self) -> str:
        return f"<Following {self._consumer!r} at {self._progress.position.isoformat()}>"

    async def __aenter__(self) -> Self:
        await self._cursor.load(self._progress)
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CoordinationEvent:
        self._handled()
        while not self._ready:
            await self._save()
            await self._take()
            if not self._ready and (self._pages.round_ended or self._away):
                if not self._wait:
                    raise StopAsyncIteration
                await anyio.sleep(self._every)
        if time.monotonic() - self._saved_at >= SAVE_EVERY:
            await self._save()
        self._current = self._ready.popleft()
        return self._current

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._handled()
            await self._save()
            return
        with anyio.move_on_after(last_words.SECONDS, shield=True):
            try:
                await self._save()
            except Conflict:
                # What ended the block must reach the caller.
                log.warning("another one follows the events under the same name")

    def _handled(self) -> None:
        if self._current is not None:
            self._progress.handled(self._current)
            self._current, self._unsaved = None, True

    async def _save(self) -> None:
        if not self._unsaved:
            return
        try:
            await self._cursor.save(self._progress)
            self._unsaved = False
        except (Unavailable, DurabilityUnavailable):
            # Later, then: who dies before that is told of these events again.
            self._note_outage()
        self._saved_at = time.monotonic()

    async def _take(self) -> None:
        """Take what is new on the next page; nothing in an outage that is to be waited for."""
        try:
            page = await self._pages.next()
        except Unavailable:
            if not self._wait:
                raise
            self._note_outage()
            return
        self._away = False
        self._ready.extend(self._progress.new(page.records))

    def _note_outage(self) -> None:
        if not self._away:
            log.warning("events cannot be followed for now: the store is away")
        self._away = True
