"""Commits are sent as the bytes they were encoded in, and whoever looks at one sees a message."""

import copy
import json
import logging
import pickle
from typing import Any

import pytest
from google.cloud.firestore_v1 import types

from orchestra_memory import Delete, Patch, Put, Ref
from orchestra_memory.codec.document import SCHEMA_VERSION
from orchestra_memory.codec.firestore import messages
from orchestra_memory.codec.firestore.encode import record_bytes
from orchestra_memory.codec.firestore.messages import commit_request
from orchestra_memory.codec.firestore.varints import delimited
from orchestra_memory.testing.contract.models import Lease

from .bulk_writes import Memories, leases, once
from .grpc_server import Server, connected

pytestmark = pytest.mark.anyio

DATABASE = "projects/p/databases/(default)"
ROOT = f"{DATABASE}/documents/{Lease.__record__.collection}"
CommitRequest: Any = types.CommitRequest.pb()


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
