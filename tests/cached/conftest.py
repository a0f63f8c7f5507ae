"""What tests of the cache share; properties are searched for counter-examples as all others are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from orchestra_memory import CachedMemory

from ..properties import conftest as conftest  # noqa: PLC0414 -- it is loaded, not used
from .beneath import Leaving, Store

Opened = Callable[..., Awaitable[CachedMemory]]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def redis(redis_server) -> AsyncIterator[Leaving]:
    async with Leaving.at(redis_server.url) as redis:
        yield redis


@pytest.fixture
async def opened(store, redis) -> AsyncIterator[Opened]:
    """Opens caches of one test: by default over its one store, on its one Redis."""
    name = uuid4().hex
    async with AsyncExitStack() as stack:

        async def open_cache(inner=None, client=None, **settings) -> CachedMemory:
            # Nobody has to meet a deadline on a busy machine.
            settings = {"store": name, "timeout": 1.0} | settings
            memory = CachedMemory(inner or store, client or redis, **settings)
            return await stack.enter_async_context(memory)

        yield open_cache


@pytest.fixture
async def memory(opened) -> CachedMemory:
    return await opened()
