"""What tests of Firestore's bulk writes share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from orchestra_memory import FirestoreMemory
from orchestra_memory.backends.firestore import commits

from .bulk_writes import Memories
from .grpc_server import Server, connected, served


@pytest.fixture
def on(monkeypatch) -> Memories:
    """Opens a memory on a server; its pauses are short."""
    monkeypatch.setattr(commits, "BULK_PAUSE", 0.002)

    @asynccontextmanager
    async def opened(server: Server, **how: bool) -> AsyncIterator[FirestoreMemory]:
        with served(server) as host:
            async with connected(host, monkeypatch, **how) as (memory, _):
                yield memory

    return opened
