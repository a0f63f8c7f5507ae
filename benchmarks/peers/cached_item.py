"""What a cache in front of Firestore stands before: a record read and written by hand."""

from __future__ import annotations

from typing import Final

from google.cloud.firestore import AsyncClient

from .item import Item

REDIS: Final = "BENCHMARK_REDIS"
"""The variable that names the Redis to be used."""
TTL: Final = 3600
"""Seconds that an entry lives."""


async def found_in(client: AsyncClient, place: str, key: str) -> Item:
    snapshot = await client.collection(place).document(key).get()
    return Item.model_validate(snapshot.to_dict())


async def put_in(client: AsyncClient, place: str, item: Item) -> None:
    await client.collection(place).document(item.id).set(item.model_dump())
