"""What is known of records without their store: what its cache holds, then what is kept here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ...backends.rows import Row, stored_of
from ...codec.document import is_expired
from ...errors import Unavailable
from ...intake import CHUNK
from ...operations import Options, Page, Ref, Source, Stored
from ...queries import Query
from ...record import Record
from ...slices import sliced
from ..sourced import SourcedRow
from .overlay import UNKNOWN, may_hold, overlaid
from .standby import Known, Standby

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .queued import Queued

R = TypeVar("R", bound=Record)

CACHE_SECONDS: Final = 0.25
"""How long the cache is waited for in an outage, for every 400 records: it has its own deadline,
but what stands in for one may have none."""


class Recall:
    """Knows records without asking their store. Nothing it says is older than ``max_age``."""

    def __init__(self, primary: MemoryManager, standby: Standby) -> None:
        self._primary = primary
        self._standby = standby

    async def records(
        self, refs: Sequence[Ref[R]], options: Options, now: datetime
    ) -> dict[Ref[R], Stored[R]]:
        """The last known copies of those records that are known to exist."""
        if options.max_age == 0:
            return {}
        found = await self._cached(refs, options)
        async for ref in sliced(refs):
            if ref not in found and (known := self._kept(ref, options, now)):
                found[ref] = stored_from(ref, known)
        return found

    async def _cached(self, refs: Sequence[Ref[R]], options: Options) -> dict[Ref[R], Stored[R]]:
        if not refs:
            return {}
        found: Mapping[Ref[R], Stored[R] | None] = {}
        with anyio.move_on_after(CACHE_SECONDS * -(-len(refs) // CHUNK)):
            try:
                snapshot = await self._primary.read(refs, options=cache_only(options))
                found = dict(zip(refs, snapshot.items, strict=True))
            except Unavailable as failure:
                found = failure.known
        # What the cache takes for absent may have been written since by who could not tell it.
        return {
            ref: stored
            for ref, stored in found.items()
            if stored is not None and is_young(stored.age, options)
        }

    def _kept(self, ref: Ref[Any], options: Options, now: datetime) -> Known | None:
        known = self._standby.get(ref)
        if known is None or not is_young(known.age, options):
            return None
        # Its time may have been prolonged meanwhile.
        return None if is_expired(known.row.document, now) else known

    async def page(self, query: Query[R], options: Options) -> Page[R] | None:
        """The cache's page, ``None`` if it has none."""
        if options.max_age == 0:
            return None
        page: Page[R] | None = None
        seconds = CACHE_SECONDS * (1 + query.page_size // CHUNK)
        with anyio.move_on_after(seconds):
            try:
                page = await self._primary.find(query, options=cache_only(options))
            except Unavailable:
                return None
        if page is None or not all(is_young(item.age, options) for item in page.items):
            return None
        return page

    async def rows(
        self,
        query: Query[Any],
        queued: Mapping[Ref[Any], Sequence[Queued]],
        options: Options,
        now: datetime,
    ) -> list[Row]:
        """The last known documents of the collection, as they are after the queued writes."""
        copies = self._copies(query, options)
        by_key = {ref.key: items for ref, items in queued.items()}
        rows: list[Row] = []
        async for key in sliced({**copies, **by_key}):
            known, items = copies.get(key), by_key.get(key, ())
            ref = Ref(query.model, key, query.namespace)
            if known and may_hold(*self._standby.latest(ref), items, now):
                known = None
            base = UNKNOWN if known is None else sourced(known)
            row = overlaid(ref, base, items, now)
            if isinstance(row, Row):
                rows.append(row)
        return rows

    def _copies(self, query: Query[Any], options: Options) -> dict[str, Known]:
        copies = self._standby.collection(query.spec.collection, query.namespace)
        if options.max_age is None:
            return copies
        return {key: known for key, known in copies.items() if is_young(known.age, options)}


def cache_only(options: Options) -> Options:
    """The same call of the cache alone, which keeps its own time."""
    return replace(options, cache="only", timeout=None)


def is_young(age: float, options: Options) -> bool:
    """Whether a copy is new enough for the caller; with a ``max_age`` of 0 none is."""
    return options.max_age is None or age <= options.max_age != 0


def sourced(known: Known) -> SourcedRow:
    row, age = known
    return SourcedRow(row.stored_id, row.document, row.revision, source=Source.MEMORY, age=age)


def stored_from(ref: Ref[R], known: Known) -> Stored[R]:
    return replace(stored_of(ref, known.row), source=Source.MEMORY, age=known.age)
