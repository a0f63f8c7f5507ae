"""Where ways work: one collection, seen by the library, by hand, and as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.async_collection import AsyncCollectionReference

from orchestra_memory import (
    FirestoreMemory,
    GuardedMemory,
    MemoryManager,
    MeteredMemory,
)
from orchestra_memory.backends.firestore.access import close_client, database_path, use_emulator

from .records import Job
from .turns import Side


class Store:
    """One collection of one database."""

    def __init__(self, client: AsyncClient, collection: str) -> None:
        self.client = client
        self.collection = collection

    @cached_property
    def memory(self) -> MemoryManager:
        """The layers that ``open_memory`` makes for a Firestore URL."""
        # Not closed: connections of its own it opens beyond 90 calls at once, which no way makes.
        store = FirestoreMemory(self.client, collections={"memory_items": self.collection})
        return GuardedMemory(MeteredMemory(store))

    @property
    def by_hand(self) -> AsyncCollectionReference:
        return self.client.collection(self.collection)

    @property
    def path(self) -> str:
        return f"{database_path(self.client)}/documents/{self.collection}"

    def seen_by(self, client: AsyncClient) -> Store:
        """The same collection through another client."""
        return Store(client, self.collection)


def _as_is(_: Store, given: Any) -> Any:
    return given


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a task.

    ``run`` is what is measured. ``prepare`` makes what it is run with of a job, ``finish`` makes
    records of what it returns; neither is measured. ``at_most`` is the largest size it is tried
    with.
    """

    task: str
    name: str
    run: Callable[[Store, Any], Awaitable[Any]]
    side: Side = "by hand"
    at_most: int | None = None
    prepare: Callable[[Store, Job], Any] = _as_is
    finish: Callable[[Store, Any], Job] = _as_is

    def takes(self, size: int) -> bool:
        return self.at_most is None or size <= self.at_most


Ways: TypeAlias = Sequence[Way]


@asynccontextmanager
async def opened(project: str, address: str) -> AsyncIterator[AsyncClient]:
    """A client of the server at `address`, which has no credentials to check."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth has no types
    client = AsyncClient(project, credentials=credentials)
    use_emulator(client, address)
    try:
        yield client
    finally:
        await close_client(client)
