"""py-key-value: a store of values by key, here on Firestore, with its adapter for pydantic models.

It reads and writes many at once, but as one request, so its user must cut what is large.
"""

# The peer is installed in an environment of its own: its types are not known where this is checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from google.cloud.firestore import AsyncClient
from key_value.aio.adapters.pydantic import PydanticAdapter
from key_value.aio.stores.firestore import FirestoreStore

from ..gathering import IN_FLIGHT, chunks, gathered
from .item import Item, dumped
from .way import Jobs, Way, flat

PACKAGES: Final = ("py-key-value-aio",)

Store: TypeAlias = "PydanticAdapter[Item]"


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> Store:
    del jobs, new
    store = FirestoreStore(client, default_collection=place)
    return PydanticAdapter[Item](store, Item, raise_on_validation_error=True)


async def put_many(store: Store, jobs: Jobs) -> Jobs:
    async def put_chunk(items: Sequence[Item]) -> None:
        await store.put_many([item.id for item in items], items)

    await gathered(map(put_chunk, chunks(flat(jobs))), IN_FLIGHT)
    return ()


async def get_many(store: Store, jobs: Jobs) -> Jobs:
    async def get_chunk(items: Sequence[Item]) -> list[Item]:
        return await store.get_many([item.id for item in items])

    return await gathered(map(get_chunk, chunks(flat(jobs))), IN_FLIGHT)


async def put(store: Store, jobs: Jobs) -> Jobs:
    for item in flat(jobs):
        await store.put(item.id, item)
    return ()


async def get(store: Store, jobs: Jobs) -> Jobs:
    return [[await store.get(item.id) for item in flat(jobs)]]


native: Final = Item.model_validate
plain: Final = dumped
read_back: Final = get_many
WAYS: Final = (
    Way("write", "put_many of 400, 4 in flight", put_many, writes=True),
    Way("read", "get_many of 400, 4 in flight", get_many),
    Way("put", "put", put, writes=True),
    Way("get", "get", get),
)
