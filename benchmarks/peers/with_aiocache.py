"""aiocache: caches for coroutines, here of a function that reads a record from Firestore.

Its JSON takes what `json` takes, so the record goes in as a dictionary; a serializer of one's own
is what it offers for other types, for which pydantic's own JSON is the quickest.
"""

# The peer is installed in an environment of its own: its types are not known where this is checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"
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
from urllib.parse import urlsplit

from aiocache import Cache, cached
from aiocache.serializers import BaseSerializer, JsonSerializer
from google.cloud.firestore import AsyncClient

from .cached_item import REDIS, TTL, found_in, put_in
from .item import Item, dumped
from .way import Jobs, Way, flat

PACKAGES: Final = ("aiocache", "redis", "hiredis", "ujson")


class ItemSerializer(BaseSerializer):
    """By pydantic; the cache gives and takes text."""

    def dumps(self, value: Item) -> str:
        return value.model_dump_json()

    def loads(self, value: str | None) -> Item | None:
        return None if value is None else Item.model_validate_json(value)


@dataclass(frozen=True, slots=True)
class Store:
    """A collection, functions that read it through each cache, and the second one's cache."""

    client: AsyncClient
    place: str
    as_json: Callable[[str], Awaitable[Any]]
    as_item: Callable[[str], Awaitable[Any]]
    items: Any


@cache
def store_at(client: AsyncClient, place: str) -> Store:
    async def read_json(key: str) -> dict[str, Any]:
        return dumped(await found_in(client, place, key))

    async def read_item(key: str) -> Item:
        return await found_in(client, place, key)

    as_json = caching(f"json:{place}", JsonSerializer())(read_json)
    as_item = caching(f"item:{place}", ItemSerializer())(read_item)
    return Store(client, place, as_json, as_item, as_item.cache)


def caching(name: str, serializer: BaseSerializer) -> cached:
    """No command has a timeout, which would cost time."""
    address = urlsplit(os.environ[REDIS])
    return cached(
        ttl=TTL,
        key_builder=lambda _, key: f"{name}:{key}",
        cache=Cache.REDIS,
        serializer=serializer,
        endpoint=address.hostname,
        port=address.port,
        timeout=0,
        connection_pool_kwargs={"socket_timeout": None},
    )


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> Store:
    del jobs, new
    return store_at(client, place)


async def get_json(store: Store, jobs: Jobs) -> Jobs:
    keys = (item.id for item in flat(jobs))
    return [[Item.model_validate(await store.as_json(key)) for key in keys]]


async def get_item(store: Store, jobs: Jobs) -> Jobs:
    return [[await store.as_item(item.id) for item in flat(jobs)]]


async def put(store: Store, jobs: Jobs) -> Jobs:
    """Write to Firestore, then drop the entry."""
    for item in flat(jobs):
        await put_in(store.client, store.place, item)
        await store.items.delete(f"item:{store.place}:{item.id}")
    return ()


native: Final = Item.model_validate
plain: Final = dumped
read_back: Final = get_item
WAYS: Final = (
    Way("put", "set and delete", put, writes=True),
    Way("get", "cached, JsonSerializer", get_json),
    Way("get", "cached, a serializer for the model", get_item),
)
