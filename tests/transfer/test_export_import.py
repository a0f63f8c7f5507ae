"""Our own format: out of one memory, into another, exactly."""

import gzip
import json
import math
from datetime import UTC, datetime

import pytest

import orchestra_memory as om
from orchestra_memory import LocalMemory, MemoryItem, Options, Query, SqliteMemory, recent
from orchestra_memory.models import SHIPPED
from orchestra_memory.transfer.checkpoint import Progress, checkpoint_for
from orchestra_memory.transfer.entries import ChatOptions, UnreadableFile
from orchestra_memory.transfer.exporting import PAGE, Selection, export_blocks
from orchestra_memory.transfer.files import ExportFile
from orchestra_memory.transfer.importing import ImportOptions, import_entries
from orchestra_memory.transfer.sources import opened, read

T = datetime(2026, 1, 31, 8, 0, 0, 1, tzinfo=UTC)

RECORDS = [
    MemoryItem(
        id="awkward/../__id__",
        user_id="ann",
        session_id="s",
        timestamp=T,
        text_content='\u2028 𝄞 \x00 \\ "',
        embedding=[0.1, -2.5],
        metadata={"$time": "no time", "lists": [[1], [2.0]], "b": b"\x00\xff", "nan": math.inf},
    ),
    MemoryItem(id="plain", user_id="bob", timestamp=T),
    om.MemoryRecord(record_id="r", content=[1, {"a": None}], timestamp=T),
    om.AgentData(id="d", agent_id="a", content=2**62, timestamp=T),
    om.UserSession(user_id="ann", session_id="a_b", created_at=T, last_active=T),
    om.AgentState(agent_type="t", agent_id="a", session_id="s", created_at=T, last_active=T),
    om.AgentMemory(agent_type="t", agent_id="a", memory_types_count={"x": 1}),
    om.CoordinationEvent(
        event_id="e", event_type="from a newer version", timestamp=T, committed_at=T
    ),
    om.SystemState(system_version="1"),
]


def items(count, user="ann"):
    return [
        MemoryItem(id=f"{n:06}", user_id=user, timestamp=T, text_content=str(n))
        for n in range(count)
    ]


async def exported(memory, path, selection=None, *, resume=False):
    selection = selection or Selection()
    with ExportFile(path, selection, resume=resume) as file:
        total = file.written.records
        async for block in export_blocks(memory, selection, file.written.start):
            file.write(block)
            total += block.records
        file.finish()
    return total


async def imported(memory, path, options=None):
    with opened(str(path)) as stream:
        return await import_entries(memory, read(stream, ChatOptions()), options or ImportOptions())


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
async def test_every_record_type_comes_back_as_it_was(tmp_path, suffix):
    first, second = LocalMemory(), LocalMemory()
    await first.put_many(RECORDS)
    await exported(first, tmp_path / f"a{suffix}")
    progress = await imported(second, tmp_path / f"a{suffix}")
    await exported(second, tmp_path / f"b{suffix}")

    assert progress == Progress(units=10, last=10, records=9)
    for record in RECORDS:
        assert await second.get(type(record), record.key) == record
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.anyio
async def test_an_export_is_the_same_from_any_store(tmp_path):
    local = LocalMemory()
    await local.put_many([*RECORDS, *items(3)])
    async with SqliteMemory.open(tmp_path / "m.db") as sqlite:
        await sqlite.put_many([*reversed(RECORDS), *items(3)])
        await exported(local, tmp_path / "local.jsonl")
        await exported(sqlite, tmp_path / "sqlite.jsonl")
    assert (tmp_path / "local.jsonl").read_bytes() == (tmp_path / "sqlite.jsonl").read_bytes()


@pytest.mark.anyio
async def test_lines_go_by_collection_and_id(tmp_path):
    memory = LocalMemory()
    await memory.put_many([*reversed(items(3)), *RECORDS[2:]])
    await exported(memory, tmp_path / "a.jsonl")
    header, *lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert header["format"] == "orchestra-memory"
    assert header["collections"] == sorted(model.__record__.collection for model in SHIPPED)
    assert [line["document"]["id"] for line in lines if line["type"] == "MemoryItem"] == [
        "000000",
        "000001",
        "000002",
    ]


