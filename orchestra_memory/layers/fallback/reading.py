"""Reads that show the writes which wait, and go by what is known where the store is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ...codec.document import decode
from ...errors import Unavailable
from ...operations import Measure, Options, Page, Ref, Snapshot, Source, Stored, Totals
from ...queries import Query
from ...record import Record
from ...slices import sliced
from ...values import utc_now
from ..sourced import document_of
from .finding import Finder
from .overlay import UNKNOWN, Unknown, Waiting, may_hold, shown, stands_alone
from .overlaying import TRIES, Overlaying, Parts
from .recalling import Recall
from .remembering import Remembering

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .queue import Queue
    from .queued import Queued
    from .standby import Standby

R = TypeVar("R", bound=Record)


class Reader:
    """Reads `primary` with what waits in `queue`; where it is away, what is known of it.

    ``clock`` tells the time by which records expire and queued writes grow old.
    """

    def __init__(
        self,
        primary: MemoryManager,
        queue: Queue,
        standby: Standby,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._primary = primary
        self._queue = queue
        self._standby = standby
        self._clock = clock
        self._below = Remembering(primary, standby)
        self._overlaying = Overlaying(self._below, queue)
        self._recall = Recall(primary, standby)
        self._finder = Finder(self._below, self._overlaying, self._recall, clock=clock)

    async def read(self, refs: Sequence[Ref[R]], options: Options) -> Snapshot[R]:
        """The records at `refs`, with what waits for them.

        In an outage the last known copies; ``Unavailable`` where there are none, with what is
        ``known``. Only what a queued write removes is absent then.
        """
        try:
            if len(self._queue) and await self._overlaying.waiting(refs):
                return await self._read_over(refs, options)
            return await self._below.read(refs, options)
        except Unavailable as failure:
            if options.cache == "only":
                raise
            return await self._read_known(refs, options, failure)

    async def find(self, query: Query[R], options: Options) -> Page[R]:
        """A page of the query, with what waits for the documents that it may find.

        In an outage it is of what is known, and not ``complete`` unless the cache has all of it.
        """
        return await self._finder.find(query, options)

    def pages(self, query: Query[R], options: Options) -> AsyncGenerator[Page[R]]:
        """All pages of a query, one after another, each as from `find`; none is remembered."""
        return self._finder.pages(self._primary, query, options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], options: Options
    ) -> Totals:
        """The store's totals. Raises ``Unavailable`` where writes wait that would change them."""
        if self._overlaying.is_touched(query):
            raise Unavailable(
                f"{query.spec.collection}: writes wait to be replayed, and the store's totals lack "
                "them; look at health() for when they are",
                operation="aggregate",
                collection=query.spec.collection,
            )
        return await self._primary.aggregate(query, measures, options=options)

    async def _read_over(self, refs: Sequence[Ref[R]], options: Options) -> Snapshot[R]:
        """The answers of the store with the queued writes over them."""
        parts, billed = await self._overlaying.read(refs, options)
        now = self._clock()
        answers: dict[int, Stored[R] | None] = {}
        async for place, each in sliced(enumerate(parts)):
            answer = self._showing(each.ref, each.stored, each.waiting, now)
            if isinstance(answer, Stored) or (answer is None and self._is_sure(each)):
                answers[place] = answer
        if len(answers) < len(refs):
            known = {refs[place]: answer for place, answer in answers.items()}
            raise _unknown([ref for ref in refs if ref not in known], known, options)
        return Snapshot(tuple(answers.values()), None, billed)

    def _showing(
        self,
        ref: Ref[R],
        stored: Stored[R] | Unknown | None,
        queued: Sequence[Queued],
        now: datetime,
    ) -> Stored[R] | Unknown | None:
        """The answer to a read, remembered for who decides on it."""
        answer = shown(ref, stored, queued, now)
        if queued and isinstance(answer, Stored):
            self._standby.shown.keep(ref, answer)
        return answer

    def _may_hold(
        self, ref: Ref[Any], known: Stored[Any], queued: Sequence[Queued], now: datetime
    ) -> bool:
        if known.source is Source.MEMORY:
            return may_hold(*self._standby.latest(ref), queued, now)
        return may_hold(known.revision, known.age, queued, now)

    def _is_sure(self, each: Parts[Any]) -> bool:
        """Whether what is absent by these parts is so: more may wait that nobody can read."""
        return not each.waiting or not self._queue.is_blocked(each.ref)

    async def _read_known(
        self, refs: Sequence[Ref[R]], options: Options, failure: Unavailable
    ) -> Snapshot[R]:
        """What can be answered without the store."""
        now = self._clock()
        waiting, found = await self._known(refs, options, now)
        alone = {ref for ref, queued in waiting.items() if stands_alone(queued)}
        answers: dict[Ref[Any], Stored[R] | None] = {}
        async for ref in sliced(dict.fromkeys(refs)):
            known, queued = found.get(ref), waiting.get(ref, ())
            if known and self._may_hold(ref, known, queued, now):
                known = None
            answer = self._showing(ref, known or UNKNOWN, queued, now)
            if answer is None and (ref not in alone or self._queue.is_blocked(ref)):
                # Only what waits here tells that something is gone.
                continue
            if answer is not UNKNOWN:
                answers[ref] = answer
        if unknown := [ref for ref in refs if ref not in answers]:
            raise _unknown(unknown, answers, options) from failure
        return Snapshot(tuple(_each_its_own(refs, answers)))

    async def _known(
        self, refs: Sequence[Ref[R]], options: Options, now: datetime
    ) -> tuple[Waiting, Mapping[Ref[Any], Stored[R]]]:
        """What waits, and what is known of that on which it builds; nothing is in both."""
        tries = 0
        while True:
            # In this order: what is replayed meanwhile must not be missed.
            waiting = await self._overlaying.waiting(refs)
            asked = {ref: waiting.get(ref, ()) for ref in refs}
            asked = {ref: queued for ref, queued in asked.items() if not stands_alone(queued)}
            found = await self._recall.records([*asked], options, now)
            tries += 1
            if tries == TRIES or not self._overlaying.was_sent(asked):
                return waiting, found


def _each_its_own(
    refs: Sequence[Ref[R]], answers: Mapping[Ref[Any], Stored[R] | None]
) -> Iterator[Stored[R] | None]:
    """The answers in order; who asks twice for a record gets two that share nothing mutable."""
    given: set[Ref[R]] = set()
    for ref in refs:
        answer = answers[ref]
        if answer is not None and ref in given:
            record = decode(ref, document_of(answer.record))
            answer = replace(answer, record=record)
        yield answer
        given.add(ref)


def _unknown(
    unknown: Sequence[Ref[Any]], known: Mapping[Ref[Any], Any], options: Options
) -> Unavailable:
    first = unknown[0]
    enough = "" if options.max_age is None else f" that is no older than {options.max_age:g} s"
    return Unavailable(
        f"the store does not answer, and nothing{enough} is known of {len(unknown)} of the records "
        f"asked for (first: {first.collection}/{first.key}); try again when it is back",
        operation="read",
        collection=first.collection,
        key=first.key,
        known=known,
    )
