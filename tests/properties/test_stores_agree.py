"""Every store answers as memory in the process does, whatever is done to it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from orchestra_memory import (
    FirestoreMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    SqliteMemory,
)
from orchestra_memory.backends.firestore.access import close_client

from .machine import AgreesWithLocal, Clock


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def check(machine, share: float) -> None:
    """Search with this share of the profile's examples."""
    examples = int(settings().max_examples * share)
    run_state_machine_as_test(machine, settings=settings(max_examples=examples))


def test_a_layer_agrees_with_what_is_beneath(use_backend, runner) -> None:
    use_backend("local")

    @asynccontextmanager
    async def opened(clock: Clock) -> AsyncIterator[MemoryManager]:
        yield GuardedMemory(LocalMemory(clock=clock))

    check(lambda: AgreesWithLocal(runner, opened), share=0.25)


def test_sqlite_agrees_with_local(use_backend, runner, tmp_path) -> None:
    use_backend("sqlite")

    def opened(clock: Clock) -> AbstractAsyncContextManager[MemoryManager]:
        return SqliteMemory.open(tmp_path / f"{uuid.uuid4().hex}.db", clock=clock)

    check(lambda: AgreesWithLocal(runner, opened), share=0.6)


def test_firestore_agrees_with_local(use_backend, runner, firestore_emulator, monkeypatch) -> None:
    use_backend("firestore")
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)

    @asynccontextmanager
    async def opened(_: Clock) -> AsyncIterator[MemoryManager]:
        client = AsyncClient(f"test-{uuid.uuid4().hex[:20]}", credentials=AnonymousCredentials())
        yield FirestoreMemory(client)
        await close_client(client)

    check(lambda: AgreesWithLocal(runner, opened, clocked=False), share=0.25)
