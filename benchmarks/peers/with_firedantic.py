"""firedantic: pydantic models that save and find themselves.

It saves one model at a time. What it has for many is a transaction that they are saved in.
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

from firedantic import (
    AsyncModel,
    configure,
    get_async_transaction,
)
from google.cloud.firestore import AsyncClient, AsyncTransaction, Query, async_transactional

from ..gathering import AT_ONCE, IN_FLIGHT, chunks, gathered
from .item import Fields, dumped
from .way import Jobs, Way, flat

PACKAGES: Final = ("firedantic",)


class Item(Fields, AsyncModel):
    __collection__ = "memory_items"


Store: TypeAlias = type[Item]


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> Store:
    del jobs, new
    configure(client, prefix=f"{place}-")
    return Item


async def save_gathered(store: Store, jobs: Jobs) -> Jobs:
    del store
    await gathered((item.save() for item in flat(jobs)), AT_ONCE)
    return ()


async def save_in_transactions(store: Store, jobs: Jobs) -> Jobs:
    del store
    await gathered(map(_save_together, chunks(flat(jobs))), IN_FLIGHT)
    return ()


async def _save_together(items: Sequence[Item]) -> None:
    @async_transactional
    async def save(transaction: AsyncTransaction) -> None:
        for item in items:
            await item.save(transaction=transaction)

    await save(get_async_transaction())


async def save(store: Store, jobs: Jobs) -> Jobs:
    del store
    for item in flat(jobs):
        await item.save()
    return ()


async def get_gathered(store: Store, jobs: Jobs) -> Jobs:
    return [await gathered((store.get_by_id(item.id) for item in flat(jobs)), AT_ONCE)]


async def get(store: Store, jobs: Jobs) -> Jobs:
    return [[await store.get_by_id(item.id) for item in flat(jobs)]]


async def find(store: Store, jobs: Jobs) -> Jobs:
    newest_first = [("timestamp", Query.DESCENDING)]
    return [
        await store.find(
            {"user_id": job[0].user_id, "session_id": job[0].session_id}, order_by=newest_first
        )
        for job in jobs
    ]


native: Final = Item.model_validate
plain: Final = dumped
read_back: Final = get_gathered
WAYS: Final = (
    Way("write", "save, 64 gathered", save_gathered, writes=True),
    Way("write", "save in transactions of 400, 4 in flight", save_in_transactions, writes=True),
    Way("read", "get_by_id, 64 gathered", get_gathered),
    Way("put", "save", save, writes=True),
    Way("get", "get_by_id", get),
    Way("find", "find", find),
)
