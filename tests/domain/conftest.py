"""The stores that every service must behave alike on."""

from collections.abc import AsyncIterator

import pytest

from orchestra_memory import LocalMemory, MemoryManager, SqliteMemory


@pytest.fixture(params=["local", "sqlite", "firestore"])
async def memory(request, use_backend, tmp_path, monkeypatch) -> AsyncIterator[MemoryManager]:
    """An empty memory of this test alone."""
    use_backend(request.param)
    match request.param:
        case "local":
            yield LocalMemory()
        case "sqlite":
            async with SqliteMemory.open(tmp_path / "state.db") as opened:
                yield opened
        case _:
            emulator = request.getfixturevalue("firestore_emulator")
            project = request.getfixturevalue("firestore_project")
            monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
            async for opened in firestore(project):
                yield opened


async def firestore(project: str) -> AsyncIterator[MemoryManager]:
    # Not at the top: whoever tests without Firestore should not need it installed to work.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.firestore import AsyncClient

    from orchestra_memory import FirestoreMemory
    from orchestra_memory.backends.firestore.access import close_client

    client = AsyncClient(project, credentials=AnonymousCredentials())
    yield FirestoreMemory(client)
    await close_client(client)
