"""Marks that a person was erased: what was queued before that is not written any more."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from ...operations import Delete, Options, Patch, Ref, Stored
from ...ownership import digest, owner_paths, users_in_op
from ...protocol import MemoryManager
from ...queries import Query
from ...record import ERASURES, Record
from ...resilience.journal import DocumentKey
from ...slices import sliced
from ...values import UtcDatetime, to_micros
from .queued import Queued

LATEST: Final = "latest"
"""The id under which a namespace keeps when somebody was last erased there."""
AT_ONCE: Final = 300
"""Documents looked at by one read."""
_PAST_CACHE: Final = Options(cache="bypass")

log: Final = logging.getLogger("orchestra_memory.fallback")


class Erasure(Record, collection=ERASURES, unindexed=("at", "started_at", "finished_at", "counts")):
    """A person was erased, in the namespace that this is in.

    ``id`` is the SHA-256 of the user's id. What was queued for this user up to ``at``, by the clock
    of who queued it, is not written wherever it is replayed. ``counts`` says how many documents of
    which collection are gone so far, ``finished_at`` that all are.
    """

    id: str
    at: UtcDatetime
    started_at: UtcDatetime
    finished_at: UtcDatetime | None = None
    counts: dict[str, int] = Field(default_factory=dict[str, int])


async def erased(primary: MemoryManager, items: Sequence[Queued]) -> list[Queued]:
    """Those of `items` that hold something of an erased person.

    So may a change of a record that is gone: nobody can tell any more whose it was. Costs a read
    for each namespace in which something waits that can be somebody's, and more only where somebody
    was erased since.
    """
    suspects = await _suspects(primary, items)
    if not suspects:
        return []
    documents = await _marked(primary, suspects)
    documents |= await _orphaned(primary, [i for i in suspects if i.document not in documents])
    found = [item for item in suspects if item.document in documents]
    if found:
        log.info("%d writes that waited are of erased persons: not written", len(found))
    return found


async def erased_since(memory: MemoryManager, moment: datetime) -> frozenset[str]:
    """The digests of users who were erased after `moment` in `memory`'s namespace."""
    marks = memory.scan(Query(Erasure), options=_PAST_CACHE)
    return frozenset([mark.id async for mark in marks if mark.at > moment])


def deletion(item: Queued) -> Queued:
    """What is left of a write of an erased person where something has to be."""
    return replace(item, op=Delete(item.op.ref))


async def _suspects(primary: MemoryManager, items: Sequence[Queued]) -> list[Queued]:
    """What was queued before somebody was last erased in its namespace."""
    items = [item async for item in sliced(items) if owner_paths(item.op.ref.model)]
    namespaces = {item.document.namespace async for item in sliced(items)}
    marks = await _read(primary, [Ref(Erasure, LATEST, each) for each in namespaces])
    until = {ref.namespace: to_micros(mark.record.at) for ref, mark in marks.items()}
    if not until:
        return []
    return [
        item
        async for item in sliced(items)
        if item.at <= until.get(item.document.namespace, -1) and not isinstance(item.op, Delete)
    ]


async def _marked(primary: MemoryManager, suspects: Sequence[Queued]) -> set[DocumentKey]:
    """Documents for which something waits that an erased person is named in."""
    users = {
        item.id: [
            Ref(Erasure, digest(user), item.document.namespace) for user in users_in_op(item.op)
        ]
        async for item in sliced(suspects)
    }
    marks = await _read(primary, {ref for refs in users.values() for ref in refs})
    return {
        item.document
        for item in suspects
        for ref in users[item.id]
        if ref in marks and item.at <= to_micros(marks[ref].record.at)
    }


async def _orphaned(primary: MemoryManager, items: Sequence[Queued]) -> set[DocumentKey]:
    """Documents that are gone, and of which changes wait that do not tell whose they are."""
    unclear = {item.op.ref: item.document for item in items if _is_unclear(item)}
    there = await _read(primary, unclear)
    return {document for ref, document in unclear.items() if ref not in there}


def _is_unclear(item: Queued) -> bool:
    op = item.op
    return isinstance(op, Patch) and op.or_create is None and not users_in_op(op)


async def _read(primary: MemoryManager, refs: Iterable[Ref[Any]]) -> Mapping[Ref[Any], Stored[Any]]:
    """What of these is there."""
    wanted = list(refs)
    found: dict[Ref[Any], Stored[Any]] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        snapshot = await primary.read(some, options=_PAST_CACHE)
        found |= {ref: each for ref, each in zip(some, snapshot, strict=True) if each is not None}
    return found
