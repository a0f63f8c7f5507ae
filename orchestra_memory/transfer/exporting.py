"""Everything, or one user's records, as JSONL: page by page, whole or continued."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from anyio import to_thread

from ..codec.cursor import Position, encode_cursor
from ..codec.ids import stored_id
from ..errors import InvalidQuery, Unavailable
from ..models import SHIPPED
from ..operations import Options, Page
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from .jsonl import header_line, record_line

R = TypeVar("R", bound=Record)

PAGE: Final = 200
"""Records of a first page; later ones may be larger."""
PATIENCE: Final = 30.0
"""Seconds for one page."""
PAGES: Final = Options(timeout=PATIENCE, corrupt="raise")
OWNER: Final = "user_id"


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export: record types, in the order of their collections, of one namespace.

    With `user_id` only that user's records, and only of types that tell a user.
    """

    models: tuple[type[Record], ...] = SHIPPED
    namespace: str | None = None
    user_id: str | None = None

    @property
    def header(self) -> bytes:
        return header_line(self.ordered, self.namespace, self.user_id)

    @property
    def ordered(self) -> list[type[Record]]:
        owned = [m for m in self.models if self.user_id is None or OWNER in m.model_fields]
        if not owned:
            raise InvalidQuery("none of these record types tells a user", field=OWNER)
        return sorted(owned, key=lambda model: spec_of(model).collection)

    def query(self, model: type[R]) -> Query[R]:
        where = {} if self.user_id is None else {OWNER: self.user_id}
        # Without an order the pages go by id, which needs no index anywhere.
        return Query(model, where=where, namespace=self.namespace, page_size=PAGE)


@dataclass(frozen=True, slots=True)
class Start:
    """Behind which record an export goes on."""

    model: type[Record]
    key: str


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one page."""

    lines: bytes
    records: int


async def export_blocks(
    memory: MemoryManager, selection: Selection, start: Start | None = None
) -> AsyncGenerator[Block, None]:
    """Header and records, ordered by collection and id; from `start` on without the header.

    Raises ``Unavailable`` rather than leave something out in an outage.
    """
    if start is None:
        yield Block(selection.header, 0)
    async with aclosing(pages_of(memory, selection, start)) as pages:
        async for _, page in pages:
            if page.items:
                yield await to_thread.run_sync(block_of, page, selection.namespace)


async def pages_of(
    memory: MemoryManager, selection: Selection, start: Start | None, options: Options = PAGES
) -> AsyncGenerator[tuple[type[Record], Page[Any]], None]:
    """All pages of all types, from `start` on.

    Raises ``Unavailable`` rather than leave something out in an outage.
    """
    for query in _queries(selection, start):
        async with aclosing(memory.pages(query, options=options)) as pages:
            async for page in pages:
                _check_complete(page, query)
                yield query.model, page


def _queries(selection: Selection, start: Start | None) -> list[Query[Any]]:
    models = selection.ordered
    if start is None:
        return [selection.query(model) for model in models]
    first, *rest = models[models.index(start.model) :]
    query: Query[Any] = selection.query(first)
    cursor = encode_cursor(query, Position((), stored_id(start.key), 0))
    return [query.with_(after=cursor), *(selection.query(model) for model in rest)]


def _check_complete(page: Page[Any], query: Query[Any]) -> None:
    if not page.complete:
        raise Unavailable(
            "an outage hides part of the records; export again when the store is back",
            operation="export",
            collection=query.spec.collection,
        )


def block_of(page: Page[Any], namespace: str | None) -> Block:
    lines = [record_line(record, namespace) for record in page.records]
    return Block(b"".join(lines), len(lines))
