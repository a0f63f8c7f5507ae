"""Many records at once, without holding the event loop and without trusting one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ..errors import Conflict, Unavailable
from ..operations import Delete, Op, Options, Page, Ref, Stored
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record

R = TypeVar("R", bound=Record)

PAGE = 200
"""Records deleted by one write."""


async def delete_all(memory: MemoryManager, query: Query[Any]) -> int:
    """Delete what matches until nothing does; how many that were.

    Raises ``Unavailable`` where an outage hides part of the answer. Safe to repeat.
    """
    deleted = 0
    while items := await _page(memory, query):
        await memory.delete_many(query.model, [item.record.key for item in items])
        deleted += len(items)
    return deleted


async def delete_unchanged(memory: MemoryManager, query: Query[Any]) -> int:
    """Delete what matches, but leave what somebody changes meanwhile; how many were deleted.

    Raises as :func:`delete_all` does.
    """
    deleted = 0
    while items := await _page(memory, query):
        model = query.model
        ops = [Delete(Ref(model, item.record.key), expect=item.revision) for item in items]
        deleted += await _write_unchanged(memory, ops)
    return deleted


async def _write_unchanged(memory: MemoryManager, ops: Sequence[Op]) -> int:
    while ops:
        try:
            await memory.write(ops)
        except Conflict as conflict:
            left = without(ops, conflict)
            if len(left) == len(ops):
                raise
            ops = left
        else:
            break
    return len(ops)


def without(ops: Sequence[Op], conflict: Conflict) -> list[Op]:
    """The operations that were not in conflict."""
    keys = {ref.key for ref in conflict.refs}
    return [op for op in ops if op.ref.key not in keys]


async def _page(memory: MemoryManager, query: Query[R]) -> Sequence[Stored[R]]:
    # Past the cache: what is about to be deleted must be what is stored,
    # and nothing that matches may be left out.
    page = await memory.find(query, options=Options(cache="bypass", corrupt="raise"))
    if not page.items:
        check_complete(page, query)
    return page.items


def first(page: Page[R], query: Query[R]) -> R | None:
    """The first record of a page, or the error that hides it.

    That is ``Unavailable`` in an outage, and ``CorruptRecord`` for what was left out.
    """
    if page.items:
        return page.items[0].record
    if page.corrupt:
        raise page.corrupt[0]
    check_complete(page, query)
    return None


def check_complete(page: Page[Any], query: Query[Any]) -> None:
    if not page.complete:
        raise Unavailable(
            "an outage may hide what was asked for; try again when the store answers",
            operation="find",
            collection=query.spec.collection,
        )
