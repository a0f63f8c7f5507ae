"""The stores, and the layers around them, that every service must behave alike on.

A test that takes ``memory`` runs on all of them. One marked ``decided`` is about what only a store
can decide, such as whether a precondition holds; it leaves out where none answers a write.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from orchestra_memory import (
    Breaker,
    CachedMemory,
    FallbackMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    SqliteMemory,
)

from ..journal.parts import MEMORY
from ..outages import outages

Opened: TypeAlias = AbstractAsyncContextManager[MemoryManager]
DEGRADED: Final = "degraded"


@pytest.fixture
async def memory(stack, request) -> AsyncIterator[MemoryManager]:
    """An empty memory of this test alone."""
    opening, *services = STACKS[stack]
    given = [request.getfixturevalue(name) for name in services]
    for backend in BACKENDS.get(stack, ("local",)):
        request.getfixturevalue("use_backend")(backend)
    async with opening(*given) as opened:
        yield opened


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "stack" in metafunc.fixturenames and "stack" not in own:
        decided = metafunc.definition.get_closest_marker("decided") is not None
        metafunc.parametrize("stack", [s for s in STACKS if not (decided and s == DEGRADED)])


@asynccontextmanager
async def local() -> AsyncIterator[MemoryManager]:
    yield LocalMemory()


@asynccontextmanager
async def sqlite() -> AsyncIterator[MemoryManager]:
    # Not on a disk, which is no matter of what is promised here.
    with TemporaryDirectory(dir=MEMORY) as folder:
        async with SqliteMemory.open(Path(folder, "memory.db")) as memory:
            yield memory


@asynccontextmanager
async def firestore(emulator: Any, project: str) -> AsyncIterator[MemoryManager]:
    # Not at the top: whoever tests without Firestore should not need it installed to work.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.firestore import AsyncClient

    from orchestra_memory import FirestoreMemory
    from orchestra_memory.backends.firestore.access import close_client

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
        client = AsyncClient(project, credentials=AnonymousCredentials())
    yield FirestoreMemory(client)
    await close_client(client)


@asynccontextmanager
async def cached(redis_server: Any) -> AsyncIterator[MemoryManager]:
    async with (
        Redis.from_url(redis_server.url) as redis,
        CachedMemory(LocalMemory(), redis, store=uuid4().hex) as memory,
    ):
        yield memory


@asynccontextmanager
async def behind_fallback() -> AsyncIterator[MemoryManager]:
    guard = GuardedMemory(LocalMemory(), breaker=Breaker())
    async with FallbackMemory(guard, guard=guard) as memory:
        yield memory


@asynccontextmanager
async def degraded() -> AsyncIterator[MemoryManager]:
    async with outages(LocalMemory()) as memory:
        yield memory


STACKS: Final[dict[str, tuple[Callable[..., Opened], *tuple[str, ...]]]] = {
    "local": (local,),
    "sqlite": (sqlite,),
    "firestore": (firestore, "firestore_emulator", "firestore_project"),
    "cached": (cached, "redis_server"),
    "fallback": (behind_fallback,),
    DEGRADED: (degraded,),
}
"""How each is opened, and the fixtures it needs."""
BACKENDS: Final = {"sqlite": ("sqlite",), "firestore": (), "cached": ("local", "redis")}
"""What each counts for in the closing table, beside what its fixtures count: else ``local``."""
