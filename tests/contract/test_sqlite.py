"""The contract, kept by a SQLite file."""

from collections.abc import AsyncIterator

import pytest

from orchestra_memory import SqliteMemory
from orchestra_memory.testing.contract import MemoryContract


class TestSqliteMemory(MemoryContract):
    @pytest.fixture
    async def memory(self, use_backend, tmp_path) -> AsyncIterator[SqliteMemory]:
        use_backend("sqlite")
        async with SqliteMemory.open(tmp_path / "memory.db") as memory:
            yield memory

    @pytest.fixture
    async def another(self, memory, tmp_path) -> AsyncIterator[SqliteMemory]:
        async with SqliteMemory.open(tmp_path / "memory.db") as another:
            yield another
