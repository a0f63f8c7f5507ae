"""The contract, kept by Firestore (its emulator)."""

import pytest

from orchestra_memory import FirestoreMemory
from orchestra_memory.testing.contract import MemoryContract


class TestFirestoreMemory(MemoryContract):
    # The emulator shows a commit while it applies it, even to read-only transactions.
    shows_commits_whole = False

    @pytest.fixture
    async def memory(self, open_firestore) -> FirestoreMemory:
        return open_firestore()

    @pytest.fixture
    async def another(self, open_firestore, memory) -> FirestoreMemory:
        return open_firestore()
