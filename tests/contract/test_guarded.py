"""The contract, kept through the guard. `test_cached` has it around Firestore."""

import pytest

from orchestra_memory import GuardedMemory, LocalMemory
from orchestra_memory.testing.contract import MemoryContract


class TestGuardedLocal(MemoryContract):
    @pytest.fixture
    def memory(self, use_backend) -> GuardedMemory:
        use_backend("local")
        return GuardedMemory(LocalMemory())
