"""More calls at once than one connection carries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1 import types

from orchestra_memory import FirestoreMemory
from orchestra_memory.backends.firestore import channels
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.testing.contract.models import Note

pytestmark = pytest.mark.anyio

FRONT_END = 100
"""Calls that the server takes on one connection, as Google's does."""
PATIENCE = 3
"""Seconds for which the server waits for the others, if they may come."""
NO_DOCUMENT = "no such document"


class Crowd(grpc.GenericRpcHandler):
    """Answers once it has seen as many calls at once as it waits for, or after a while."""

    def __init__(self, awaited: int, patience: float = PATIENCE) -> None:
        self.present = self.most = 0
        self._awaited = awaited
        self._patience = patience
        self._complete = asyncio.Event()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, request, context):
        self.present += 1
        self.most = max(self.most, self.present)
        if self.present >= self._awaited:
            self._complete.set()
        try:
            await asyncio.wait_for(self._complete.wait(), self._patience)
        except TimeoutError:
            self._complete.set()
        self.present -= 1
        name = types.GetDocumentRequest.deserialize(request).name
        await context.abort(grpc.StatusCode.NOT_FOUND, f"{NO_DOCUMENT}: {name}")


@asynccontextmanager
async def served(crowd: Crowd) -> AsyncIterator[str]:
    server = grpc.aio.server(handlers=[crowd], options=[("grpc.max_concurrent_streams", FRONT_END)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def connected(host, monkeypatch) -> AsyncIterator[FirestoreMemory]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    client = AsyncClient("crowded", credentials=AnonymousCredentials())
    memory = FirestoreMemory(client)
    yield memory
    await memory.aclose()
    await close_client(client)


async def test_calls_beyond_what_one_connection_carries_do_not_queue(monkeypatch) -> None:
    calls = 3 * FRONT_END
    crowd = Crowd(calls)
    async with served(crowd) as host, connected(host, monkeypatch) as memory:
        found = await asyncio.gather(*(memory.get(Note, f"n{i}") for i in range(calls)))
    assert found == [None] * calls
    assert crowd.most == calls


async def test_one_connection_does_not_carry_them(monkeypatch) -> None:
    # The server does bind: on one connection they wait, or are refused.
    monkeypatch.setattr(channels, "CONNECTIONS", 1)
    crowd = Crowd(2 * FRONT_END, patience=0.5)
    async with served(crowd) as host, connected(host, monkeypatch) as memory:
        calls = (memory.get(Note, f"n{i}") for i in range(2 * FRONT_END))
        await asyncio.gather(*calls, return_exceptions=True)
    assert crowd.most <= FRONT_END


async def test_connections_opened_beside_the_clients_own_are_closed(monkeypatch) -> None:
    calls = 2 * FRONT_END
    crowd = Crowd(calls)
    async with served(crowd) as host, connected(host, monkeypatch) as memory:
        await asyncio.gather(*(memory.get(Note, f"n{i}") for i in range(calls)))
        await memory.aclose()
        assert await memory.get(Note, "on the client's own") is None
