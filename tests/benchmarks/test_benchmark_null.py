"""The null backend keeps what it is given, and every way gives and takes the same records."""

from contextlib import asynccontextmanager

import pytest

from benchmarks import null
from benchmarks.by_hand import batches
from benchmarks.null import forget
from benchmarks.null_store import NullStore, committed, field, fields
from benchmarks.ours import get_many, put_many, scan
from benchmarks.records import sessions
from benchmarks.run import Backend, Bench, Load, Plan
from benchmarks.store import Store, opened
from benchmarks.ways import WAYS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(hasty):
    with null.started() as child:
        yield Backend(child.address, child.address, child.pid, forgets=True)


@asynccontextmanager
async def store_of(server, name):
    async with opened(f"project-{name}", server.address) as client:
        yield Store(client, "items")


async def test_what_is_written_by_hand_is_read_by_the_library(server):
    (job,) = sessions(1, 401)
    async with store_of(server, "by-hand") as store:
        await batches(store, job)
        assert await get_many(store, job) == job


async def test_a_query_is_answered_in_pages_newest_first(server):
    mine, other = sessions(2, 700)
    async with store_of(server, "query") as store:
        await put_many(store, [*mine, *other])
        assert await scan(store, mine) == mine[::-1]


async def test_what_is_absent_is_not_found(server):
    (job,) = sessions(1, 2)
    async with store_of(server, "absent") as store:
        await put_many(store, job[:1])
        assert await get_many(store, job) == job[:1]
        assert await store.memory.get(type(job[1]), job[1].id) is None
        await store.memory.delete(type(job[0]), job[0].id)
        assert await get_many(store, job) == []


async def test_it_can_forget_a_collection(server):
    (job,) = sessions(1, 2)
    async with store_of(server, "forgets") as store:
        await put_many(store, job)
        await forget(store)
        assert await get_many(store, job) == []


async def test_every_way_is_timed_and_watched_and_its_data_compared(server):
    plan = Plan(WAYS, [Load(3, rounds=1, watched=1)], records_per_turn=6, warm_up=1)
    outcome = await Bench(server, lambda _: None).run(plan)
    assert {(turn.task, turn.way, turn.side) for turn in outcome.turns} == {
        (way.task, way.name, way.side) for way in WAYS
    }
    assert len(outcome.turns) == 2 * len(WAYS)
    assert all((turn.cost is None) != (turn.seen is None) for turn in outcome.turns)
    assert len(outcome.idle) == 1
    # Two jobs of 3 in both rounds, and the warm-up's 6 of 1.
    assert outcome.compared == 3 * 6 * len(WAYS)


def test_a_commit_is_answered_with_as_many_results_as_it_has_writes():
    store = NullStore()
    writes = [field(b"\x12", field(b"\x0a", b"\x0a\x01x"))] * 3
    answer = store.commit(field(b"\x0a", b"database") + b"".join(writes))
    assert answer == committed(3)
    assert sum(number == 1 for number, _ in fields(answer)) == 3


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_fields_of_any_length_are_read_as_they_were_written(size):
    content = b"x" * size
    assert list(fields(field(b"\x0a", content) + field(b"\x12", b"y"))) == [(1, content), (2, b"y")]
