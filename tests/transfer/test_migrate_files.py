"""Files as they lie about: broken, huge, many, linked in circles, in other encodings."""

import gzip
import json
import os
import tracemalloc

import pytest

from orchestra_memory import AgentState, LocalMemory, Query
from orchestra_memory.transfer.backup import backup
from orchestra_memory.transfer.migrate import FolderSource, MigrateOptions, migrate

from .legacy_files import state, write

pytestmark = pytest.mark.anyio


async def agents(memory):
    return sorted([agent.agent_id async for agent in memory.scan(Query(AgentState))])


async def migrated(folder, **options):
    memory = LocalMemory()
    result = await migrate(folder, memory, options=MigrateOptions(**options))
    return result, await agents(memory)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"agent_id": "a", ', "not JSON"),
        (b'{"agent_id": "caf\xe9", "status": "idle"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "integer"),
        (b"{} trailing", "not JSON"),
    ],
    ids=["cut short", "Latin-1", "deep", "long number", "trailing"],
)
async def test_a_broken_file_is_told_of_and_the_others_are_migrated(tmp_path, content, why):
    write(tmp_path, {"agent_bad.json": content, "agent_good.json": state("good")})
    result, found = await migrated(tmp_path)
    assert found == ["good"]
    assert result.files == {"read": 1, "unreadable": 1}
    assert why in result.problems[0]
    assert "agent_bad.json" in result.problems[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
async def test_every_encoding_of_json_is_read(tmp_path, encoding):
    text = json.dumps(state("älter"), ensure_ascii=False)
    _, found = await migrated(write(tmp_path, {"a.json": text.encode(encoding)}))
    assert found == ["älter"]


@pytest.mark.parametrize("name", ["a.json", "state.txt", "noname", "a.json.gz"])
async def test_any_file_is_taken_by_its_content(tmp_path, name):
    content = json.dumps(state("a")).encode()
    packed = gzip.compress(content) if name.endswith(".gz") else content
    _, found = await migrated(write(tmp_path, {name: packed}))
    assert found == ["a"]


async def test_files_that_hold_no_json_are_passed(tmp_path):
    write(tmp_path, {"readme.md": "# Hello", "picture.png": b"\x89PNG\0", "empty.json": ""})
    result, _ = await migrated(tmp_path)
    assert result.files == {"passed": 3}
    assert result.troubled == 0


async def test_files_of_this_library_are_passed(tmp_path):
    write(tmp_path, {"agent_a.json": state("a")})
    options = {"report": tmp_path / "reports" / "first.jsonl"}
    assert (await migrated(tmp_path, **options))[0].files == {"read": 1, "passed": 1}
    await backup(LocalMemory(), tmp_path / "backup.jsonl.gz")
    result, found = await migrated(tmp_path, report=tmp_path / "reports" / "second.jsonl")
    assert found == ["a"]
    assert result.files == {"read": 1, "passed": 3}
    assert result.troubled == 0


async def test_a_packed_file_that_is_cut_short_is_told_of(tmp_path):
    packed = gzip.compress(json.dumps(state("a")).encode())
    result, _ = await migrated(write(tmp_path, {"a.json.gz": packed[:-9]}))
    assert result.files == {"unreadable": 1}


async def test_lines_of_json_are_taken_one_by_one(tmp_path):
    lines = [json.dumps(state("a")), "", '{"broken', json.dumps(state("b"))]
    result, found = await migrated(write(tmp_path, {"agents.jsonl": "\n".join(lines)}))
    assert found == ["a", "b"]
    assert result.records == {"migrated": 2, "failed": 1}
    assert "line 3" in result.problems[0]


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 900])
async def test_whatever_is_nested_too_deep_is_told_of(tmp_path, depth):
    chat = json.dumps({"messages": [{"role": "r", "x": 0}]})
    deep = chat.replace("0", "[" * depth + "]" * depth)
    write(tmp_path, {"a.json": deep, "agent_good.json": state("good")})
    result, found = await migrated(tmp_path)
    assert found == ["good"]
    assert result.troubled == 1


async def test_a_line_that_is_nested_too_deep_leaves_the_others(tmp_path):
    deep = json.dumps({"messages": [{"role": "r", "x": 0}]}).replace("0", "[" * 400 + "]" * 400)
    lines = [json.dumps(state("a")), deep, json.dumps(state("b"))]
    result, found = await migrated(write(tmp_path, {"agents.jsonl": "\n".join(lines)}))
    assert found == ["a", "b"]
    assert result.records["failed"] == 1


async def test_links_that_loop_are_told_of(tmp_path):
    write(tmp_path / "in" / "deep", {"a.json": state("a")})
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self.json").symlink_to(tmp_path / "in" / "self.json")
    (tmp_path / "in" / "gone.json").symlink_to(tmp_path / "nowhere")
    result, found = await migrated(tmp_path / "in")
    assert found == ["a"]
    assert result.files == {"read": 1, "unreadable": 3}


async def test_what_is_no_regular_file_is_told_of(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    result, _ = await migrated(write(tmp_path, {"a.json": state("a")}))
    assert result.files == {"read": 1, "unreadable": 1}


async def test_names_that_are_no_text_are_read(tmp_path):
    write(tmp_path, {"agent_\udcff.json": {"status": "idle", "agent_type": "t"}})
    report = tmp_path.parent / f"{tmp_path.name}.report"
    result, found = await migrated(tmp_path, report=report)
    assert result.migrated == 1
    assert found == ["\\xff"]
    assert "agent_\\\\xff.json" in report.read_text()


async def test_a_document_beyond_the_bound_is_told_of_and_not_held(tmp_path):
    with (tmp_path / "huge.json").open("wb") as stream:
        stream.write(b'{"agents": {"a": "')
        stream.truncate(1 << 30)
    write(tmp_path, {"agent_good.json": state("good")})
    tracemalloc.start()
    result, found = await migrated(tmp_path, max_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["good"]
    assert "1 MiB" in result.problems[0]
    assert peak < 32 << 20


async def test_lines_beyond_the_bound_are_read_without_holding_them(tmp_path):
    line = json.dumps({"event_type": "error", "ts": 1740820000, "source": "a", "n": 0})
    with (tmp_path / "log.jsonl").open("w") as stream:
        stream.writelines(line.replace('"n": 0', f'"n": {n}') + "\n" for n in range(2_000))
    result, _ = await migrated(tmp_path, max_bytes=10_000)
    assert result.records == {"migrated": 2_000}


async def test_memory_stays_flat_however_many_files_there_are(tmp_path):
    async def peak(folder, count):
        write(folder, {f"{n:05}.json": state(f"a{n}") for n in range(count)})
        tracemalloc.start()
        await migrate(folder, LocalMemory(), dry_run=True)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    await peak(tmp_path / "warm", 10)
    few, many = await peak(tmp_path / "few", 400), await peak(tmp_path / "many", 1_600)
    assert many < few * 1.6


async def test_files_are_read_in_the_same_order_each_time(tmp_path):
    names = ["b/a.json", "a.json", "a/z.json", "a/b/c.json", "B.json", "a.b/x.json"]
    source = FolderSource(write(tmp_path, {name: state(name) for name in names}))
    places = [chunk.place async for batch in source.batches() for chunk in batch]
    assert sorted(places) != places
    assert places == sorted(names, key=lambda name: name.split("/"))
