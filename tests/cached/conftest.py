"""What tests of the cache share; properties are searched for counter-examples as all others are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from redis import Redis

from orchestra_memory import CachedMemory
from orchestra_memory.testing import redis_server as servers
from orchestra_memory.testing.redis_server import RedisServer
from orchestra_memory.testing.service import Address

from ..properties import conftest as conftest  # noqa: PLC0414 -- it is loaded, not used
from .beneath import Leaving, Store
from .linked import admin
from .scripted import Cache
from .servers import cluster

Opened = Callable[..., Awaitable[CachedMemory]]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(scope="session")
def nodes() -> Iterator[tuple[Address, ...]]:
    """A cluster that tests share: it takes seconds to come together."""
    with cluster() as nodes:
        yield nodes


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


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as connected:
        yield connected


@pytest.fixture
def cache(client: Redis) -> Iterator[Cache]:
    made = Cache(client)
    yield made
    client.delete(made.key, made.epoch_key)


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    """Stopped, filled and flushed, so nobody else's."""
    with servers.start(own=True) as running:
        yield running


@pytest.fixture
async def server(own_server: RedisServer, use_backend) -> RedisServer:
    """The same, empty."""
    use_backend("redis")
    async with admin(own_server) as redis:
        await redis.flushall()
    return own_server
