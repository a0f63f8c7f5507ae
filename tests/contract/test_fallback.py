"""The contract, kept through the outage fallback: while all is well, and in outages."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    CachedMemory,
    FallbackMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    MeteredMemory,
    SqliteMemory,
)
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.contract import (
    AggregatingContract,
    BatchContract,
    CommitTimeContract,
    CorruptContract,
    IdentityContract,
    MemoryContract,
    NamespaceContract,
    NearestContract,
    OptionsContract,
    OrderingContract,
    PagingContract,
    PatchingContract,
    QueryContract,
    ReadingContract,
    SchemaContract,
    ValueContract,
    WritingContract,
)
from orchestra_memory.testing.faults import FaultyMemory

from ..outages import Outages, outages


@pytest.fixture
async def fallback() -> AsyncIterator[Callable]:
    """Puts a fallback around a memory; of the layers between, ``through`` makes one."""
    async with AsyncExitStack() as stack:

        async def around(inner: MemoryManager, *, through: Any = None) -> FallbackMemory:
            guard = GuardedMemory(inner, breaker=Breaker())
            primary = guard if through is None else await through(guard)
            return await stack.enter_async_context(FallbackMemory(primary, guard=guard))

        yield around


class TestFallbackLocal(MemoryContract):
    @pytest.fixture
    async def memory(self, fallback, use_backend) -> FallbackMemory:
        use_backend("local")
        return await fallback(LocalMemory())


class TestFallbackSqlite(MemoryContract):
    @pytest.fixture
    async def memory(self, fallback, use_backend, database) -> AsyncIterator[FallbackMemory]:
        use_backend("sqlite")
        async with SqliteMemory.open(database) as inner:
            yield await fallback(inner)


class TestWholeStack(MemoryContract):
    """As production has it, on the emulator."""

    shows_commits_whole = False

    @pytest.fixture
    async def through(self, redis) -> AsyncIterator[Callable]:
        store = uuid4().hex
        async with AsyncExitStack() as stack:

            async def cached(inner: MemoryManager) -> CachedMemory:
                return await stack.enter_async_context(CachedMemory(inner, redis, store=store))

            yield cached

    @pytest.fixture
    async def memory(self, fallback, through, open_firestore) -> FallbackMemory:
        return await fallback(MeteredMemory(open_firestore()), through=through)

    @pytest.fixture
    async def another(self, fallback, through, open_firestore, memory) -> FallbackMemory:
        return await fallback(MeteredMemory(open_firestore()), through=through)


class TestReplayed(
    ReadingContract,
    WritingContract,
    PatchingContract,
    BatchContract,
    QueryContract,
    OrderingContract,
    PagingContract,
    AggregatingContract,
    NearestContract,
    CommitTimeContract,
    NamespaceContract,
    IdentityContract,
    ValueContract,
    SchemaContract,
    CorruptContract,
    OptionsContract,
):
    """All but what tells, or depends on, the revision of a write before it is committed."""

    @pytest.fixture
    async def memory(self, use_backend) -> AsyncIterator[Outages]:
        use_backend("local")
        async with outages(LocalMemory()) as memory:
            yield memory


class TestInAnOutage(OrderingContract, NearestContract, ValueContract):
    """The store answers nothing from the beginning: all that is read is what waits."""

    @pytest.fixture
    async def memory(self, use_backend) -> AsyncIterator[FallbackMemory]:
        use_backend("local")
        store = FaultyMemory(LocalMemory())
        store.fail()
        breaker = Breaker()
        breaker.trip()
        guard = GuardedMemory(store, breaker=breaker)
        async with FallbackMemory(guard, guard=guard, drain=0) as memory:
            yield memory


class TestOnceKnown(OrderingContract, NearestContract):
    """The store takes every write and then answers nothing: what is read is what is remembered."""

    @pytest.fixture
    async def memory(self, use_backend) -> AsyncIterator[MemoryManager]:
        use_backend("local")
        store = FaultyMemory(LocalMemory())
        store.fail("read", "find")
        never = Breaker(BreakerSettings(consecutive=10**9, least=10**9))
        guard = GuardedMemory(store, retries=Retries(attempts=1), breaker=never)
        async with FallbackMemory(guard, guard=guard) as memory:
            yield memory
