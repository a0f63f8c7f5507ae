"""What the tests of the queue share."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

from orchestra_memory import (
    Put,
    Ref,
)
from orchestra_memory.codec.operations import NO_BASIS, encode_operation
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.queued import document_of
from orchestra_memory.resilience.journal import Draft
from orchestra_memory.testing.contract.models import Note
from tests.journal.parts import opened

NOTES = Ref(Note, "a").collection


def put(key="a", title="", namespace=None):
    return Put(Note(id=key, title=title), namespace=namespace)


def based(*ops):
    return [(op, NO_BASIS) for op in ops]


def keys(items):
    return [item.op.ref.key for item in items]


@asynccontextmanager
async def queue_in(directory, **options):
    async with opened(directory, **options) as journal:
        queue = Queue(journal)
        await queue.load()
        yield queue


def entry_for(op, *, model="Gone"):
    """The draft of an operation on a record type that is not imported here."""
    body = json.loads(encode_operation(op))
    return Draft(document_of(op.ref), json.dumps({**body, "model": model}).encode())


def draft_of(op):
    return Draft(document_of(op.ref), encode_operation(op))
