"""The contract, kept through the meter."""

import pytest

from orchestra_memory import LocalMemory, MeteredMemory
from orchestra_memory.testing.contract import MemoryContract


class TestMeteredLocal(MemoryContract):
    @pytest.fixture
    def memory(self, use_backend) -> MeteredMemory:
        use_backend("local")
        return MeteredMemory(LocalMemory())
