"""Commits of bulk writes: what is sent, what is tried again, what is divided, what is told."""

import copy
import json
import logging
import pickle
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import grpc
import pytest
from google.cloud.firestore_v1 import types

from orchestra_memory import (
    ABSENT,
    PRESENT,
    DeadlineExceeded,
    Delete,
    FirestoreMemory,
    InvalidBatch,
    InvalidRecord,
    Options,
    Overloaded,
    PartialWrite,
    Patch,
    PermissionDenied,
    Put,
    Ref,
    Unavailable,
)
from orchestra_memory.backends.firestore import commits
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.codec.document import SCHEMA_VERSION
from orchestra_memory.codec.firestore import messages
from orchestra_memory.codec.firestore.encode import delimited, record_bytes
from orchestra_memory.codec.firestore.messages import commit_request
from orchestra_memory.errors import StorageError
from orchestra_memory.operations import Op
from orchestra_memory.resilience import ramp
from orchestra_memory.testing.contract.models import Lease, Note

from .grpc_server import (
    FORBIDDEN,
    LOST,
    OVERLOADED,
    TOO_BIG,
    Commit,
    Refusal,
    Server,
    connected,
    served,
)

pytestmark = pytest.mark.anyio

LONG = 30
"""Seconds after which something hangs."""
CHUNKED = Options(atomic=False)
DATABASE = "projects/p/databases/(default)"
ROOT = f"{DATABASE}/documents/{Lease.__record__.collection}"
CommitRequest: Any = types.CommitRequest.pb()
Memories = Callable[..., AbstractAsyncContextManager[FirestoreMemory]]


@pytest.fixture
def on(monkeypatch) -> Memories:
    """Opens a memory on a server; its pauses are short."""
    monkeypatch.setattr(commits, "BULK_PAUSE", 0.002)

    @asynccontextmanager
    async def opened(server: Server, **how: bool) -> AsyncIterator[FirestoreMemory]:
        with served(server) as host:
            async with connected(host, monkeypatch, **how) as (memory, _):
                yield memory

    return opened


def leases(count: int) -> list[Lease]:
    return [Lease(id=f"n{i}", rank=i) for i in range(count)]


def ids(ops: Any) -> list[str]:
    return [op.ref.key for op in ops]


def once(count: int) -> Counter[str]:
    return Counter(lease.id for lease in leases(count))


# What is sent.


def some_request() -> tuple[Any, Any]:
    """A request in its bytes, and the same as the library would build it."""
    leased = Lease(id="a", rank=1)
    true = CommitRequest(database=DATABASE)
    write = true.writes.add()
    write.update.name = f"{ROOT}/a"
    write.update.fields["id"].string_value = "a"
    write.update.fields["rank"].integer_value = 1
    write.update.fields["expiration"].null_value = 0
    write.update.fields[SCHEMA_VERSION].integer_value = 1
    true.writes.add().delete = f"{ROOT}/b"
    body = delimited(b"\x0a", f"{ROOT}/a".encode()) + record_bytes(leased)
    delete = types.Write.pb()(delete=f"{ROOT}/b").SerializeToString()
    return commit_request(DATABASE, [delimited(b"\x0a", body), delete]), true


