"""Processes that append until they are killed, and what is found of what they acknowledged.

A process first takes over what dead ones left, then appends from many writers at once, and tells
each acknowledgement through a pipe. Some of it they bind to a batch, some they settle; they tell
the one after, the other before and after.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from orchestra_memory.resilience.journal import Bounds, DocumentKey, Draft, Entry, Journal

from .parts import TARGET

ROOT = Path(__file__).parents[2]
WRITERS = 32
ROOMY = Bounds(max_entries=10_000_000, max_bytes=2**40)
SETTLED_EVERY = 5
"""One of so many entries is settled again."""
BOUND_EVERY = 3
"""One of so many entries is bound to a batch named as itself."""


@dataclass
class Ledger:
    """What processes told: ids, by what became of them."""

    acknowledged: set[str] = field(default_factory=set)
    settling: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    taken_over: int = 0

    def hear(self, lines: list[str]) -> None:
        told = {
            "a": self.acknowledged,
            "b": self.settling,
            "s": self.settled,
            "n": self.bound,
        }
        for line in lines:
            # The last line of a killed process may be cut.
            if line.endswith("\n"):
                kind, _, what = line.strip().partition(" ")
                if kind == "t":
                    self.taken_over += int(what)
                else:
                    told[kind].add(what)


def killed(directory: Path, seconds: float, *, lines_at_least: int = 1) -> list[str]:
    """Run a process, kill it so many seconds and lines after it began, return what it told."""
    command = [sys.executable, "-m", "tests.journal.killing", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        waiting = time.monotonic() + seconds
        # Emptied all along: a process that waits for the pipe is killed nowhere else.
        while time.monotonic() < waiting or len(lines) < lines_at_least:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL, lines[-3:]
    return lines


async def audit(directory: Path, told: Ledger) -> list[str]:
    """What is wrong, if anything, with what all of them left; it is settled after that."""
    async with Journal.open(directory, target=TARGET, bounds=ROOMY) as journal:
        came = await journal.adopt()
        entries = await journal.pending()
        await journal.settle([entry.number for entry in entries])
    wrong = [f"{came.damaged} damaged"] if came.damaged else []
    return [*wrong, *verdict(told, entries), *stray_files(directory)]


def verdict(told: Ledger, entries: Sequence[Entry]) -> Iterator[str]:
    counted = Counter(entry.id for entry in entries)
    if lost := told.acknowledged - told.settling - counted.keys():
        yield f"{len(lost)} lost"
    if back := told.settled & counted.keys():
        yield f"{len(back)} came back"
    if twice := len(entries) - len(counted):
        yield f"{twice} twice"
    if loose := [entry for entry in entries if entry.id in told.bound and entry.batch != entry.id]:
        yield f"{len(loose)} not in their batch"
    by_document: dict[DocumentKey, list[int]] = {}
    for entry in entries:
        by_document.setdefault(entry.document, []).append(int(entry.body.split()[0]))
    if not all(a < b for each in by_document.values() for a, b in pairwise(each)):
        yield "out of order"


def stray_files(directory: Path) -> Iterator[str]:
    return (f"{path.name} is left" for path in directory.iterdir())


async def write_until_killed(directory: Path) -> None:
    def tell(kind: str, what: object) -> None:
        os.write(1, f"{kind} {what}\n".encode())

    async with Journal.open(directory, target=TARGET, bounds=ROOMY) as journal:
        tell("t", 0)
        # Killed while it takes over what others left, sometimes.
        tell("t", (await journal.adopt()).entries)

        async def write(document: DocumentKey) -> None:
            count = 0
            while True:
                body = f"{count} {'x' * random.randrange(2_000)}".encode()
                drafts = [Draft(document, body)]
                numbers = await journal.append(drafts)
                tell("a", drafts[0].id)
                count += 1
                if count % BOUND_EVERY == 0:
                    await journal.bind(numbers, drafts[0].id)
                    tell("n", drafts[0].id)
                if count % SETTLED_EVERY == 0:
                    tell("b", drafts[0].id)
                    await journal.settle(numbers)
                    tell("s", drafts[0].id)

        async with asyncio.TaskGroup() as group:
            for writer in range(WRITERS):
                group.create_task(write(DocumentKey(None, "notes", f"{os.getpid()}-{writer}")))


if __name__ == "__main__":
    asyncio.run(write_until_killed(Path(sys.argv[1])))
