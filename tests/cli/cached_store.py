"""The store of the folder that a test of the cache's verbs runs in, as a program uses it."""

import json

import anyio

import orchestra_memory as om

SECRET = "the text of ann"
STORE = "sqlite:///.orchestra/memory.db"


def item(key, user="ann", **fields):
    return om.MemoryItem(id=key, user_id=user, session_id="s", text_content=SECRET, **fields)


def in_memory(work, *, cached=True, namespace=None):
    """The result of `work`, done on the store of this folder, through its cache or past it."""

    async def run():
        async with om.open_memory(STORE, cache=None if cached else "none") as memory:
            view = memory if namespace is None else memory.with_options(namespace=namespace)
            return await work(view)

    return anyio.run(run)


def put(*items, **where):
    async def work(memory):
        for each in items:
            await memory.put(each)

    in_memory(work, **where)


def text_of(key, **where):
    async def work(memory):
        found = await memory.get(om.MemoryItem, key)
        return found and found.text_content

    return in_memory(work, **where)


def texts_of_history(user, **where):
    async def work(memory):
        page = await memory.conversations.history(user, session_id="s")
        return [found.text_content for found in page.records]

    return in_memory(work, **where)


def outside(*items, **where):
    """Written past the cache, as another program would."""
    put(*items, cached=False, **where)


def said(done):
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)
