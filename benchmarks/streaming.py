"""`python -m benchmarks.streaming put|scan ADDRESS COUNT`: a process that streams, and its size.

It writes or reads one long session and prints, as JSON, the most memory it ever had and a digest
of the records that went through.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from orchestra_memory import MemoryItem, Record, recent

from .records import streamed
from .store import Store, opened

COLLECTION = "streamed"


@dataclass(frozen=True, slots=True)
class Streamed:
    """``peak`` in bytes. ``digest`` is of all records, in any order."""

    records: int
    digest: str
    peak: int


class Digest:
    """Equal for equal records, whatever their order; one left out or twice makes it another."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._sum = 0
        self.records = 0
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        # Sorted, as a map that was stored has no order.
        text = json.dumps(record.model_dump(mode="json"), sort_keys=True)
        hashed = blake2b(text.encode(), digest_size=16).digest()
        self._sum = (self._sum + int.from_bytes(hashed)) % (1 << 128)
        self.records += 1

    def __str__(self) -> str:
        return f"{self._sum:032x}"


async def put(store: Store, count: int, digest: Digest) -> None:
    async def given() -> AsyncIterator[MemoryItem]:
        for record in streamed(count):
            digest.add(record)
            yield record

    await store.memory.put_many(given())


async def scan(store: Store, count: int, digest: Digest) -> None:
    first = next(streamed(count))
    query = recent(user_id=first.user_id, session_id=first.session_id)
    async for record in store.memory.scan(query):
        digest.add(record)


def peak() -> int:
    """The most memory this process ever had, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not `ru_maxrss`, which begins with the size of the process that started this one.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) * 1024
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept if sys.platform == "darwin" else kept * 1024


async def main(verb: str, address: str, count: str) -> None:
    digest = Digest()
    async with opened(f"stream-of-{count}", address) as client:
        run = {"put": put, "scan": scan}[verb]
        await run(Store(client, COLLECTION), int(count), digest)
    print(json.dumps(asdict(Streamed(digest.records, str(digest), peak()))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
