"""When the disk fails the journal says so, from then on, and keeps what it acknowledged."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from orchestra_memory import DurabilityUnavailable
from orchestra_memory.resilience.journal import Died, Event, orphans, schema

from .parts import TARGET, bodies, crashed, draft, left_behind, opened

pytestmark = pytest.mark.anyio

OPEN_FILES = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="needs /proc")


@contextmanager
def log_replaced(database: Path, device: str) -> Iterator[None]:
    """Have SQLite write its log to a device that fails in its own way."""
    (descriptor,) = [
        int(link.name)
        for link in OPEN_FILES.iterdir()
        if link.is_symlink() and os.path.realpath(link) == f"{database}-wal"
    ]
    kept, other = os.dup(descriptor), os.open(device, os.O_RDWR)
    os.dup2(other, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(other)


@needs_proc
@pytest.mark.parametrize(
    ("device", "reason"), [("/dev/null", "IOERR_FSYNC"), ("/dev/full", "its disk is full")]
)
async def test_a_disk_that_fails_is_the_end_of_the_journal_and_of_nothing_it_kept(
    tmp_path, device, reason
):
    events: list[Event] = []
    async with opened(tmp_path / "now", events=events) as journal:
        (number,) = await journal.append([draft("1")])
        with log_replaced(journal.path, device):
            outcomes = await asyncio.gather(
                *(journal.append([draft("2")]) for _ in range(3)), return_exceptions=True
            )
        assert [type(each) for each in outcomes] == [DurabilityUnavailable] * 3
        assert reason in str(outcomes[0])
        assert isinstance(outcomes[0].__cause__, sqlite3.Error)
        for refused in (journal.append([draft("3")]), journal.settle([number])):
            with pytest.raises(DurabilityUnavailable, match=r"died.*restart"):
                await refused
        await asyncio.sleep(0)
        assert [type(event) for event in events] == [Died]
        assert reason in str(journal.status().dead)
        assert reason in repr(journal)
        assert journal.status().entries == 1
        assert bodies(await journal.pending()) == ["1"]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["1"]


@needs_proc
async def test_a_journal_that_dies_while_it_takes_over_leaves_what_it_took(tmp_path):
    left = await left_behind(tmp_path, [draft("1"), draft("2")])
    async with opened(tmp_path) as journal:
        with log_replaced(journal.path, "/dev/full"), pytest.raises(DurabilityUnavailable):
            await journal.adopt()
        assert await journal.pending() == []
        assert [found.path for found in await orphans(tmp_path, target=TARGET)] == [left]
    async with opened(tmp_path) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["1", "2"]


CHILD = """
import asyncio, resource, sys
from pathlib import Path
from orchestra_memory import DurabilityUnavailable
from orchestra_memory.resilience.journal import DocumentKey, Draft, Journal

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    async with Journal.open(sys.argv[1], target=sys.argv[2]) as journal:
        while True:
            draft = Draft(DocumentKey(None, "notes", "a"), b"x" * 3_000)
            try:
                await journal.append([draft])
            except DurabilityUnavailable as error:
                print(error)
                return
            print(draft.id)

asyncio.run(main())
"""


async def test_a_process_that_runs_out_of_disk_keeps_all_it_acknowledged(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, str(tmp_path), "t"]
    done = await anyio.run_process(command, env=environment)
    *acknowledged, refusal = done.stdout.decode().splitlines()
    assert "not acknowledged" in refusal
    assert len(acknowledged) > 10
    async with opened(tmp_path, target="t") as journal:
        await journal.adopt()
        found = [entry.id for entry in await journal.pending()]
    assert found == acknowledged


async def test_somebody_who_holds_the_file_for_long_fails_one_write_not_the_journal(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    async with opened(tmp_path) as journal:
        with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DurabilityUnavailable, match="try again"):
                await journal.append([draft("1")])
        await journal.append([draft("2")])
        assert bodies(await journal.pending()) == ["2"]
        assert journal.status().dead is None
