"""Documents of a store as they are, whatever system wrote them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from anyio import to_thread

from ...codec.cursor import Position as CursorPosition
from ...codec.cursor import encode_cursor
from ...codec.document import decode
from ...codec.ids import stored_id
from ...errors import CorruptRecord, Unavailable
from ...models import SHIPPED, AgentMemory, AgentState, CoordinationEvent, SystemState
from ...operations import Options, Page, Ref
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record, spec_of
from ...values import JsonMap, NonEmpty, utc_now
from ..entries import DEFAULT_START
from ..legacy.documents import document, is_expired
from ..legacy.found import Found, Origin, of_record
from ..legacy.kin import Kin
from ..legacy.times import moment_of
from .chunks import Chunk, Position

PAGE: Final = 200
"""Documents read at a time."""
PATIENCE: Final = 60.0
"""Seconds for one page, one read or one commit."""
_NEWEST: Final = 2**31
_WITH_WORDS: Final = frozenset({AgentState, AgentMemory, CoordinationEvent, SystemState})
"""Types whose fields, and the words in them, earlier systems called otherwise."""


class RawDocument(Record):
    """A stored document: its id, its fields, and the schema version they are of (0: none)."""

    document_id: NonEmpty
    version: int
    content: JsonMap

    @classmethod
    def upgrade_under(cls, key: str, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        """Every document is one: whatever its fields, they become `content`."""
        return {"document_id": key, "version": from_version, "content": data}


@cache
def raw(model: type[Record]) -> type[RawDocument]:
    """The documents in the collection of `model`."""

    class Raw(
        RawDocument,
        collection=spec_of(model).collection,
        key="document_id",
        schema_version=_NEWEST,
    ):
        pass

    return Raw


async def raw_pages(
    memory: MemoryManager, model: type[Record], after: str | None = None
) -> AsyncGenerator[Page[RawDocument]]:
    """All documents of a collection by id, behind the id `after`; ``corrupt`` are no documents.

    Raises ``Unavailable`` rather than leave something out in an outage.
    """
    query: Query[RawDocument] = Query(raw(model), page_size=PAGE)
    if after is not None:
        cursor = encode_cursor(query, CursorPosition((), stored_id(after), 0))
        query = query.with_(after=cursor)
    options = Options(cache="bypass", corrupt="skip", timeout=PATIENCE)
    while True:
        page = await memory.find(query, options=options)
        if not page.complete:
            raise Unavailable(
                "an outage hides part of the documents; go on when the store is back",
                operation="migrate",
                collection=query.spec.collection,
            )
        yield page
        if page.cursor is None:
            return
        query = query.with_(after=page.cursor)


@dataclass(frozen=True, slots=True)
class StoreSource:
    """A database of an earlier system, opened as a memory."""

    memory: MemoryManager
    name: str = "a store"
    models: tuple[type[Record], ...] = SHIPPED

    async def batches(
        self, start: Position | None = None, only: frozenset[str] | None = None
    ) -> AsyncGenerator[list[Chunk]]:
        """Chunks of the collections, in the order of their names; a chunk is a page."""
        for model in sorted(self.models, key=lambda model: spec_of(model).collection):
            place = spec_of(model).collection
            if only is not None and place not in only:
                continue
            here = start if start is not None and start.place == place else None
            if start is not None and (place < start.place or (here and here.ended)):
                continue
            async for chunk in self._of(model, place, here):
                yield [chunk]

    async def _of(
        self, model: type[Record], place: str, start: Position | None
    ) -> AsyncGenerator[Chunk]:
        first, mark = (start.pieces, start.mark) if start else (0, "")
        kin = await self._kin() if model is AgentState else Kin()
        async for page in raw_pages(self.memory, model, mark or None):
            founds = await to_thread.run_sync(_founds, model, page.records, kin)
            founds += tuple(Found(error.key, problem=why_corrupt(error)) for error in page.corrupt)
            mark = page.items[-1].record.document_id if page.items else mark
            yield Chunk(place, founds, first, mark, ends=page.cursor is None)
            first += len(founds)

    async def _kin(self) -> Kin:
        """All agents: their states are read twice, because any may name another."""
        kin = Kin()
        async for page in raw_pages(self.memory, AgentState):
            for found in await to_thread.run_sync(_founds, AgentState, page.records, kin):
                kin.add(found)
        return kin


def why_corrupt(error: CorruptRecord) -> str:
    return f"the stored fields {', '.join(error.fields)} cannot be read"


def _founds(model: type[Record], documents: Iterable[RawDocument], kin: Kin) -> tuple[Found, ...]:
    return tuple(kin.resolved(found_in(model, stored)) for stored in documents)


def found_in(model: type[Record], stored: RawDocument) -> Found:
    """The record in a document of an earlier system."""
    key, content = stored.document_id, dict(stored.content)
    if stored.version:
        return Found(key, warnings=("written by this library, left out; export it to move it",))
    if is_expired(content, utc_now()):
        return Found(key, warnings=("expired, left out",))
    if model not in _WITH_WORDS:
        try:
            record = decode(Ref(model, key), content)
        except CorruptRecord:
            pass
        else:
            return of_record(record, key, _naive(record, content))
    return document(model, key, content, Origin(time=DEFAULT_START))


def _naive(record: Record, content: dict[str, Any]) -> tuple[str, ...]:
    """A note on the times that told no zone."""
    times = (name for name, value in record if isinstance(value, datetime))
    moments = {name: moment_of(content.get(name)) for name in times}
    names = sorted(name for name, moment in moments.items() if moment and moment.naive)
    return (f"without a zone, read as UTC: {', '.join(names)}",) if names else ()
