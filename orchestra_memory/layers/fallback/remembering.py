"""The store, asked so that what it answers is kept for an outage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ...intake import CHUNK
from ...operations import Options, Page, Ref, Snapshot
from ...queries import Query
from ...record import Record

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .standby import Standby

R = TypeVar("R", bound=Record)


class Remembering:
    """Reads `primary`, and lets `standby` see what is read, but for bulk of more than 400."""

    def __init__(self, primary: MemoryManager, standby: Standby) -> None:
        self._primary = primary
        self._standby = standby

    async def read(self, refs: Sequence[Ref[R]], options: Options) -> Snapshot[R]:
        began = self._standby.moment
        snapshot = await self._primary.read(refs, options=options)
        if len(refs) <= CHUNK:
            self._standby.saw_read(refs, snapshot.items, as_of=snapshot.as_of, began=began)
        return snapshot

    async def find(self, query: Query[R], options: Options) -> Page[R]:
        began = self._standby.moment
        page = await self._primary.find(query, options=options)
        if len(page.items) <= CHUNK:
            self._standby.saw_page(query, page.items, began=began)
        return page
