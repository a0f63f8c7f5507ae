"""All pages of a query in one answer: each one for itself would search anew."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

import anyio

from ...codec.cursor import decode_cursor
from ...codec.firestore.wire import Answer
from ...errors import DeadlineExceeded
from ...operations import Billed, Options, Page, Revision
from ...queries import Query
from ...record import Record
from ...resilience.deadline import Deadline
from ...slices import sliced
from ..rows import Row, Shown, page_of, served_before
from .calls import Calls, Documents
from .finding import living, sent
from .names import Names
from .read import whole_rows

R = TypeVar("R", bound=Record)

ROWS: Final = 500
"""Documents in one page. They arrive without being asked for, so larger ones gain nothing."""


async def streamed(
    calls: Calls,
    names: Names,
    query: Query[R],
    options: Options,
    *,
    as_of: Revision | None = None,
) -> AsyncGenerator[Page[R]]:
    """Everything behind the query's cursor. The timeout is for one page, not for all."""
    position = decode_cursor(query)
    parent, message = names.parent(query.namespace), sent(names, query, position)
    served = served_before(position)
    more = True
    async with aclosing(calls.stream(parent, message, as_of=as_of)) as answers:
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
