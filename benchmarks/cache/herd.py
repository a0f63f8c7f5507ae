"""A thousand readers of one record that nobody has read yet: how many reads reach the store.

`python -m benchmarks.cache.herd REDIS EMULATOR PROJECT COLLECTION` is one process of several. It
takes requests as lines of JSON and answers each with one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import anyio
import anyio.to_thread

from orchestra_memory import MemoryItem
from orchestra_memory.layers.cached.connect import connect

from ..compare import WrongData
from ..process import ROOT
from ..result import Report
from ..store import opened
from ..summary import Spread
from .stacks import Stack, over_firestore
from .ways import billed

READERS: Final = 1_000
HEAD_START: Final = 0.3
"""Seconds from the request until all processes begin."""


class Where(NamedTuple):
    """The servers, and where the records are."""

    redis: str
    emulator: str
    project: str
    collection: str


@dataclass(frozen=True, slots=True)
class Herd:
    """One cold record read by so many processes: what the store billed, and the seconds it took."""

    processes: int
    reads: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Herds:
    """All herds, and how many records were compared."""

    rounds: Sequence[Herd]
    compared: int

    def of(self, processes: int) -> list[Herd]:
        return [herd for herd in self.rounds if herd.processes == processes]

    @property
    def sizes(self) -> list[int]:
        return sorted({herd.processes for herd in self.rounds})


def measured(
    where: Where, records: Sequence[MemoryItem], counts: Sequence[int], report: Report
) -> Herds:
    """Each record is read once, by so many processes as ``counts`` says in turn.

    The records are in the collection, and the cache does not know them. Raises ``WrongData`` if a
    reader gets anything else.
    """
    herds: list[Herd] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(where)) for _ in range(max(counts))]
        for number, record in enumerate(records):
            processes = counts[number % len(counts)]
            report(f"herd of {READERS:,} in each of {processes}")
            herds.append(_herd(workers[:processes], record))
    return Herds(herds, READERS * sum(herd.processes for herd in herds))


def _herd(workers: Sequence[subprocess.Popen[str]], record: MemoryItem) -> Herd:
    at = time.time() + HEAD_START
    for process in workers:
        _tell(process, {"record": record.model_dump(mode="json"), "at": at})
    answers = [_answer(process) for process in workers]
    return Herd(
        len(workers),
        reads=sum(answer["reads"] for answer in answers),
        seconds=max(answer["seconds"] for answer in answers),
    )


def _tell(process: subprocess.Popen[str], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise WrongData("a process of the herd ended; what it printed says why")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def worker(where: Where) -> Iterator[subprocess.Popen[str]]:
    """One process, which ends with its stdin."""
    command = [sys.executable, "-m", __name__, *where]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        try:
            _answer(process)
            yield process
        finally:
            process.kill()


async def serve(where: Where) -> None:
    """Be one process of a herd."""
    async with (
        connect(where.redis) as redis,
        opened(where.project, where.emulator) as firestore,
        over_firestore(redis, firestore, where.collection) as stack,
    ):
        print("{}", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            request = json.loads(line)
            record = MemoryItem.model_validate(request["record"])
            print(json.dumps(await stampede(stack, record, request["at"])), flush=True)


async def stampede(stack: Stack, record: MemoryItem, at: float) -> dict[str, Any]:
    """All readers at once, when the system's clock says `at`."""
    before = billed(stack.meter) or 0
    await anyio.sleep(max(0.0, at - time.time()))
    began = time.perf_counter()
    found = await asyncio.gather(*(stack.cached.get(MemoryItem, record.id) for _ in range(READERS)))
    seconds = time.perf_counter() - began
    if found != [record] * READERS:
        raise WrongData("a reader of the herd got another record")
    return {"reads": (billed(stack.meter) or 0) - before, "seconds": seconds}


def figures(part: str, herds: Herds) -> dict[str, Spread]:
    """What promises are about. One herd with more reads breaks them, so the most counts."""
    found: dict[str, Spread] = {}
    for processes in herds.sizes:
        reads = [herd.reads / processes for herd in herds.of(processes)]
        name = "one process" if processes == 1 else "several processes"
        found[f"{part}.herd.{name}"] = Spread(max(reads), min(reads), max(reads))
    return found


if __name__ == "__main__":
    asyncio.run(serve(Where(*sys.argv[1:])))
