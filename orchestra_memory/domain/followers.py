"""How far consumers of events have come, in the store and in the process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from ..errors import Conflict
from ..models import CoordinationEvent, random_id
from ..operations import ABSENT, Durability, Expect, Options, Put, Ref
from ..protocol import MemoryManager
from ..record import Record
from ..values import EPOCH, JsonLike, NonEmpty, UtcDatetime, from_micros, to_micros, utc_now

MOST: Final = 10_000
"""Handled events that are known again; a record has room for four times as many."""
_AS_STORED: Final = Options(cache="bypass")
_SURE: Final = Options(min_durability=Durability.COMMITTED)


class Follower(
    Record,
    collection="followers",
    key="consumer",
    unindexed=["position", "since", "updated_at"],
    large=["recent"],
):
    """How far a consumer has come.

    All events from ``since`` on were handled that were committed before ``position`` less the
    overlap, and of those after it the ``recent`` ones: ``{"id": ..., "at": microseconds}``. Where
    these would be too many, ``since`` comes later. ``holder`` is the one that follows at the time.
    """

    consumer: NonEmpty
    position: UtcDatetime = EPOCH
    since: UtcDatetime = EPOCH
    recent: JsonLike = Field(default_factory=list[JsonLike])
    holder: str = ""
    updated_at: UtcDatetime = Field(default_factory=utc_now)


class Progress:
    """What was handled, and so where to look for more: from ``start`` on, but for what is known."""

    def __init__(self, since: datetime, overlap: timedelta) -> None:
        self.position: datetime = since
        self._since = since
        self._overlap = overlap
        self._recent: dict[str, int] = {}

    @property
    def start(self) -> datetime:
        """Events that may not have been handled were committed from here on."""
        # Compared as spans: nothing is before the first time there is.
        return self._since + max(self.position - self._since - self._overlap, timedelta())

    def load(self, follower: Follower) -> None:
        """Go on from what was stored."""
        self.position, self._since = follower.position, follower.since
        self._recent = dict(_entries(follower.recent))

    def new(self, events: Iterable[CoordinationEvent]) -> list[CoordinationEvent]:
        """Those that were not handled yet."""
        return [event for event in events if event.event_id not in self._recent]

    def handled(self, event: CoordinationEvent) -> None:
        """Take an event into account."""
        at = event.committed_at or self.position
        self.position = max(self.position, at)
        self._recent[event.event_id] = to_micros(at)

    def as_record(self, consumer: str, holder: str) -> Follower:
        """What to store of it, and from now on to know: nothing before where it looks for more."""
        self._forget_before(to_micros(self.start))
        if (beyond := len(self._recent) - MOST) > 0:
            self._look_back_less(beyond)
        return Follower(
            consumer=consumer,
            position=self.position,
            since=self._since,
            recent=[{"id": key, "at": at} for key, at in self._recent.items()],
            holder=holder,
        )

    def _look_back_less(self, beyond: int) -> None:
        """Forget so many of the oldest, and look for no more where these were."""
        last = sorted(self._recent.values())[beyond - 1]
        # More may come of the very time that was reached, so all of that has to be known.
        last = min(last, to_micros(self.position) - 1)
        self._since = from_micros(last + 1)
        self._forget_before(last + 1)

    def _forget_before(self, first: int) -> None:
        self._recent = {key: at for key, at in self._recent.items() if at >= first}


def _entries(recent: JsonLike) -> Iterator[tuple[str, int]]:
    for entry in recent if isinstance(recent, list) else ():
        match entry:
            case {"id": str(key), "at": int(at)}:
                yield key, at
            case _:
                continue


class Cursor:
    """The stored progress of a consumer."""

    def __init__(self, memory: MemoryManager, consumer: str) -> None:
        self._memory = memory
        self._ref = Ref(Follower, consumer)
        self._holder = random_id()
        self._expect: Expect = ABSENT

    async def load(self, progress: Progress) -> None:
        """Have `progress` go on from what is stored, if anything is."""
        snapshot = await self._memory.read([self._ref], options=_AS_STORED)
        if (stored := snapshot[0]) is not None:
            self._expect = stored.revision
            progress.load(stored.record)

    async def save(self, progress: Progress) -> None:
        """Raises ``Conflict`` if another one follows under the name by now."""
        follower = progress.as_record(self._ref.key, self._holder)
        try:
            await self._put(follower)
        except Conflict:
            # It may have been this one, whose answer was lost.
            await self._check_holder()
            await self._put(follower)

    async def _put(self, follower: Follower) -> None:
        receipt = await self._memory.write([Put(follower, self._expect)], options=_SURE)
        self._expect = receipt.revisions[0]

    async def _check_holder(self) -> None:
        snapshot = await self._memory.read([self._ref], options=_AS_STORED)
        stored = snapshot[0]
        if stored is None or stored.record.holder != self._holder:
            raise Conflict(
                "another process follows the events under this consumer's name; give each one "
                "a name of its own",
                refs=[self._ref],
                operation="follow",
            )
        self._expect = stored.revision
