"""Backups: sealed, of one moment, resumed to the same bytes, and restored to the same records."""

import asyncio
import gzip
import json
from dataclasses import replace

import pytest

import orchestra_memory as om
from orchestra_memory import (
    InvalidQuery,
    LocalMemory,
    MemoryItem,
    Query,
    SqliteMemory,
    Unavailable,
    open_memory,
)
from orchestra_memory.testing.faults import FaultyMemory
from orchestra_memory.transfer import backup as backing_up
from orchestra_memory.transfer.backup import KEPT, BackupOptions, backup
from orchestra_memory.transfer.checkpoint import checkpoint_for
from orchestra_memory.transfer.entries import UnreadableFile
from orchestra_memory.transfer.restore import RestoreOptions, inspect, preview, restore
from orchestra_memory.transfer.sources import opened as opened_file
from orchestra_memory.transfer.sources import read

from .stores import opened
from .test_export_import import RECORDS, T, items


@pytest.fixture(params=[".jsonl", ".jsonl.gz"])
def file(request, tmp_path):
    return tmp_path / f"backup{request.param}"


async def filled(memory, count):
    await memory.put_many(items(count))
    return memory


def unpacked(path):
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def record_lines(path):
    """The lines of a backup that are records."""
    return [line for line in unpacked(path).splitlines() if line.startswith(b'{"type"')]


def frames(path):
    lines = unpacked(path).splitlines()
    return json.loads(lines[0])["backup"], json.loads(lines[-1])["seal"]


class Stopped(Exception):
    """The process came to its end."""


def stop_after(count):
    def stop(total):
        if total >= count:
            raise Stopped

    return stop


@pytest.mark.anyio
async def test_what_is_restored_is_what_was_backed_up(file):
    memory, other = LocalMemory(), LocalMemory()
    await memory.put_many(RECORDS)
    report = await backup(memory, file)
    progress = await restore(other, file)
    assert (report.seal.total, progress.records, progress.problems) == (len(RECORDS),) * 2 + (0,)
    for record in RECORDS:
        assert await other.get(type(record), record.key) == record
    await backup(other, file.with_name(f"again{file.name}"))
    assert record_lines(file) == record_lines(file.with_name(f"again{file.name}"))


@pytest.mark.anyio
async def test_the_frame_tells_where_it_comes_from_and_what_is_in_it(file):
    memory = await filled(LocalMemory(), 3)
    report = await backup(memory, file, BackupOptions(source="local:"))
    label, seal = frames(file)
    assert label["source"] == "local:"
    assert label["types"]["MemoryItem"] == {
        "collection": "memory_items",
        "schema_version": 1,
        "records": 3,
    }
    assert label["types"].keys() == {model.__name__ for model in KEPT}
    assert seal["records"] == {"MemoryItem": 3}
    assert seal["as_of"] == label["as_of"] == report.seal.as_of
    assert (await inspect(file)).seal == report.seal


@pytest.mark.anyio
async def test_it_is_of_one_moment_while_others_write(file):
    memory, writers = await filled(LocalMemory(), 900), []

    def change_all(_total):
        keys = [f"{n:06}" for n in range(0, 900, 2)]
        writers.append(asyncio.create_task(memory.delete_many(MemoryItem, keys)))
        writers.append(asyncio.create_task(memory.put_many(items(950, user="bob"))))

    report = await backup(memory, file, BackupOptions(on_progress=change_all))
    await asyncio.gather(*writers)
    assert report.seal.total == 900
    assert b'"user_id":"bob"' not in unpacked(file)
    moving = file.with_name(f"moving{file.name}")
    report = await backup(memory, moving, BackupOptions(on_progress=change_all, still=False))
    await asyncio.gather(*writers)
    assert report.seal.as_of is None


@pytest.mark.anyio
async def test_memory_that_cannot_stand_still_says_so(file):
    memory = (await filled(LocalMemory(), 3)).with_options(timeout=5.0)
    report = await backup(memory, file)
    assert (report.seal.total, report.seal.as_of) == (3, None)
    with pytest.raises(InvalidQuery, match="stands still"):
        await backup(memory, file.with_name("b.jsonl"), BackupOptions(as_of=1))


@pytest.mark.anyio
@pytest.mark.parametrize("stop", [1, 250, 900, 1100])
async def test_resumed_it_is_the_same_file(file, stop, monkeypatch):
    monkeypatch.setattr(backing_up, "utc_now", lambda: T)
    memory = await filled(LocalMemory(), 1_100)
    with pytest.raises(Stopped):
        await backup(memory, file, BackupOptions(on_progress=stop_after(stop)))
    assert not file.exists()
    part = file.with_name(file.name + ".part")
    # A crash tears the last write.
    torn = b"\x1f\x8b" if file.suffix == ".gz" else b'{"type":"Memo'
    part.write_bytes(part.read_bytes() + torn)
    report = await backup(memory, file, BackupOptions(resume=True))
    assert report.seal.total == 1_100
    assert report.seal.as_of is not None
    assert (await inspect(file)).seal == report.seal
    whole = file.with_name(f"whole{file.name}")
    await backup(memory, whole)
    assert unpacked(file) == unpacked(whole)
    assert not part.exists()


