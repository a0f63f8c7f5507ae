"""The contract, kept by a SQLite file."""

from collections.abc import AsyncIterator

import pytest

from orchestra_memory import SqliteMemory
from orchestra_memory.testing.contract import MemoryContract


class TestSqliteMemory(MemoryContract):
    @pytest.fixture
    async def memory(self, use_backend, database) -> AsyncIterator[SqliteMemory]:
        use_backend("sqlite")
        async with SqliteMemory.open(database) as memory:
            yield memory

    @pytest.fixture
    async def another(self, memory, database) -> AsyncIterator[SqliteMemory]:
        async with SqliteMemory.open(database) as another:
            yield another
