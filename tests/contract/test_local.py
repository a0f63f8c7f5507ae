"""The contract, kept by memory in the process."""

import pytest

from orchestra_memory import LocalMemory, MemoryManager
from orchestra_memory.testing.contract import MemoryContract


class TestLocalMemory(MemoryContract):
    @pytest.fixture
    def memory(self, use_backend) -> MemoryManager:
        use_backend("local")
        return LocalMemory()
