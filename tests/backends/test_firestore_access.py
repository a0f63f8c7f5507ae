"""What is used of Google's library without being promised by it; a new version may change it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from orchestra_memory import FirestoreMemory, MemoryItem, Options, Unavailable
from orchestra_memory.backends.firestore import access
from orchestra_memory.backends.firestore.access import (
    call_metadata,
    close_client,
    database_path,
    gapic,
    reconnect_soon,
    use_emulator,
)
from orchestra_memory.backends.firestore.client import connect
from orchestra_memory.backends.firestore.credentials import CredentialSource

pytestmark = pytest.mark.anyio


async def test_the_private_ways_into_the_client_still_lead_where_they_did(monkeypatch) -> None:
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    client = AsyncClient("p", database="d", credentials=AnonymousCredentials())
    use_emulator(client, "127.0.0.1:1")
    api = gapic(client)
    assert isinstance(api, FirestoreAsyncClient)
    assert database_path(client) == "projects/p/databases/d"
    metadata = dict(call_metadata(client))
    assert metadata["google-cloud-resource-prefix"] == "projects/p/databases/d"
    assert metadata["authorization"] == "Bearer owner"
    assert api.transport.grpc_channel is not None
    await close_client(client)
    assert api.transport.grpc_channel.get_state().name == "SHUTDOWN"


@asynccontextmanager
async def slamming() -> AsyncIterator[tuple[str, list[object]]]:
    """The address of a server that ends each connection at once, and all there have been."""
    taken: list[object] = []

    def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        writer.close()

    async with await asyncio.start_server(slam, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", taken


async def test_a_client_made_here_tries_again_as_often_as_it_was_told(monkeypatch) -> None:
    # A client that chooses its pauses itself would take half an hour for twenty attempts.
    hurried = dict(access._OPTIONS) | {
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 100,
    }
    monkeypatch.setattr(access, "_OPTIONS", tuple(hurried.items()))
    async with slamming() as (address, taken), opened(address) as client:
        memory = FirestoreMemory(client)
        with anyio.fail_after(60):
            while len(taken) < 20:
                with pytest.raises(Unavailable):
                    await memory.get(MemoryItem, "i", options=Options(timeout=1))
                await anyio.sleep(0.05)


def test_it_is_told_to_try_about_every_second() -> None:
    options = dict(access._OPTIONS)
    assert options["grpc.initial_reconnect_backoff_ms"] <= 1_000
    assert options["grpc.max_reconnect_backoff_ms"] <= 1_000


async def test_so_is_one_with_credentials(monkeypatch) -> None:
    given: list[object] = []
    create = FirestoreGrpcAsyncIOTransport.create_channel

    def noted(*args: Any, options: Any, **how: Any) -> Any:
        given.extend(options)
        return create(*args, options=options, **how)

    monkeypatch.setattr(FirestoreGrpcAsyncIOTransport, "create_channel", noted)
    client = AsyncClient("p", database="d", credentials=AnonymousCredentials())
    use_emulator(client, None)
    reconnect_soon(client)
    assert given == [*access._OPTIONS]
    assert gapic(client).transport.host == "firestore.googleapis.com:443"
    await close_client(client)


async def test_what_a_client_made_here_connects_by_is_closed_with_it() -> None:
    async with opened("127.0.0.1:1") as client:
        api = gapic(client)
        assert isinstance(api, FirestoreAsyncClient)
        assert api.transport.grpc_channel.get_state().name != "SHUTDOWN"
    assert api.transport.grpc_channel.get_state().name == "SHUTDOWN"


def opened(emulator: str) -> AbstractAsyncContextManager[AsyncClient]:
    return connect("p", "d", emulator=emulator, credentials=CredentialSource())