@pytest.mark.anyio
async def test_unknown_fields_and_old_documents_survive():
    line = {
        "type": "MemoryItem",
        "document": {"id": "i", "user_id": "u", "timestamp": "2020-01-01T00:00:00"},
    }
    line["document"]["from_the_future"] = {"z": 1, "a": 2}
    memory = LocalMemory()
    await import_entries(memory, read([json.dumps(line).encode()], ChatOptions()))
    item = await memory.get(MemoryItem, "i")
    assert item.unknown_fields == {"from_the_future": {"z": 1, "a": 2}}
    assert item.timestamp == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.anyio
async def test_one_users_export_holds_nothing_of_others(tmp_path):
    memory = LocalMemory()
    await memory.put_many(RECORDS)
    total = await exported(memory, tmp_path / "a.jsonl", Selection(user_id="ann"))
    text = (tmp_path / "a.jsonl").read_text()
    assert total == 2
    assert "bob" not in text


@pytest.mark.anyio
async def test_namespaces_are_kept_or_replaced(tmp_path):
    memory, other = LocalMemory(), LocalMemory()
    await memory.with_options(namespace="acme").put_many(items(2))
    await memory.put_many(items(5))
    assert await exported(memory, tmp_path / "a.jsonl", Selection(namespace="acme")) == 2

    await imported(other, tmp_path / "a.jsonl")
    await imported(other, tmp_path / "a.jsonl", ImportOptions(namespace="new"))
    for namespace in ("acme", "new"):
        view = other.with_options(namespace=namespace)
        assert [item async for item in view.scan(Query(MemoryItem))] == items(2)
    assert await other.get(MemoryItem, "000000") is None


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99, 1.0])
async def test_an_interrupted_export_goes_on_to_the_same_records(tmp_path, suffix, share):
    memory = LocalMemory()
    await memory.put_many([*items(2 * PAGE + 7), *RECORDS[2:]])
    whole = tmp_path / f"whole{suffix}"
    total = await exported(memory, whole)
    part = tmp_path / f"a{suffix}.part"
    part.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])

    assert await exported(memory, tmp_path / f"a{suffix}", resume=True) == total
    unpack = gzip.decompress if suffix.endswith("gz") else bytes
    assert unpack((tmp_path / f"a{suffix}").read_bytes()) == unpack(whole.read_bytes())
    assert not part.exists()


@pytest.mark.anyio
async def test_a_part_of_another_export_is_refused(tmp_path):
    memory = LocalMemory()
    await memory.put_many(items(3))
    await exported(memory, tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").rename(tmp_path / "a.jsonl.part")
    with pytest.raises(UnreadableFile, match="of another export"):
        await exported(memory, tmp_path / "a.jsonl", Selection(user_id="ann"), resume=True)
    with pytest.raises(UnreadableFile, match=r"no b\.jsonl\.part to continue"):
        await exported(memory, tmp_path / "b.jsonl", resume=True)


@pytest.mark.anyio
async def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    memory = LocalMemory()
    await memory.put_many(items(3))
    (tmp_path / "a.jsonl").write_text("old")
    with ExportFile(tmp_path / "a.jsonl", Selection()) as file:
        async for block in export_blocks(memory, Selection()):
            file.write(block)
    assert (tmp_path / "a.jsonl").read_text() == "old"


def line(**changes):
    document = {
        "id": "i",
        "user_id": "u",
        "timestamp": {"$time": "2020-01-01T00:00:00Z"},
        "schema_version": 1,
    }
    return {"type": "MemoryItem", "document": {**document, **changes}}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[1]", 'no record; a line has "type" and "document"'),
        (b'{"type": "Secret", "document": {}}', "not a known record type"),
        (b'{"type": "MemoryItem", "document": 7}', "the document is int"),
        (json.dumps(line(id=None)).encode(), ""),
        (json.dumps(line(user_id=["secret"])).encode(), "user_id"),
        (json.dumps(line(timestamp={"$time": "secret"})).encode(), "$time holds no such value"),
        (json.dumps(line(timestamp="secret")).encode(), "timestamp"),
        (json.dumps(line(schema_version=99)).encode(), "upgrade it"),
        (json.dumps({**line(), "namespace": "a/b"}).encode(), "a namespace must be"),
        (json.dumps({**line(), "namespace": 7}).encode(), "the namespace is int"),
        (json.dumps(line(later=2**70)).encode(), "beyond 64 bits"),
        (json.dumps(line(text_content="x" * 4_000_000)).encode(), "bytes"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
@pytest.mark.anyio
async def test_a_broken_line_is_named_and_the_rest_goes_on(broken, reason):
    lines = [
        json.dumps(line(id="first")).encode(),
        b"",
        broken,
        json.dumps(line(id="last")).encode(),
    ]
    problems, memory = [], LocalMemory()
    options = ImportOptions(on_batch=lambda batch, _: problems.extend(batch.problems))
    progress = await import_entries(
        memory, read([part + b"\n" for part in lines], ChatOptions()), options
    )
    assert (progress.records, progress.problems) == (2, 1)
    assert str(problems[0]).startswith("line 3: ")
    assert reason in str(problems[0])
    assert "secret" not in str(problems[0])


@pytest.mark.parametrize(
    "head", [b'{"format": "orchestra-memory", "version": 2}', b'{"format": "orchestra-memory"}']
)
@pytest.mark.anyio
async def test_a_newer_format_is_refused_before_anything_is_written(head):
    memory = LocalMemory()
    with pytest.raises(UnreadableFile, match="another version"):
        await import_entries(memory, read([head, json.dumps(line()).encode()], ChatOptions()))
    assert await memory.get(MemoryItem, "i") is None


def test_a_file_cut_short_inside_its_packing_is_refused(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line()).encode() * 1000)[:-20])
    with pytest.raises(UnreadableFile, match="cut short"), opened(str(path)) as stream:
        stream.read()


