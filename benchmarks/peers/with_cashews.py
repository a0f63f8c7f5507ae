"""cashews: caches for coroutines, here of a function that reads a record from Firestore.

Its own JSON takes what `json` takes, so the record goes in as a dictionary; a registered type is
made text and back by its own two functions, for which pydantic's own JSON is the quickest.
"""

# The peer is installed in an environment of its own: its types are not known where this is checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"
# mypy: allow-untyped-decorators
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportMissingTypeStubs=false

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cashews import Cache
from cashews.serialize import register_type
from google.cloud.firestore import AsyncClient

from .cached_item import REDIS, TTL, found_in, put_in
from .item import Item, dumped
from .way import Jobs, Way, flat

PACKAGES: Final = ("cashews", "redis", "hiredis")


@dataclass(frozen=True, slots=True)
class Store:
    """A collection, and functions that read it through each cache."""

    client: AsyncClient
    place: str
    as_json: Callable[..., Awaitable[Any]]
    as_type: Callable[..., Awaitable[Any]]


async def encoded(item: Item, *_: Any) -> bytes:
    return item.model_dump_json().encode()


async def decoded(text: bytes, *_: Any) -> Item:
    return Item.model_validate_json(text)


register_type(Item, encoded, decoded)


@cache
def caches() -> tuple[Cache, Cache]:
    """One that keeps JSON, and one that keeps registered types.

    No command has a timeout, nothing is checked for a repr, no connection for its health: all of
    that costs time.
    """
    made = Cache(), Cache()
    for each, pickler in zip(made, ("json", "null"), strict=True):
        each.setup(
            os.environ[REDIS],
            pickle_type=pickler,
            check_repr=False,
            socket_timeout=None,
            health_check_interval=0,
        )
    return made


@cache
def store_at(client: AsyncClient, place: str) -> Store:
    json, typed = caches()

    @json(ttl=TTL, key=f"json:{place}:{{key}}")
    async def as_json(key: str) -> dict[str, Any]:
        return dumped(await found_in(client, place, key))

    @typed(ttl=TTL, key=f"typed:{place}:{{key}}")
    async def as_type(key: str) -> Item:
        return await found_in(client, place, key)

    return Store(client, place, as_json, as_type)


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> Store:
    del jobs, new
    return store_at(client, place)


async def get_json(store: Store, jobs: Jobs) -> Jobs:
    keys = (item.id for item in flat(jobs))
    return [[Item.model_validate(await store.as_json(key=key)) for key in keys]]


async def get_typed(store: Store, jobs: Jobs) -> Jobs:
    return [[await store.as_type(key=item.id) for item in flat(jobs)]]


async def put(store: Store, jobs: Jobs) -> Jobs:
    """Write to Firestore, then drop the entry."""
    _, typed = caches()
    for item in flat(jobs):
        await put_in(store.client, store.place, item)
        await typed.delete(f"typed:{store.place}:{item.id}")
    return ()


native: Final = Item.model_validate
plain: Final = dumped
read_back: Final = get_typed
WAYS: Final = (
    Way("put", "set and delete", put, writes=True),
    Way("get", "cache, JSON", get_json),
    Way("get", "cache, a registered type", get_typed),
)