@pytest.mark.anyio
async def test_resumed_after_changes_it_does_not_claim_one_moment(file):
    memory = await filled(LocalMemory(), 600)
    with pytest.raises(Stopped):
        await backup(memory, file, BackupOptions(on_progress=stop_after(1)))
    await memory.put(MemoryItem(id="zzz", user_id="ann"))
    report = await backup(memory, file, BackupOptions(resume=True))
    assert (report.seal.total, report.seal.as_of) == (601, None)
    await inspect(file)


@pytest.mark.anyio
async def test_an_outage_leaves_a_part_to_go_on_with_and_no_file(file):
    memory = FaultyMemory(await filled(LocalMemory(), 900))

    def strike(_total):
        memory.fail("find")

    with pytest.raises(Unavailable):
        await backup(memory, file, BackupOptions(on_progress=strike))
    assert not file.exists()
    memory.heal()
    report = await backup(memory, file, BackupOptions(resume=True))
    assert report.seal.total == 900
    keys = [json.loads(line)["document"]["id"] for line in record_lines(file)]
    assert keys == [f"{n:06}" for n in range(900)]


@pytest.mark.anyio
@pytest.mark.usefixtures("bare_environment")
async def test_behind_a_fallback_the_store_itself_is_asked(file):
    async with open_memory("sqlite:///state.db", journal="journal") as memory:
        await memory.put_many(items(3))
        report = await backup(memory, file)
    assert report.seal.records == {"MemoryItem": 3}
    assert report.seal.as_of is not None
    assert report.billed.reads >= 3


@pytest.mark.anyio
async def test_another_backup_is_not_continued_nor_a_file_replaced(file):
    memory = await filled(LocalMemory(), 300)
    with pytest.raises(UnreadableFile, match="without --resume"):
        await backup(memory, file, BackupOptions(resume=True))
    with pytest.raises(Stopped):
        await backup(memory, file, BackupOptions(on_progress=stop_after(1)))
    with pytest.raises(UnreadableFile, match="another backup"):
        await backup(memory, file, BackupOptions(resume=True, source="sqlite:"))
    await backup(memory, file)
    content = file.read_bytes()
    with pytest.raises(FileExistsError):
        await backup(memory, file)
    assert file.read_bytes() == content


@pytest.mark.anyio
async def test_only_its_owner_may_read_it(file):
    await backup(LocalMemory(), file)
    assert file.stat().st_mode & 0o077 == 0


class Draft(om.Record, collection="backup_drafts"):
    """As it was once written."""

    id: str
    size: str = ""


class Final(om.Record, collection="backup_drafts"):
    """As it is read now."""

    id: str
    size: int = 0


@pytest.mark.anyio
async def test_what_cannot_be_read_is_named_and_left_out(file):
    memory = LocalMemory()
    await memory.put_many(Final(id=f"{n:04}", size=n) for n in range(900))
    broken = [0, 3, 199, 400, 899]
    await memory.put_many(Draft(id=f"{n:04}", size="x") for n in broken)
    options = BackupOptions(models=(Final,))
    bad = {f"backup_drafts/{n:04}" for n in broken}
    with pytest.raises(Stopped):
        await backup(memory, file, replace(options, on_progress=stop_after(250)))
    report = await backup(memory, file, replace(options, resume=True))
    assert (report.seal.total, report.seal.left_out, {*report.left_out}) == (895, 5, bad)
    assert b'"size":"x"' not in unpacked(file)
    await inspect(file, RestoreOptions(models=(Final,)))


@pytest.mark.anyio
@pytest.mark.parametrize("damage", ["cut", "changed", "removed", "added", "behind", "no backup"])
async def test_a_damaged_backup_is_refused_before_anything_is_written(tmp_path, damage):
    file, target = tmp_path / "b.jsonl", LocalMemory()
    await backup(await filled(LocalMemory(), 5), file)
    lines = file.read_bytes().splitlines(keepends=True)
    match damage:
        case "cut":
            lines.pop()
        case "changed":
            lines[2] = lines[2].replace(b'"text_content":"1"', b'"text_content":"2"')
        case "removed":
            del lines[3]
        case "added":
            lines.insert(3, lines[2])
        case "behind":
            lines.append(lines[2])
        case _:
            del lines[0]
    file.write_bytes(b"".join(lines))
    with pytest.raises(UnreadableFile):
        await restore(target, file)
    assert [record async for record in target.scan(Query(MemoryItem))] == []


