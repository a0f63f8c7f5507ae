"""Journals as processes leave them, in the folder a command runs in."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

import orchestra_memory as om
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.opening import cache_name
from orchestra_memory.resilience.journal import DocumentKey, Draft, Journal, entries_in, journals
from orchestra_memory.resilience.journal.files import Lock, lock_of
from orchestra_memory.settings import Settings
from orchestra_memory.urls import SqliteUrl

DATABASE = ".orchestra/memory.db"
STORE = f"sqlite:///{DATABASE}"
DIRECTORY = Path(".orchestra/journal")
SECRET = "the text of ann"


def put(key, text=SECRET, namespace=None):
    item = om.MemoryItem(id=key, user_id="ann", session_id="s", text_content=text)
    return om.Put(item, namespace=namespace)


async def known_by():
    async with om.open_memory(STORE):
        return await cache_name(SqliteUrl(DATABASE), Settings())


@asynccontextmanager
async def queue_in(directory, store=None):
    target = store or await known_by()
    async with Journal.open(directory, target=target) as journal:
        yield Queue(journal)


def left_behind(*ops, directory=DIRECTORY, store=None, commit=None, refused=()):
    """What a process queued before it died; of it, `refused` are dead letters. Its queued items."""

    async def leave():
        async with queue_in(directory, store) as queue:
            items = await queue.append([(op, NO_BASIS) for op in ops], commit=commit)
            for each in items:
                if each.op.ref.key in refused:
                    await queue.dead_letter(each, "nobody took it")
            return items

    return anyio.run(leave)


def left_unknown(key, *, collection, model):
    """A dead process queued a record whose type is declared where it ran."""
    body = {
        "v": 1,
        "op": "put",
        "model": model,
        "collection": collection,
        "key": key,
        "namespace": None,
        "expect": None,
        "document": {"id": key, "schema_version": 1},
    }

    async def leave():
        async with Journal.open(DIRECTORY, target=await known_by()) as journal:
            draft = Draft(DocumentKey(None, collection, key), json.dumps(body).encode())
            await journal.append([draft])

    anyio.run(leave)


def files(directory=DIRECTORY):
    async def look():
        return await journals(directory, target=None)

    return anyio.run(look)


def keys_left(directory=DIRECTORY):
    """Keys of all entries in all journals, in their order."""

    async def look():
        found = []
        for file in await journals(directory, target=None):
            found += (await entries_in(file.path))[1]
        return [entry.document.key for entry in sorted(found, key=lambda entry: entry.at)]

    return anyio.run(look)


@contextmanager
def living():
    """For as long as it lasts, all journals belong to a process that lives."""
    locks = [Lock.take(lock_of(file.path)) for file in files()]
    yield
    for lock in locks:
        lock.release()


def texts(*keys, namespace=None):
    """What the store has."""

    async def read():
        async with om.open_memory(STORE) as memory:
            view = memory if namespace is None else memory.with_options(namespace=namespace)
            found = [await view.get(om.MemoryItem, key) for key in keys]
        return [each and each.text_content for each in found]

    return anyio.run(read)