class Failing(LocalMemory):
    """Stops answering after some writes."""

    def __init__(self, writes):
        super().__init__()
        self.writes = writes

    async def write(self, ops, *, options=None):
        if self.writes == 0:
            raise om.Unavailable("gone", operation="write")
        self.writes -= 1
        return await super().write(ops, options=options or Options())


@pytest.mark.anyio
async def test_an_interrupted_import_leaves_whole_batches_and_goes_on(tmp_path):
    source, memory = LocalMemory(), Failing(2)
    await source.put_many(items(1000))
    path = tmp_path / "a.jsonl"
    await exported(source, path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = b"broken\n"
    path.write_bytes(b"".join(lines))
    checkpoint = checkpoint_for(path, "target", tmp_path / "state")

    options = ImportOptions(batch_size=300, checkpoint=checkpoint)
    with pytest.raises(om.Unavailable):
        await imported(memory, path, options)
    assert checkpoint.load() == Progress(units=601, last=601, records=599, problems=1)

    memory.writes = 1_000
    seen = []
    options = ImportOptions(
        batch_size=300,
        checkpoint=checkpoint,
        resume=True,
        on_batch=lambda batch, _: seen.append(batch),
    )
    progress = await imported(memory, path, options)
    assert progress == Progress(units=1001, last=1001, records=999, problems=1)
    assert [len(batch.entries) for batch in seen] == [300, 100]
    assert len([item async for item in memory.scan(recent(user_id="ann", page_size=500))]) == 999
    with pytest.raises(UnreadableFile, match="without --resume"):
        checkpoint.load()


def test_progress_of_another_file_or_store_is_not_continued(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("one")
    checkpoint_for(path, "here", tmp_path).save(Progress(units=5))
    with pytest.raises(UnreadableFile, match="no interrupted import"):
        checkpoint_for(path, "there", tmp_path).load()
    path.write_text("other")
    with pytest.raises(UnreadableFile, match="has changed"):
        checkpoint_for(path, "here", tmp_path).load()


@pytest.mark.anyio
async def test_a_dry_run_writes_nothing(tmp_path):
    source, memory = LocalMemory(), LocalMemory()
    await source.put_many(items(10))
    await exported(source, tmp_path / "a.jsonl")
    progress = await imported(memory, tmp_path / "a.jsonl", ImportOptions(dry_run=True))
    assert progress.records == 10
    assert await memory.get(MemoryItem, "000000") is None


@pytest.mark.anyio
async def test_an_export_in_an_outage_says_so_instead_of_leaving_out():
    class Half(LocalMemory):
        async def find(self, query, *, options=None):
            page = await super().find(query)
            return om.Page(page.items, complete=False)

    with pytest.raises(om.Unavailable, match="hides part"):
        async for _ in export_blocks(Half(), Selection()):
            pass