@pytest.mark.anyio
async def test_packed_and_cut_short_it_is_refused(tmp_path):
    file = tmp_path / "b.jsonl.gz"
    await backup(await filled(LocalMemory(), 50), file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UnreadableFile, match="cut short"):
        await restore(LocalMemory(), file)


@pytest.mark.anyio
async def test_unknown_types_and_later_versions_are_refused_beforehand(tmp_path):
    file, memory = tmp_path / "b.jsonl", LocalMemory()
    await memory.put(Final(id="a"))
    await backup(memory, file, BackupOptions(models=(Final,)))
    with pytest.raises(UnreadableFile, match=r"Final.*--import"):
        await restore(memory, file)
    later = tmp_path / "later.jsonl"
    await backup(memory, later, BackupOptions(models=(Final,)))

    class Final2(om.Record, collection="backup_drafts", schema_version=0):
        """As an earlier release reads it."""

        id: str

    Final2.__name__ = "Final"
    with pytest.raises(UnreadableFile, match="upgrade"):
        await restore(memory, later, RestoreOptions(models=(Final2,)))


@pytest.mark.anyio
async def test_a_restore_goes_where_the_memory_is_bound_to(file):
    memory = LocalMemory()
    acme = memory.with_options(namespace="acme")
    await acme.put_many(RECORDS)
    await backup(memory, file, BackupOptions(namespace="acme"))
    other = memory.with_options(namespace="other")
    await restore(other, file)
    await restore(memory, file)
    for record in RECORDS:
        assert await other.get(type(record), record.key) == record
        assert await memory.get(type(record), record.key) == record


@pytest.mark.anyio
async def test_the_preview_tells_what_is_there(file):
    memory = await filled(LocalMemory(), 4)
    await backup(memory, file)
    await memory.delete(MemoryItem, "000000")
    (found,) = [
        each
        for each in await preview(memory, await inspect(file))
        if each.collection == "memory_items"
    ]
    assert (found.backed_up, found.present) == (4, 3)


@pytest.mark.anyio
async def test_an_interrupted_restore_goes_on(file, tmp_path):
    target = LocalMemory()
    await backup(await filled(LocalMemory(), 5_000), file)
    options = RestoreOptions(checkpoint=checkpoint_for(file, "target", tmp_path / "state"))

    def stop(_batch, _progress):
        raise Stopped

    with pytest.raises(Stopped):
        await restore(target, file, replace(options, on_batch=stop))
    first = len([record async for record in target.scan(Query(MemoryItem))])
    assert 0 < first < 5_000
    # What is behind us is not written again.
    await target.delete(MemoryItem, "000000")
    progress = await restore(target, file, replace(options, resume=True))
    assert progress.records == 5_000
    assert len([record async for record in target.scan(Query(MemoryItem))]) == 4_999


@pytest.mark.anyio
async def test_a_backup_can_be_imported_like_an_export(file):
    await backup(await filled(LocalMemory(), 3), file)
    with opened_file(str(file)) as stream:
        reading = read(stream, None)
        found = [entry for unit in reading.units for entry in reading.parse(unit)]
    assert (reading.format, [entry.record.key for entry in found]) == (
        "jsonl",
        ["000000", "000001", "000002"],
    )


@pytest.mark.anyio
async def test_from_firestore_to_sqlite_and_back_is_identical(request, tmp_path):
    first, second, third = (tmp_path / f"{n}.jsonl" for n in range(3))
    large = MemoryItem(id="large", user_id="ann", text_content="x" * 1_500_000)
    async with opened(request, "firestore") as firestore, opened(request, "sqlite") as sqlite:
        acme = firestore.with_options(namespace="acme")
        await acme.put_many([*RECORDS, large, *items(700)])
        report = await backup(firestore, first, BackupOptions(namespace="acme"))
        assert report.seal.as_of is not None
        assert report.seal.total == len(RECORDS) + 701
        await restore(sqlite, first)
        await backup(sqlite, second)
        await restore(firestore.with_options(namespace="back"), second)
        await backup(firestore, third, BackupOptions(namespace="back"))

    def documents(path):
        return [json.loads(line)["document"] for line in record_lines(path)]

    assert documents(first) == documents(second) == documents(third)


@pytest.mark.anyio
async def test_writers_of_sqlite_are_not_held_up_nor_seen(tmp_path):
    async with SqliteMemory.open(tmp_path / "a.db") as memory:
        await filled(memory, 700)
        async with SqliteMemory.open(tmp_path / "a.db") as writer:
            async with memory.frozen() as still:
                await writer.delete_many(MemoryItem, [f"{n:06}" for n in range(700)])
                report = await backup(still, tmp_path / "b.jsonl")
            assert [record async for record in writer.scan(Query(MemoryItem))] == []
    assert report.seal.total == 700
