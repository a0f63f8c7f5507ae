"""The contract, kept by a real Firestore: run_integration_tests.sh, or nox -s live.

It bills a real project, so it runs only inside a namespace that the caller names and deletes.
"""

import os
from collections.abc import AsyncIterator
from secrets import token_hex

import pytest

from orchestra_memory import MemoryManager, open_memory
from orchestra_memory.testing.contract import MemoryContract

from .inside import Inside

NAMESPACE = os.environ.get("ORCHESTRA_LIVE_NAMESPACE")

if NAMESPACE is None:
    pytest.skip(
        "it bills a real project: run_integration_tests.sh starts it", allow_module_level=True
    )


class TestLiveFirestore(MemoryContract):
    @pytest.fixture
    async def memory(self, use_backend) -> AsyncIterator[MemoryManager]:
        use_backend("live")
        url = os.environ.get("ORCHESTRA_URL") or f"firestore://{os.environ['GCP_PROJECT_ID']}"
        async with open_memory(url, cache="none", fallback=False) as memory:
            yield Inside(memory, f"{NAMESPACE}-{token_hex(4)}")
