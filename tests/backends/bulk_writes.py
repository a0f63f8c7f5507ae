"""What tests of bulk writes to Firestore write, and how they tell what arrived."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from orchestra_memory import FirestoreMemory, Options
from orchestra_memory.testing.contract.models import Lease

LONG = 30
"""Seconds after which something hangs."""
CHUNKED = Options(atomic=False)
Memories = Callable[..., AbstractAsyncContextManager[FirestoreMemory]]
"""Opens a memory on a server: the fixture ``on``."""


def leases(count: int) -> list[Lease]:
    return [Lease(id=f"n{i}", rank=i) for i in range(count)]


def ids(ops: Any) -> list[str]:
    return [op.ref.key for op in ops]


def once(count: int) -> Counter[str]:
    """What a server has applied that was given so many leases."""
    return Counter(lease.id for lease in leases(count))
