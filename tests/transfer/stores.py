"""Empty stores for one test, whichever it asks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from orchestra_memory import LocalMemory, MemoryManager, SqliteMemory


@asynccontextmanager
async def opened(request: pytest.FixtureRequest, kind: str) -> AsyncIterator[MemoryManager]:
    match kind:
        case "local":
            yield LocalMemory()
        case "sqlite":
            path = request.getfixturevalue("tmp_path") / f"{kind}.db"
            async with SqliteMemory.open(path) as memory:
                yield memory
        case _:
            async with _firestore(request) as memory:
                yield memory


@asynccontextmanager
async def _firestore(request: pytest.FixtureRequest) -> AsyncIterator[MemoryManager]:
    # Not at the top: whoever tests without Firestore should not need it installed to work.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.firestore import AsyncClient

    from orchestra_memory import FirestoreMemory
    from orchestra_memory.backends.firestore.access import close_client

    emulator = request.getfixturevalue("firestore_emulator")
    project = request.getfixturevalue("firestore_project")
    request.getfixturevalue("monkeypatch").setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
    client = AsyncClient(project, credentials=AnonymousCredentials())
    try:
        yield FirestoreMemory(client)
    finally:
        await close_client(client)
