"""Streams are asked for as Google's client asks, and read whatever they bring."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1 import types

from orchestra_memory import (
    CorruptRecord,
    FirestoreMemory,
    Options,
    Query,
    Ref,
    StorageError,
    Unavailable,
)
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.codec.firestore.wire import Answers
from orchestra_memory.testing.contract.models import SOME_TIME, Note

pytestmark = pytest.mark.anyio

READ_AT = datetime(2026, 5, 6, tzinfo=UTC)
NAMES = [f"projects/p/databases/(default)/documents/contract_notes/{key}" for key in "abc"]


class Server(grpc.GenericRpcHandler):
    """A Firestore that answers every stream with these messages, and keeps what came with it."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages
        self.heard: list[tuple[str, dict[str, str], float]] = []

    def service(self, details):
        method = details.method.rpartition("/")[2]

        async def answered(_, context):
            metadata = dict(context.invocation_metadata())
            self.heard.append((method, metadata, context.time_remaining()))
            for message in self.messages:
                yield message

        return grpc.unary_stream_rpc_method_handler(answered)


@asynccontextmanager
async def serving(server: Server, monkeypatch) -> AsyncIterator[AsyncClient]:
    listening = grpc.aio.server(handlers=[server])
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{port}")
    client = AsyncClient("p", credentials=AnonymousCredentials())
    yield client
    await close_client(client)
    await listening.stop(None)


def stored(name: str, **fields) -> types.Document:
    key = types.Value(string_value=name.rpartition("/")[2])
    return types.Document(name=name, fields={"id": key, **fields}, update_time=READ_AT)


def gotten(*documents: types.Document) -> list[bytes]:
    answers = (
        types.BatchGetDocumentsResponse(found=document, read_time=READ_AT) for document in documents
    )
    return [*map(types.BatchGetDocumentsResponse.serialize, answers)]


def queried(*documents: types.Document) -> list[bytes]:
    answers = (
        types.RunQueryResponse(document=document, read_time=READ_AT) for document in documents
    )
    return [*map(types.RunQueryResponse.serialize, answers)]


async def test_headers_are_those_of_googles_client(monkeypatch) -> None:
    server = Server()
    async with serving(server, monkeypatch) as client:
        memory = FirestoreMemory(client)
        collection = client.collection("contract_notes")
        await memory.get_many(Note, ["a", "b"])
        assert [_ async for _ in client.get_all([collection.document("a")])] == []
        await memory.find(Query(Note))
        assert [_ async for _ in collection.stream()] == []
    (got, ours, _), (get, theirs, _), (asked, our_query, _), (ask, their_query, _) = server.heard
    assert (got, asked) == (get, ask) == ("BatchGetDocuments", "RunQuery")
    assert (ours, our_query) == (theirs, their_query)


async def test_deadlines_go_with_the_request(monkeypatch) -> None:
    server = Server()
    async with serving(server, monkeypatch) as client:
        memory = FirestoreMemory(client)
        await memory.get_many(Note, ["a", "b"], options=Options(timeout=20))
        await memory.find(Query(Note), options=Options(timeout=20))
    assert all(10 < left < 30 for _, _, left in server.heard)


@pytest.mark.parametrize("message", [b"\xff\xff\xff", gotten(stored(NAMES[0]))[0][:-1]])
async def test_what_is_no_message_is_an_error_of_the_store(monkeypatch, message) -> None:
    async with serving(Server(message), monkeypatch) as client:
        memory = FirestoreMemory(client)
        for call in (memory.get_many(Note, ["a", "b"]), memory.find(Query(Note))):
            with pytest.raises(StorageError) as caught:
                await call
            assert not isinstance(caught.value, Unavailable)


async def test_a_value_that_cannot_be_is_told_by_document_and_field(monkeypatch) -> None:
    late = types.Value.pb()()
    late.timestamp_value.seconds = 2**40
    bad = stored(NAMES[1], created=late)
    documents = stored(NAMES[0]), bad, stored(NAMES[2])
    async with serving(Server(*gotten(*documents)), monkeypatch) as client:
        with pytest.raises(CorruptRecord, match=r"contract_notes/b: .* created") as caught:
            await FirestoreMemory(client).get_many(Note, "abc")
    assert (caught.value.key, caught.value.fields) == ("b", ("created",))
    async with serving(Server(*queried(*documents)), monkeypatch) as client:
        page = await FirestoreMemory(client).find(Query(Note), options=Options(corrupt="skip"))
    assert page.records == [Note(id="a"), Note(id="c")]
    assert [(error.key, error.fields) for error in page.corrupt] == [("b", ("created",))]


async def test_records_asked_for_twice_share_nothing(monkeypatch) -> None:
    data = types.Value(map_value={"fields": {"x": types.Value(integer_value=1)}})
    server = Server(*gotten(stored(NAMES[0], data=data), stored(NAMES[1])))
    async with serving(server, monkeypatch) as client:
        refs = [Ref(Note, key) for key in "aba"]
        first, _, again = (await FirestoreMemory(client).read(refs)).records
    assert first == again == Note(id="a", data={"x": 1})
    first.data["x"] = 2
    assert again.data == {"x": 1}


async def test_what_firestore_sends_is_not_left_to_protobuf(
    firestore_emulator, firestore_project, monkeypatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)
    client = AsyncClient(firestore_project, credentials=AnonymousCredentials())
    memory = FirestoreMemory(client)
    notes = [
        Note(
            id=f"n{i}",
            title="é" * 200,
            rank=-i,
            score=0.5,
            done=True,
            tags=["a", ""],
            vector=[0.5, -1.0],
            data={"list": [[1], [], {"b": b"\x00", "t": SOME_TIME}], "": {}, "__x__": None},
            attachment=[2**62, -1],
        )
        for i in range(3)
    ]
    await memory.put_many(notes)
    left: list[bytes] = []
    unusual = Answers.unusual
    monkeypatch.setattr(
        Answers, "unusual", lambda self, data: left.append(data) or unusual(self, data)
    )
    assert await memory.get_many(Note, [note.id for note in notes]) == notes
    assert left == []
    assert (await memory.find(Query(Note))).records == notes
    nearest = Query(Note).near("vector", [0.5, -1.0], limit=3)
    assert {note.id for note in (await memory.find(nearest)).records} == {"n0", "n1", "n2"}
    # The last answer to a query says that it is the last, which others do not say.
    assert len(left) <= 2
    await close_client(client)