def test_who_looks_at_a_request_sees_the_message_that_is_sent() -> None:
    request, true = some_request()
    theirs = types.CommitRequest.wrap(true)
    assert isinstance(request, types.CommitRequest)
    assert request.database == DATABASE
    assert [write.update.name for write in request.writes] == [f"{ROOT}/a", ""]
    assert request.writes[1].delete == f"{ROOT}/b"
    assert request.transaction == b""
    assert "database" in request
    assert "writes" in request
    assert "transaction" not in request
    assert request
    assert request == theirs
    assert theirs == request
    assert request == some_request()[0]
    assert request != types.CommitRequest(database=DATABASE)
    assert repr(request) == repr(theirs)
    assert str(request) == str(theirs)
    assert type(request).to_dict(request) == type(theirs).to_dict(theirs)
    assert json.loads(type(request).to_json(request)) == json.loads(type(theirs).to_json(theirs))
    for twin in (copy.copy(request), copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert twin == theirs


def test_what_is_sent_are_the_bytes_of_that_message() -> None:
    request, true = some_request()
    data = types.CommitRequest.serialize(request)
    assert CommitRequest.FromString(data) == true
    assert len(data) == true.ByteSize()


def test_what_an_interceptor_changes_is_sent() -> None:
    request, true = some_request()
    request.database = "projects/other/databases/d"
    request.writes.append(types.Write(delete=f"{ROOT}/c"))
    del request.writes[0]
    true.database = "projects/other/databases/d"
    true.writes.add().delete = f"{ROOT}/c"
    del true.writes[0]
    assert request.database == "projects/other/databases/d"
    assert CommitRequest.FromString(types.CommitRequest.serialize(request)) == true


def test_a_commit_of_nothing_is_empty() -> None:
    assert types.CommitRequest.serialize(commit_request("", [])) == delimited(b"\x0a", b"")
    assert commit_request(DATABASE, []) == types.CommitRequest(database=DATABASE)


class Parses:
    """Stands for the message class and counts who parses one."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, **fields: Any) -> Any:
        return CommitRequest(**fields)

    def FromString(self, data: bytes) -> Any:  # noqa: N802 -- the name protobuf gives it
        self.count += 1
        return CommitRequest.FromString(data)


@pytest.fixture
def parses(monkeypatch) -> Parses:
    counted = Parses()
    monkeypatch.setattr(messages, "CommitRequest", counted)
    return counted


def test_naming_the_database_parses_nothing(parses: Parses) -> None:
    request = commit_request(DATABASE, [b"\x12\x01a"])
    assert request.database == DATABASE
    types.CommitRequest.serialize(request)
    assert parses.count == 0
    assert len(request.writes) == 1
    assert parses.count > 0


async def test_no_commit_is_parsed_by_the_library_that_sends_it(
    parses: Parses, firestore_emulator, firestore_project, monkeypatch
) -> None:
    # A version of the library that looks at more of a request makes every commit slower.
    host = firestore_emulator.host
    async with connected(host, monkeypatch, firestore_project) as (memory, _):
        await memory.put(Lease(id="a"))
        await memory.put_many(leases(900))
        patch = Patch(Ref(Lease, "a"), increment={"rank": 3})
        await memory.write([patch, Delete(Ref(Lease, "n1"))])
        assert await memory.get(Lease, "a") == Lease(id="a", rank=3)
        assert await memory.get_many(Lease, ["n0", "n1", "n899"]) == [
            Lease(id="n0"),
            None,
            Lease(id="n899", rank=899),
        ]
    assert parses.count == 0


async def test_the_server_receives_the_bytes_that_were_encoded(on: Memories) -> None:
    server = Server()
    async with on(server) as memory:
        await memory.write([Put(Lease(id="a", rank=1)), Delete(Ref(Lease, "b"))])
    (commit,) = server.commits
    request, true = some_request()
    assert commit.message == true
    assert commit.data == types.CommitRequest.serialize(request)


async def test_logging_of_the_library_shows_the_whole_request(on: Memories) -> None:
    lines: list[logging.LogRecord] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record)

    logger, handler = logging.getLogger("google.cloud.firestore_v1"), Lines(logging.DEBUG)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    server = Server()
    try:
        async with on(server) as memory:
            await memory.put_many(leases(401))
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    sent = [line.request["payload"] for line in lines if "Sending request" in line.getMessage()]
    shown = [write["update"]["name"] for text in sent for write in json.loads(text)["writes"]]
    assert sorted(shown) == sorted(f"{ROOT}/{lease.id}" for lease in leases(401))
    assert server.applied == once(401)


# Too big.


def above(most: int) -> Callable[[Commit], Refusal | None]:
    """Refuses what is more than so many writes."""
    return lambda commit: TOO_BIG if len(commit.message.writes) > most else None


@pytest.mark.parametrize("most", [399, 70, 1])
async def test_what_is_too_big_is_halved_until_it_fits(on: Memories, most: int) -> None:
    server = Server(above(most))
    count = 1_000 if most > 1 else 120
    async with on(server) as memory:
        receipt = await memory.put_many(leases(count))
    assert server.applied == once(count)
    assert receipt.revisions == tuple(server.revisions[lease.id] for lease in leases(count))
    assert receipt.version == max(server.revisions.values())
    assert receipt.billed.writes == receipt.count == count


async def test_halves_keep_the_order_of_the_writes_to_one_record(on: Memories) -> None:
    server = Server(above(30))
    ops: list[Op] = [Put(Lease(id=f"n{i % 7}", rank=i)) for i in range(400)]
    async with on(server) as memory:
        await memory.write(ops, options=CHUNKED)
    ranks: dict[str, list[int]] = {}
    for commit in server.commits:
        if len(commit.message.writes) <= 30:
            for write in commit.message.writes:
                ranks.setdefault(write.update.name, []).append(
                    write.update.fields["rank"].integer_value
                )
    assert all(some == sorted(some) for some in ranks.values())
    assert sum(map(len, ranks.values())) == 400


async def test_one_operation_that_is_too_big_is_an_invalid_batch(on: Memories) -> None:
    server = Server(above(0))
    async with on(server) as memory:
        for options in (CHUNKED, Options()):
            with pytest.raises(InvalidBatch) as caught:
                await memory.put(Lease(id="a"), options=options)
            assert caught.value.bound == "index entries"
        with pytest.raises(InvalidBatch):
            await memory.put_many(leases(64))
    assert not server.applied


async def test_an_atomic_write_is_never_divided(on: Memories) -> None:
    server = Server(above(10))
    async with on(server) as memory:
        with pytest.raises(InvalidBatch) as caught:
            await memory.write([Put(lease) for lease in leases(400)])
    assert caught.value.bound == "index entries"
    assert server.sizes == [400]
    assert not server.applied


FAILURES: dict[str, tuple[Callable[[Commit], Refusal | None], type[Exception]]] = {
    "too big even alone": (
        lambda commit: TOO_BIG if {"n137", "n777"} & set(commit.ids) else above(100)(commit),
        InvalidBatch,
    ),
    "not permitted": (
        lambda commit: above(100)(commit) or (FORBIDDEN if "n777" in commit.ids else None),
        PermissionDenied,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("count", [800, 1_000, 4_000])
async def test_what_was_divided_and_failed_is_told_apart_exactly(
    on: Memories, name: str, count: int
) -> None:
    refuses, cause = FAILURES[name]
    server = Server(refuses)
    ops = [Put(lease) for lease in leases(count)]
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
        error = caught.value
        assert isinstance(error.__cause__, cause)
        assert server.applied == Counter(ids(error.committed))
        committed, remaining = set(ids(error.committed)), set(ids(error.remaining))
        assert list(error.committed) == [op for op in ops if op.ref.key in committed]
        assert list(error.remaining) == [op for op in ops if op.ref.key in remaining]
        assert committed | remaining == set(ids(ops))
        assert not committed & remaining
        server.refuses = above(150)
        await memory.write(error.remaining, options=CHUNKED)
    assert server.applied == once(count)


@pytest.mark.parametrize("place", [0, 99, 100, 137, 200, 399])
async def test_a_chunk_that_was_divided_and_failed_loses_nothing(on: Memories, place: int) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return TOO_BIG if f"n{place}" in commit.ids else above(100)(commit)

    server = Server(refuses)
    ops = [Put(lease) for lease in leases(400)]
    async with on(server) as memory:
        with pytest.raises((PartialWrite, InvalidBatch)) as caught:
            await memory.write(ops, options=CHUNKED)
        error = caught.value
        committed = error.committed if isinstance(error, PartialWrite) else ()
        remaining = error.remaining if isinstance(error, PartialWrite) else tuple(ops)
        assert (*committed, *remaining) == tuple(ops)
        assert ids(remaining)[0] == f"n{place}"
        assert server.applied == Counter(ids(committed))
        server.refuses = above(100)
        await memory.write(remaining, options=CHUNKED)
    assert server.applied == once(400)


async def test_a_chunk_cut_by_bytes_and_then_divided_is_told_apart_too(on: Memories) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return FORBIDDEN if "n7" in commit.ids else above(2)(commit)

    server = Server(refuses)
    ops = [Put(Note(id=f"n{i}", body=str(i) * 700_000)) for i in range(12)]
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
    assert isinstance(caught.value.__cause__, PermissionDenied)
    assert [*caught.value.committed, *caught.value.remaining] == ops
    assert server.applied == Counter(ids(caught.value.committed))
    assert "n7" in ids(caught.value.remaining)


# Too much.


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


# Lost answers.


def lost_once() -> Callable[[Commit], Refusal | None]:
    """Applies the first commit and loses the answer."""
    turns = iter([LOST])
    return lambda _: next(turns, None)


def each(make: Callable[[str], Op]) -> list[Op]:
    return [make(f"n{i}") for i in range(10)]


REPEATABLE: dict[str, list[Op]] = {
    "puts": each(lambda key: Put(Lease(id=key))),
    "deletes": each(lambda key: Delete(Ref(Lease, key))),
    "patches that set": each(lambda key: Patch(Ref(Lease, key), set={"rank": 1})),
}
UNREPEATABLE: dict[str, list[Op]] = {
    "increments": each(lambda key: Patch(Ref(Lease, key), increment={"rank": 1})),
    "puts of what is absent": each(lambda key: Put(Lease(id=key), ABSENT)),
    "puts over what is present": each(lambda key: Put(Lease(id=key), PRESENT)),
    "puts over a revision": each(lambda key: Put(Lease(id=key), 7)),
    "deletes of a revision": each(lambda key: Delete(Ref(Lease, key), 7)),
    "one increment among puts": [
        *each(lambda key: Put(Lease(id=key))), Patch(Ref(Lease, "x"), increment={"rank": 1})
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATABLE)
async def test_what_leaves_the_same_when_applied_twice_is_sent_again(
    on: Memories, name: str
) -> None:
    server = Server(lost_once())
    async with on(server) as memory:
        await memory.write(REPEATABLE[name], options=CHUNKED)
    assert len(server.commits) == 2
    assert server.commits[0].data == server.commits[1].data


@pytest.mark.parametrize("name", UNREPEATABLE)
async def test_what_does_not_is_left_to_the_caller(on: Memories, name: str) -> None:
    server = Server(lost_once())
    async with on(server) as memory:
        with pytest.raises(Unavailable) as caught:
            await memory.write(UNREPEATABLE[name], options=CHUNKED)
    assert caught.value.ambiguous
    assert len(server.commits) == 1
    assert set(server.applied.values()) == {1}


async def test_a_lost_answer_among_many_chunks_repeats_only_its_own(on: Memories) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return LOST if "n900" in commit.ids and not server.applied["n900"] else None

    server = Server(refuses)
    async with on(server) as memory:
        await memory.put_many(leases(4_000))
    twice = Counter(f"n{i}" for i in range(800, 1_200))
    assert server.applied == once(4_000) + twice


async def test_an_atomic_write_is_sent_once(on: Memories) -> None:
    # Trying again is the guard's, which knows the caller's deadline.
    for refusal in (LOST, OVERLOADED):
        turns = iter([refusal])
        server = Server(lambda _, turns=turns: next(turns, None))
        async with on(server) as memory:
            with pytest.raises((Unavailable, Overloaded)):
                await memory.put(Lease(id="a"))
        assert len(server.commits) == 1


async def test_a_client_closed_under_a_write_is_no_success(monkeypatch) -> None:
    server = Server()
    server.open.clear()
    caught: list[StorageError] = []

    async def put(memory: FirestoreMemory) -> None:
        with pytest.raises(StorageError) as raised:
            await memory.put_many(leases(4_000))
        caught.append(raised.value)

    with served(server) as host, anyio.fail_after(LONG):
        async with connected(host, monkeypatch) as (memory, client):
            async with anyio.create_task_group() as group:
                group.start_soon(put, memory)
                await anyio.to_thread.run_sync(server.asked.wait)
                await close_client(client)
            server.open.set()
    (error,) = caught
    assert isinstance(error, PartialWrite)
    assert isinstance(error.__cause__, Unavailable)
    assert error.stored == 0
    assert len(error.remaining) == 4_000


# Deadlines and the ramp.


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


# Records that cannot be stored.


async def test_a_record_that_cannot_be_encoded_is_named_and_no_other_is_lost(on: Memories) -> None:
    server = Server()
    items = leases(2_000)
    items[950] = items[950].model_copy(update={"rank": 2**64})
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.put_many(items)
    assert isinstance(caught.value.__cause__, InvalidRecord)
    assert caught.value.__cause__.field == "rank"
    assert server.applied == Counter(ids(caught.value.committed))
    assert set(ids(caught.value.committed)) | set(ids(caught.value.remaining)) == set(once(2_000))
    assert "n950" in ids(caught.value.remaining)


async def test_an_unknown_refusal_is_an_error_with_its_cause(on: Memories) -> None:
    server = Server(lambda _: Refusal(grpc.StatusCode.INVALID_ARGUMENT, "a secret is in here"))
    async with on(server) as memory:
        with pytest.raises(StorageError) as caught:
            await memory.put_many(leases(3))
    assert "secret" not in str(caught.value)
    assert "secret" in str(caught.value.__cause__)
