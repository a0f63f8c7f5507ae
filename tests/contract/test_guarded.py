"""The contract, kept through the guard around each store."""

from collections.abc import AsyncIterator

import pytest

from orchestra_memory import GuardedMemory, LocalMemory, SqliteMemory
from orchestra_memory.testing.contract import MemoryContract


class TestGuardedLocal(MemoryContract):
    @pytest.fixture
    def memory(self, use_backend) -> GuardedMemory:
        use_backend("local")
        return GuardedMemory(LocalMemory())


class TestGuardedSqlite(MemoryContract):
    @pytest.fixture
    async def memory(self, use_backend, tmp_path) -> AsyncIterator[GuardedMemory]:
        use_backend("sqlite")
        async with SqliteMemory.open(tmp_path / "memory.db") as memory:
            yield GuardedMemory(memory)


class TestGuardedFirestore(MemoryContract):
    shows_commits_whole = False

    @pytest.fixture
    async def memory(self, open_firestore) -> GuardedMemory:
        return GuardedMemory(open_firestore())

    @pytest.fixture
    async def another(self, open_firestore, memory) -> GuardedMemory:
        return GuardedMemory(open_firestore())
