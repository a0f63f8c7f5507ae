"""All pages of a query in one answer: each one for itself would search anew."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Final, TypeVar

import anyio

from ...codec.cursor import Position, decode_cursor
from ...codec.document import is_expired
from ...codec.firestore.wire import Answer
from ...errors import DeadlineExceeded
from ...operations import Billed, Options, Page
from ...queries import Query
from ...record import Record
from ...resilience.deadline import Deadline
from ...slices import sliced
from ...values import utc_now
from ..rows import Row, Shown, page_of, served_before
from .calls import Calls, Documents
from .names import Names
from .query import start_after, structured
from .read import whole_rows

R = TypeVar("R", bound=Record)

ROWS: Final = 500
"""Documents in one page. They arrive without being asked for, so larger ones gain nothing."""


async def streamed(
    calls: Calls, names: Names, query: Query[R], options: Options
) -> AsyncGenerator[Page[R]]:
    """Everything behind the query's cursor. The timeout is for one page, not for all."""
    position = decode_cursor(query)
    parent, message = names.parent(query.namespace), sent(names, query, position)
    served = served_before(position)
    more = True
    async with aclosing(calls.stream(parent, message)) as answers:
        while more:
            documents, deadline = Documents(), Deadline.after(options.timeout)
            more = await _gathered(answers, documents, deadline)
            rows = living(query, (await whole_rows(calls, documents, deadline)).values())
            if query.limit is not None:
                rows = rows[: query.limit - served]
                more = more and served + len(rows) < query.limit
            if rows or not more:
                yield await _page(query, served, rows, documents, options, more=more)
            served += len(rows)


def living(query: Query[Any], rows: Iterable[Row]) -> list[Row]:
    """The rows without those that count as absent."""
    now = utc_now()
    return [row for row in rows if not (query.hides_expired and is_expired(row.document, now))]


def sent(names: Names, query: Query[Any], position: Position | None) -> Any:
    """The ``StructuredQuery`` of all that is left."""
    message = structured(query, names.collection(query))
    if position is not None:
        address = (query.namespace, query.spec.collection, position.stored_id)
        start_after(message, position, names.document(address))
    return message


async def _gathered(
    answers: AsyncGenerator[Answer], documents: Documents, deadline: Deadline
) -> bool:
    """Take in a page's documents; whether more may follow."""
    try:
        with anyio.fail_after(deadline.left()):
            async for answer in answers:
                documents.add(answer)
                if len(documents.rows) >= ROWS:
                    return True
    except TimeoutError as error:
        raise DeadlineExceeded("Firestore did not answer in time", operation="find") from error
    return False


async def _page(
    query: Query[R],
    served: int,
    rows: list[Row],
    documents: Documents,
    options: Options,
    *,
    more: bool,
) -> Page[R]:
    shown = Shown(query, options, owned=True)
    async for row in sliced(rows):
        shown.add(row)
    return page_of(
        query,
        served,
        rows,
        more=more,
        as_of=documents.as_of,
        billed=Billed(reads=max(1, documents.answers)),
        shown=shown,
    )
