"""Reads that cost little, and answers that break off and are continued."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient

from orchestra_memory import (
    ABSENT,
    Billed,
    ConfigurationError,
    CorruptRecord,
    FirestoreMemory,
    GuardedMemory,
    Options,
    Patch,
    Put,
    Query,
    Ref,
    Unavailable,
)
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.faults import FaultProxy
from orchestra_memory.testing.service import Address

pytestmark = pytest.mark.anyio

LARGE = "x" * 1_200_000
"""More than one document holds."""
READ_AT = datetime(2026, 5, 6, tzinfo=UTC)


@pytest.fixture
async def memory(firestore_emulator, firestore_project, monkeypatch) -> AsyncIterator:
    async with connected(firestore_emulator.host, firestore_project, monkeypatch) as memory:
        yield memory


@asynccontextmanager
async def connected(host, project, monkeypatch) -> AsyncIterator[FirestoreMemory]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    client = AsyncClient(project, credentials=AnonymousCredentials())
    yield FirestoreMemory(client)
    await close_client(client)


def some_notes(count: int) -> list[Note]:
    return [Note(id=f"n{i:04}", rank=i % 7, title="t" * 900) for i in range(count)]


def meanwhile(monkeypatch, act) -> None:
    """Do this behind the first answer to a read of one document."""
    original, acts = FirestoreAsyncClient.get_document, [act]

    async def get_document(api, **how):
        answer = await original(api, **how)
        if acts:
            await acts.pop()()
        return answer

    monkeypatch.setattr(FirestoreAsyncClient, "get_document", get_document)


class TestOne:
    async def test_it_is_read_without_a_stream(self, monkeypatch) -> None:
        script = Scripted(1)
        async with scripted(script, monkeypatch) as memory:
            snapshot = await memory.read([Ref(Note, "n00")])
            assert await memory.get(Note, "n01") is None
        assert snapshot.records == [Note(id="n00")]
        assert snapshot.billed.reads == 1
        assert script.requests == []

    async def test_its_revision_is_told_but_no_time(self, memory) -> None:
        receipt = await memory.put(Note(id="a"))
        snapshot = await memory.read([Ref(Note, "a")])
        assert snapshot[0].revision == receipt.revisions[0]
        assert snapshot.as_of is None
        assert (await memory.read([Ref(Note, "b")])).as_of is None

    @pytest.mark.parametrize("mode", ["use", "refresh"])
    @pytest.mark.parametrize("key", ["a", "b"])
    async def test_what_is_read_for_a_cache_comes_with_its_time(self, memory, mode, key) -> None:
        receipt = await memory.put(Note(id="a"))
        snapshot = await memory.read([Ref(Note, key)], options=Options(cache=mode))
        assert snapshot.as_of >= receipt.version
        assert snapshot.records == [Note(id="a") if key == "a" else None]

    async def test_what_has_expired_is_absent(self, memory) -> None:
        now = datetime.now(UTC)
        await memory.put(Note(id="a", expiration=now - timedelta(seconds=1)))
        await memory.put(Note(id="b", expiration=now + timedelta(hours=1)))
        assert await memory.get(Note, "a") is None
        assert await memory.get(Note, "b") is not None

    async def test_a_large_record_is_whole(self, memory) -> None:
        await memory.put(Note(id="a", body=LARGE))
        assert await memory.get(Note, "a") == Note(id="a", body=LARGE)

    async def test_what_is_billed_counts_the_parts_of_large_records(self, memory) -> None:
        await memory.put_many([Note(id="a", body=LARGE), Note(id="b")])
        one = await memory.read([Ref(Note, "a")])
        three = await memory.read([Ref(Note, key) for key in "aabc"])
        page = await memory.find(Query(Note))
        assert [answer.billed.reads for answer in (one, three, page)] == [3, 5, 4]

    async def test_what_a_failed_condition_had_read_is_billed(self, memory) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await memory.put_many([Note(id="a", expiration=past), Note(id="b", expiration=past)])
        receipt = await memory.write([Put(Note(id=key), expect=ABSENT) for key in "abc"])
        assert receipt.billed == Billed(reads=3, writes=3)

    async def test_a_large_record_that_changes_while_it_is_read_is_not_torn(
        self, memory, monkeypatch
    ) -> None:
        await memory.put(Note(id="a", rank=1, body=LARGE))
        changed = Note(id="a", rank=2, body=LARGE[::-1] + "!")
        meanwhile(monkeypatch, lambda: memory.put(changed))
        assert await memory.get(Note, "a") == changed

    async def test_a_large_record_that_is_patched_while_it_is_read_is_not_torn(
        self, memory, monkeypatch
    ) -> None:
        await memory.put(Note(id="a", rank=1, body=LARGE))
        patch = Patch(Ref(Note, "a"), set={"rank": 2})
        meanwhile(monkeypatch, lambda: memory.write([patch]))
        assert await memory.get(Note, "a") == Note(id="a", rank=1, body=LARGE)
        assert await memory.get(Note, "a") == Note(id="a", rank=2, body=LARGE)

    async def test_a_large_record_that_goes_while_it_is_read_is_absent(
        self, memory, monkeypatch
    ) -> None:
        await memory.put(Note(id="a", body=LARGE))
        meanwhile(monkeypatch, lambda: memory.delete(Note, "a"))
        assert await memory.get(Note, "a") is None

    async def test_a_large_record_that_lost_a_part_says_so(
        self, memory, firestore_emulator, firestore_project
    ) -> None:
        await memory.put_many([Note(id="a"), Note(id="b", body=LARGE), Note(id="c")])
        client = AsyncClient(firestore_project, credentials=AnonymousCredentials())
        await client.document("contract_notes/b/parts/1").delete()
        await close_client(client)
        for call in (memory.get(Note, "b"), memory.find(Query(Note))):
            with pytest.raises(CorruptRecord) as caught:
                await call
            assert (caught.value.collection, caught.value.key) == ("contract_notes", "b")
        page = await memory.find(Query(Note), options=Options(corrupt="skip"))
        assert [note.id for note in page.records] == ["a", "c"]
        assert [error.key for error in page.corrupt] == ["b"]


class TestCut:
    """The connection is cut in mid-answer, by a proxy in front of the emulator."""

    @pytest.fixture
    async def proxy(self, firestore_emulator) -> AsyncIterator[FaultProxy]:
        async with FaultProxy(*Address.parse(firestore_emulator.host)) as proxy:
            yield proxy

    @pytest.fixture
    async def guarded(self, proxy, memory, firestore_project, monkeypatch) -> AsyncIterator:
        async with connected(f"{proxy.host}:{proxy.port}", firestore_project, monkeypatch) as cut:
            yield GuardedMemory(cut, timeout=60)

    @pytest.mark.parametrize("order_by", [(), "-rank"])
    async def test_a_scan_gives_every_record_once(self, memory, guarded, proxy, order_by) -> None:
        notes = some_notes(2_000)
        await memory.put_many(notes)
        expected = [note.id async for note in memory.scan(Query(Note, order_by=order_by))]
        proxy.answers.cut_after(250_000, 300_000, 350_000, 200_000)
        query = Query(Note, order_by=order_by, page_size=700)
        assert [note.id async for note in guarded.scan(query)] == expected
        assert len(expected) == len(notes)
        assert proxy.answers.cuts == 4

    async def test_records_read_by_id_are_all_there(self, memory, guarded, proxy) -> None:
        notes = some_notes(1_500)
        await memory.put_many(notes)
        proxy.answers.cut_after(250_000, 300_000, 350_000)
        found = await guarded.get_many(Note, [*(note.id for note in notes), "gone"])
        assert found == [*notes, None]
        assert proxy.answers.cuts == 3

    async def test_large_records_are_whole(self, memory, guarded, proxy) -> None:
        notes = [Note(id=f"n{i}", rank=i, body=LARGE + str(i)) for i in range(4)]
        await memory.put_many(notes)
        proxy.answers.cut_after(2_000_000, 1_000_000)
        assert [note async for note in guarded.scan(Query(Note))] == notes
        assert proxy.answers.cuts == 2

    async def test_a_connection_that_stays_cut_is_an_error(self, memory, guarded, proxy) -> None:
        await memory.put_many(some_notes(500))
        proxy.answers.cut_after(200_000, *[0] * 1_000)
        with pytest.raises(Unavailable):
            await guarded.find(Query(Note, page_size=500))


class Scripted(grpc.GenericRpcHandler):
    """A Firestore of a few documents, whose streams break off after so many answers each.

    ``requests`` are those that were answered by a stream.
    """

    def __init__(self, count: int, *breaks: int, absent: str = "{name}") -> None:
        self.parent = "projects/p/databases/(default)/documents/contract_notes"
        self.names = [f"{self.parent}/n{i:02}" for i in range(count)]
        self.requests: list = []
        self._breaks = deque(breaks)
        self._absent = absent

    def service(self, details):
        handlers = {
            "GetDocument": grpc.unary_unary_rpc_method_handler(self._get),
            "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(self._get_many),
            "RunQuery": grpc.unary_stream_rpc_method_handler(self._query),
        }
        return handlers.get(details.method.rpartition("/")[2])

    async def _get(self, data, context):
        request = types.GetDocumentRequest.deserialize(data)
        if request.name not in self.names:
            await context.abort(grpc.StatusCode.NOT_FOUND, self._absent.format(name=request.name))
        return types.Document.serialize(document(request.name))

    async def _get_many(self, data, context):
        request = types.BatchGetDocumentsRequest.deserialize(data)
        self.requests.append(request)
        answers = [
            types.BatchGetDocumentsResponse(found=document(name), read_time=READ_AT)
            if name in self.names
            else types.BatchGetDocumentsResponse(missing=name, read_time=READ_AT)
            for name in request.documents
        ]
        async for answer in self._broken(answers, context):
            yield types.BatchGetDocumentsResponse.serialize(answer)

    async def _query(self, data, context):
        request = types.RunQueryRequest.deserialize(data)
        self.requests.append(request)
        query = request.structured_query
        start = query.start_at.values[-1].reference_value if query.start_at else ""
        names = [name for name in self.names if name > start][: query.limit or None]
        answers = [
            types.RunQueryResponse(document=document(name), read_time=READ_AT) for name in names
        ]
        async for answer in self._broken(answers, context):
            yield types.RunQueryResponse.serialize(answer)

    async def _broken(self, answers: Iterable, context) -> AsyncIterator:
        left = self._breaks.popleft() if self._breaks else -1
        for answer in answers:
            if left == 0:
                break
            left -= 1
            yield answer
        if left == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream is broken")


def document(name: str) -> types.Document:
    fields = {"id": types.Value(string_value=name.rpartition("/")[2])}
    return types.Document(name=name, fields=fields, update_time=READ_AT)


@asynccontextmanager
async def scripted(script: Scripted, monkeypatch) -> AsyncIterator[FirestoreMemory]:
    server = grpc.aio.server(handlers=[script])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connected(f"127.0.0.1:{port}", "p", monkeypatch) as memory:
        yield memory
    await server.stop(None)


class TestBroken:
    """Streams that break off at a known place."""

    @pytest.mark.parametrize("breaks", [(1,), (7,), (19,), (20,), (5, 0), (5, 0, 5, 0), (3, 9, 8)])
    async def test_a_page_is_continued_where_its_answer_broke_off(
        self, monkeypatch, breaks
    ) -> None:
        script = Scripted(20, *breaks)
        async with scripted(script, monkeypatch) as memory:
            page = await memory.find(Query(Note, page_size=30))
        assert [note.id for note in page.records] == [f"n{i:02}" for i in range(20)]
        assert page.billed.reads == 20
        assert all(request.read_time == READ_AT for request in script.requests[1:])
        arrived = 0
        for request, number in zip(script.requests, (*breaks, 0), strict=False):
            assert request.structured_query.limit == 31 - arrived
            arrived += number

    async def test_an_answer_that_breaks_off_behind_its_last_row_is_not_asked_for_again(
        self, monkeypatch
    ) -> None:
        script = Scripted(20, 6)
        async with scripted(script, monkeypatch) as memory:
            page = await memory.find(Query(Note, page_size=5))
        assert len(page.records) == 5
        assert page.cursor is not None
        assert len(script.requests) == 1

    async def test_an_answer_that_brings_something_each_time_is_followed_to_its_end(
        self, monkeypatch
    ) -> None:
        script = Scripted(99, *[10] * 9)
        async with scripted(script, monkeypatch) as memory:
            page = await memory.find(Query(Note))
        assert len(page.records) == 99
        assert len(script.requests) == 10

    @pytest.mark.parametrize(
        "breaks", [(0,), (5, 0, 0), (1,) * 20], ids=["at once", "stuck", "drop by drop"]
    )
    async def test_what_does_not_get_on_is_an_error(self, monkeypatch, breaks) -> None:
        script = Scripted(20, *breaks)
        async with scripted(script, monkeypatch) as memory:
            with pytest.raises(Unavailable):
                await memory.find(Query(Note))
        assert len(script.requests) <= len(breaks)

    async def test_nothing_is_continued_beyond_the_deadline(self, monkeypatch) -> None:
        script = Scripted(20, *[10] * 9)
        async with scripted(script, monkeypatch) as memory:
            with pytest.raises(Unavailable):
                await memory.find(Query(Note), options=Options(timeout=0.000_001))
        assert len(script.requests) <= 1

    @pytest.mark.parametrize("breaks", [(1,), (7,), (11,), (12,), (4, 0, 4)])
    async def test_only_ids_without_an_answer_are_asked_for_again(
        self, monkeypatch, breaks
    ) -> None:
        script = Scripted(10, *breaks)
        keys = [f"n{i:02}" for i in range(12)]
        async with scripted(script, monkeypatch) as memory:
            found = await memory.get_many(Note, keys)
        assert [note and note.id for note in found] == [*keys[:10], None, None]
        arrived = 0
        for request, number in zip(script.requests, (*breaks, 0), strict=False):
            asked = [name.rpartition("/")[2] for name in request.documents]
            assert asked == keys[arrived:]
            arrived += number
        assert all(request.read_time == READ_AT for request in script.requests[1:])

    async def test_a_read_of_which_nothing_arrived_is_an_error(self, monkeypatch) -> None:
        script = Scripted(10, 0)
        async with scripted(script, monkeypatch) as memory:
            with pytest.raises(Unavailable):
                await memory.get_many(Note, ["n00", "n01"])
        assert len(script.requests) == 1


class TestNotFound:
    """The server says of one document only that something was not found."""

    @pytest.mark.parametrize(
        ("absent", "streams"), [("Document {name} was not found.", 0), ("", 1), ("gone", 1)]
    )
    async def test_a_document_that_is_absent_is_none(self, monkeypatch, absent, streams) -> None:
        script = Scripted(1, absent=absent)
        async with scripted(script, monkeypatch) as memory:
            assert await memory.get(Note, "other") is None
        assert len(script.requests) == streams

    async def test_a_database_that_is_absent_is_no_absent_document(self, monkeypatch) -> None:
        class Nowhere(Scripted):
            async def _get_many(self, data, context):
                yield await context.abort(grpc.StatusCode.NOT_FOUND, "")

        async with scripted(Nowhere(0, absent=""), monkeypatch) as memory:
            with pytest.raises(ConfigurationError):
                await memory.get(Note, "a")
            with pytest.raises(ConfigurationError):
                await memory.get_many(Note, ["a", "b"])


async def test_many_single_reads_at_once_are_all_answered(memory) -> None:
    notes = some_notes(200)
    await memory.put_many(notes)
    assert await asyncio.gather(*(memory.get(Note, note.id) for note in notes)) == notes
