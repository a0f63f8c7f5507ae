"""What the store answers, together with what waits for the same documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio.lowlevel

from ...operations import FREE, Billed, Options, Ref, Snapshot, Stored
from ...queries import Query
from ...record import Record
from ...slices import sliced
from .markers import Marker
from .overlay import (
    UNKNOWN,
    Unknown,
    Waiting,
    commits_of,
    not_applied,
    stands_alone,
    was_sent_since,
)

if TYPE_CHECKING:
    from .queue import Queue
    from .queued import Queued
    from .remembering import Remembering

R = TypeVar("R", bound=Record)

TRIES: Final = 30
"""How often the store is asked while what waits is being replayed into the very documents."""


@dataclass(frozen=True, slots=True)
class Parts(Generic[R]):
    """An answer in its parts: what is stored, and the writes to go over that.

    What these do not build on was not asked for, and is ``UNKNOWN``.
    """

    ref: Ref[R]
    stored: Stored[R] | Unknown | None
    waiting: Sequence[Queued]


class Overlaying:
    """Reads the store, and knows what waits for it."""

    def __init__(self, below: Remembering, queue: Queue) -> None:
        self._below = below
        self._queue = queue

    def is_touched(self, query: Query[Any]) -> bool:
        """Whether anything waits that the query may have to show."""
        return self._queue.holds_any(query.spec.collection, query.namespace)

    async def waiting(self, refs: Iterable[Ref[Any]]) -> Waiting:
        """What waits for these."""
        if not len(self._queue):
            return {}
        return {ref: items async for ref in sliced(refs) if (items := self._queue.of(ref))}

    async def waiting_in(self, query: Query[Any]) -> Waiting:
        """What waits for documents that the query might find."""
        model, namespace = query.model, query.namespace
        refs = self._queue.refs(query.spec.collection, namespace)
        return await self.waiting(
            ref if ref.model is model else Ref(model, ref.key, namespace) for ref in refs
        )

    async def read(self, refs: Sequence[Ref[R]], options: Options) -> tuple[list[Parts[R]], Billed]:
        """What is stored and what waits of these, in their order, nothing lost between the two."""
        tries = 0
        while True:
            # Looked up before the store is asked: what is replayed meanwhile must not be missed.
            waiting = await self.waiting(refs)
            asked = [ref for ref in refs if not stands_alone(waiting.get(ref, ()))]
            below, markers = await self._read_marked(asked, waiting, options)
            tries += 1
            if tries == TRIES or not self.was_sent({ref: waiting.get(ref, ()) for ref in asked}):
                break
        left = iter(below.items)
        parts: list[Parts[R]] = []
        async for ref in sliced(refs):
            queued = waiting.get(ref, ())
            if stands_alone(queued):
                parts.append(Parts(ref, UNKNOWN, queued))
            else:
                parts.append(Parts(ref, next(left), not_applied(queued, markers)))
        return parts, below.billed

    async def _read_marked(
        self, refs: Sequence[Ref[R]], waiting: Waiting, options: Options
    ) -> tuple[Snapshot[R], Mapping[str, Marker]]:
        """The records, and of the same moment the markers that tell what they have in them."""
        if not refs:
            await anyio.lowlevel.checkpoint()
            return Snapshot((), billed=FREE), {}
        commits = commits_of(item for ref in refs for item in waiting.get(ref, ()))
        if not commits or options.cache == "only":
            return await self._below.read(refs, options), {}
        asked: list[Ref[Any]] = [*refs, *(Ref(Marker, commit) for commit in sorted(commits))]
        both = await self._below.read(asked, replace(options, cache="bypass"))
        found: list[Stored[Marker]] = [item for item in both.items[len(refs) :] if item]
        markers = {item.record.id: item.record for item in found}
        return replace(both, items=both.items[: len(refs)]), markers

    def was_sent(self, waiting: Waiting) -> bool:
        """Whether the documents may have been asked for when some of this was in them already."""
        return any(was_sent_since(items, self._queue.of(ref)) for ref, items in waiting.items())
