"""Bulk writes to a busy server: fewer at once, within the deadline, no faster than the ramp."""

import time
from typing import Any

import anyio
import pytest

from orchestra_memory import DeadlineExceeded, Options, Overloaded, PartialWrite, Put
from orchestra_memory.backends.firestore import commits
from orchestra_memory.operations import Op
from orchestra_memory.resilience import ramp
from orchestra_memory.testing.contract.models import Lease

from .bulk_writes import LONG, Memories, leases, once
from .grpc_server import OVERLOADED, Commit, Refusal, Server

pytestmark = pytest.mark.anyio


async def test_refusals_of_load_leave_everything_written_once(on: Memories) -> None:
    storm = iter(range(14))
    server = Server(lambda _: OVERLOADED if next(storm, None) is not None else None, delay=0.002)
    async with on(server) as memory:
        receipt = await memory.put_many(leases(12_000))
    assert server.applied == once(12_000)
    assert receipt.count == 12_000


async def test_less_is_under_way_while_load_is_refused_and_more_again_after(on: Memories) -> None:
    storm: list[int] = []
    calm: list[int] = []

    def refuses(commit: Commit) -> Refusal | None:
        stormy = len(storm) < 12
        (storm if stormy else calm).append(commit.at_once)
        # Twice nobody is answered before there are four: who keeps to fewer waits for ever.
        if len(calm) == 40:
            server.open.clear()
        elif commit.at_once >= 4:
            server.open.set()
        return OVERLOADED if stormy else None

    server = Server(refuses, delay=0.002)
    server.open.clear()
    keys = (f"n{i}" for i in range(60 * 400))
    async with on(server) as memory:
        await memory.delete_many(Lease, keys, options=Options(timeout=LONG))
    assert server.applied == once(60 * 400)
    assert storm[:4] == [1, 2, 3, 4]
    assert max(storm[4:]) <= 2
    assert calm[0] == 1
    assert 4 <= max(calm) <= 8


async def test_load_that_is_refused_for_good_is_overloaded(on: Memories) -> None:
    server = Server(lambda _: OVERLOADED)
    async with on(server) as memory:
        with pytest.raises(Overloaded):
            await memory.put_many(leases(10))
        assert len(server.commits) == commits.BULK_ATTEMPTS
        with anyio.fail_after(LONG), pytest.raises(PartialWrite) as caught:
            await memory.put_many(leases(4_000))
    assert isinstance(caught.value.__cause__, Overloaded)
    assert len(caught.value.remaining) == 4_000
    assert not server.applied


@pytest.mark.parametrize("source", [list, iter])
async def test_a_server_that_hangs_is_left_at_the_deadline(on: Memories, source) -> None:
    server = Server()
    server.open.clear()
    async with on(server) as memory:
        with anyio.fail_after(LONG), pytest.raises(PartialWrite) as caught:
            await memory.put_many(source(leases(8_000)), options=Options(timeout=0.3))
        server.open.set()
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert caught.value.stored == 0


async def test_with_a_ramp_chunks_begin_no_faster_than_it_allows(on: Memories, monkeypatch) -> None:
    monkeypatch.setattr(ramp, "RATE", 4_000.0)
    server = Server()
    async with on(server, ramp=True) as memory:
        await memory.put_many(leases(2_400))
    assert server.applied == once(2_400)
    # The last chunk begins half a second after the first, however slow the machine is.
    assert server.commits[-1].at - server.commits[0].at > 0.25


async def test_a_ramp_does_not_outlast_the_deadline(on: Memories, monkeypatch) -> None:
    monkeypatch.setattr(ramp, "RATE", 1.0)
    server = Server()
    async with on(server, ramp=True) as memory:
        with anyio.fail_after(LONG), pytest.raises(PartialWrite) as caught:
            await memory.put_many(leases(1_200), options=Options(timeout=5))
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert not caught.value.__cause__.ambiguous
    assert server.applied == once(400)


async def test_atomic_writes_need_no_ramp(on: Memories, monkeypatch) -> None:
    monkeypatch.setattr(ramp, "RATE", 1.0)
    server = Server()
    async with on(server, ramp=True) as memory:
        with anyio.fail_after(LONG):
            for lease in leases(20):
                await memory.put(lease)
    assert server.applied == once(20)


async def test_large_atomic_writes_are_encoded_one_after_another(on: Memories, monkeypatch) -> None:
    prepare, encoded = commits.prepare, []

    def noted(op: Op) -> Any:
        encoded.append(op.ref.key)
        # So long that others would have their turn.
        time.sleep(0.0001)
        return prepare(op)

    monkeypatch.setattr(commits, "prepare", noted)
    server, records = Server(), leases(1_200)
    async with on(server) as memory, anyio.create_task_group() as writers:
        for start in range(0, 1_200, 400):
            ops = [Put(lease) for lease in records[start : start + 400]]
            writers.start_soon(memory.write, ops)
    assert server.applied == once(1_200)
    assert encoded == [lease.id for lease in records]
