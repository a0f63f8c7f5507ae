"""The stores and layers that must keep the contract."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from redis.asyncio import Redis

from orchestra_memory import FirestoreMemory
from orchestra_memory.backends.firestore.access import close_client

from ..journal.parts import MEMORY


@pytest.fixture
def database() -> Iterator[Path]:
    """Where a test's file is to be; what is promised here is no matter of the disk."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder, "memory.db")


@pytest.fixture(scope="module")
async def redis(redis_server) -> AsyncIterator[Redis]:
    """One client for all: making one takes longer than most tests."""
    async with Redis.from_url(redis_server.url) as redis:
        yield redis


@pytest.fixture
async def open_firestore(
    firestore_emulator, firestore_project, monkeypatch
) -> AsyncIterator[Callable[[], FirestoreMemory]]:
    """Memories of one database that no other test sees, each on a client of its own."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)
    async with AsyncExitStack() as stack:

        def opened() -> FirestoreMemory:
            client = AsyncClient(firestore_project, credentials=AnonymousCredentials())
            stack.push_async_callback(close_client, client)
            return FirestoreMemory(client)

        yield opened
