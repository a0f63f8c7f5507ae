"""Migrating folders: what is created, what is left alone, what is told."""

import json

import pytest

from orchestra_memory import (
    ABSENT,
    AgentState,
    Conflict,
    LocalMemory,
    Put,
    Query,
    SqliteMemory,
    SystemState,
    Unavailable,
)
from orchestra_memory.operations import DEFAULT, Options
from orchestra_memory.protocol import MemoryView
from orchestra_memory.transfer.entries import UnreadableFile
from orchestra_memory.transfer.migrate import MigrateOptions, migrate, undo, verify

from .legacy_files import CORPUS, dump, state, write

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["local", "sqlite"])
async def memory(request, tmp_path):
    if request.param == "local":
        yield LocalMemory()
        return
    async with SqliteMemory.open(tmp_path / "state.db") as opened:
        yield opened


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Counting(MemoryView):
    """Counts writes, and lets one of them fail, before or after it is done."""

    def __init__(self, inner, fail_at=0, *, done=False):
        super().__init__(inner, Options(), None)
        self.inner = inner
        self.writes = 0
        self._fail_at = fail_at
        self._done = done

    async def write(self, ops, *, options=DEFAULT):
        self.writes += 1
        if self.writes == self._fail_at and not self._done:
            raise Unavailable("lost", operation="write")
        receipt = await self.inner.write(ops, options=options)
        if self.writes == self._fail_at:
            raise Unavailable("lost", operation="write", ambiguous=True)
        return receipt

    def with_options(self, *, namespace=None, **options):
        return self


async def test_migrating_twice_gives_the_same_documents(memory):
    first = await migrate(CORPUS, memory)
    before = await dump(memory)
    second = await migrate(CORPUS, memory)
    assert first.migrated == second.records["unchanged"] > 20
    assert second.migrated == 0
    assert await dump(memory) == before


async def test_a_dry_run_tells_the_same_and_writes_nothing(memory, tmp_path):
    dry = await migrate(
        CORPUS, memory, dry_run=True, options=MigrateOptions(report=tmp_path / "dry.jsonl")
    )
    assert [item async for item in memory.scan(Query(AgentState))] == []
    done = await migrate(CORPUS, memory, options=MigrateOptions(report=tmp_path / "done.jsonl"))
    assert (dry.records, dry.types, dry.files) == (done.records, done.types, done.files)
    assert (dry.problems, dry.warnings) == (done.problems, done.warnings)
    own = {"creating", "created", "format", "summary"}
    told = [
        [line for line in lines(path) if not own & line.keys()]
        for path in (tmp_path / "dry.jsonl", tmp_path / "done.jsonl")
    ]
    assert told[0] == told[1]


async def test_a_dry_run_sees_that_two_files_hold_one_record(memory, tmp_path):
    files = {f"{n:03}.json": [state(f"a{i}") for i in range(300)] for n in range(2)}
    write(tmp_path / "in", {**files, "999.json": state("a7", status="stopped")})
    dry = await migrate(tmp_path / "in", memory, dry_run=True)
    done = await migrate(tmp_path / "in", memory)
    assert dry.records == done.records == {"migrated": 300, "unchanged": 300, "kept": 1}


async def test_what_is_stored_already_is_never_changed(memory, tmp_path):
    await migrate(write(tmp_path, {"a.json": state("a")}), memory)
    key = AgentState.key_of("scout", "a", "s")
    await memory.update(AgentState, key, lambda agent: agent.evolve(status="busy"))
    result = await migrate(write(tmp_path, {"b.json": state("b")}), memory)
    assert result.records == {"kept": 1, "migrated": 1}
    assert (await memory.get(AgentState, key)).status == "busy"
    assert any("status differ" in problem for problem in result.problems)


async def test_a_record_that_somebody_creates_in_between_stays(tmp_path):
    class Racing(Counting):
        async def write(self, ops, *, options=DEFAULT):
            if not self.writes:
                self.writes += 1
                theirs = ops[1].record.evolve(status="busy")
                await self.inner.write([Put(theirs, expect=ABSENT)])
            return await super().write(ops, options=options)

    memory = LocalMemory()
    write(tmp_path, {"a.json": [state("a"), state("b"), state("c")]})
    result = await migrate(tmp_path, Racing(memory))
    assert result.records == {"migrated": 2, "kept": 1}
    assert (await memory.get(AgentState, AgentState.key_of("scout", "b", "s"))).status == "busy"


async def test_what_another_run_creates_at_the_same_time_is_not_undone_with_this_one(tmp_path):
    class Overtaken(Counting):
        async def write(self, ops, *, options=DEFAULT):
            await migrate(source, self.inner)
            return await super().write(ops, options=options)

    source = write(tmp_path / "source", {"a.json": [state("a"), state("b")]})
    memory, report = LocalMemory(), tmp_path / "report.jsonl"
    options = MigrateOptions(report=report)
    result = await migrate(source, Overtaken(memory), options=options)
    assert result.records == {"unchanged": 2}
    before = await dump(memory)
    assert (await undo(report, memory)).deleted == 0
    assert await dump(memory) == before


async def test_others_who_never_rest_are_a_conflict_not_an_endless_run(tmp_path):
    class Restless(Counting):
        async def write(self, ops, *, options=DEFAULT):
            raise Conflict("again", refs=[op.ref for op in ops], operation="write")

    with pytest.raises(Conflict):
        await migrate(write(tmp_path, {"a.json": state("a")}), Restless(LocalMemory()))


async def test_the_report_tells_of_every_file_and_record(memory, tmp_path):
    report = tmp_path / "report.jsonl"
    result = await migrate(CORPUS, memory, options=MigrateOptions(report=report))
    told = lines(report)
    files = {line["place"] for line in told if "file" in line}
    assert files == {str(p.relative_to(CORPUS)) for p in CORPUS.rglob("*") if p.is_file()}
    assert sum("result" in line for line in told) == result.records.total()
    assert told[-1]["summary"] == json.loads(json.dumps(result.as_dict()))
    assert all(line["why"] for line in told if line.get("result") == "failed")


async def test_a_report_is_not_written_over(memory, tmp_path):
    write(tmp_path / "in", {"a.json": state("a")})
    options = MigrateOptions(report=tmp_path / "report.jsonl")
    await migrate(tmp_path / "in", memory, options=options)
    with pytest.raises(FileExistsError):
        await migrate(tmp_path / "in", memory, options=options)


async def test_parents_and_children_go_by_their_keys_wherever_they_are(memory, tmp_path):
    write(
        tmp_path,
        {
            "a.json": state("boss", children=["one", "two", "lost"]),
            "b.json": {"agents": {"one": {"type": "x", "session": "s", "parent": "boss"}}},
            "z.json": [state("two"), state("two", session_id="other")],
        },
    )
    result = await migrate(tmp_path, memory)
    boss = await memory.get(AgentState, "scout_boss_s")
    assert boss.child_agents == ["x_one_s", "scout_two_s", "lost"]
    assert (await memory.get(AgentState, "x_one_s")).parent_agent == "scout_boss_s"
    assert any("child_agents: of another agent" in warning for warning in result.warnings)
    again = await migrate(tmp_path, memory)
    assert again.records == {"unchanged": 4}


async def test_verifying_compares_every_field(memory, tmp_path):
    await migrate(CORPUS, memory)
    good = await verify(CORPUS, memory)
    assert good.records["verified"] > 20
    assert not good.records["differs"]
    assert not good.records["missing"]

    key = AgentState.key_of("planner", "planner-01", "release-7")
    await memory.update(AgentState, key, lambda agent: agent.evolve(tools_enabled=["x"]))
    await memory.delete(SystemState, "global_config")
    bad = await verify(CORPUS, memory)
    assert (bad.records["differs"], bad.records["missing"]) == (1, 1)
    assert any("tools_enabled differ" in problem for problem in bad.problems)


async def test_undoing_leaves_the_store_as_it_was(memory, tmp_path):
    await migrate(write(tmp_path / "before", {"a.json": state("before")}), memory)
    before = await dump(memory)
    report = tmp_path / "report.jsonl"
    done = await migrate(CORPUS, memory, options=MigrateOptions(report=report))
    assert (await undo(report, memory, dry_run=True)).deleted == done.migrated
    assert (await undo(report, memory)).deleted == done.migrated
    assert await dump(memory) == before
    assert (await undo(report, memory)).gone == done.migrated


async def test_undoing_leaves_alone_what_was_there_and_what_was_changed(memory, tmp_path):
    await migrate(write(tmp_path / "in", {"a.json": state("old")}), memory)
    write(tmp_path / "in", {"b.json": state("new"), "c.json": state("changed")})
    report = tmp_path / "report.jsonl"
    await migrate(tmp_path / "in", memory, options=MigrateOptions(report=report))
    changed = AgentState.key_of("scout", "changed", "s")
    await memory.update(AgentState, changed, lambda agent: agent.evolve(status="idle"))
    undone = await undo(report, memory)
    assert (undone.deleted, undone.changed) == (1, 1)
    assert undone.kept == [("AgentState", changed)]
    left = [agent.agent_id async for agent in memory.scan(Query(AgentState))]
    assert sorted(left) == ["changed", "old"]


@pytest.mark.parametrize("done", [False, True], ids=["before it is stored", "after it is stored"])
@pytest.mark.parametrize("source", ["many files", "one file"])
async def test_a_run_that_dies_at_any_write_is_resumed_and_undone(
    tmp_path, source, done, monkeypatch
):
    monkeypatch.setattr("orchestra_memory.transfer.migrate.chunks.BATCH", 5)
    states = [state(f"a{n}", parent="a0") for n in range(33)]
    one = write(tmp_path / "in", {"a.json": [{"system_version": "2"}, *states]})
    folder = CORPUS if source == "many files" else one
    whole = LocalMemory()
    want = await migrate(folder, whole)
    report = tmp_path / "report.jsonl"
    for fail_at in range(1, 100):
        memory = LocalMemory()
        report.unlink(missing_ok=True)
        dying = Counting(memory, fail_at, done=done)
        options = MigrateOptions(report=report)
        try:
            await migrate(folder, dying, options=options)
            break
        except Unavailable:
            pass
        # A line that the death cut short.
        report.write_bytes(report.read_bytes() + b'{"place": "x", "resu')
        resumed = await migrate(folder, memory, options=MigrateOptions(report=report, resume=True))
        assert (resumed.records, resumed.types, resumed.files) == (
            want.records,
            want.types,
            want.files,
        )
        assert await dump(memory) == await dump(whole)
        assert (await undo(report, memory)).deleted == want.migrated
        assert await dump(memory) == await dump(LocalMemory())
    assert fail_at > 5


async def test_what_died_is_undone_without_resuming(tmp_path):
    memory = LocalMemory()
    report = tmp_path / "report.jsonl"
    write(tmp_path / "in", {"a.json": state("a")})
    options = MigrateOptions(report=report)
    with pytest.raises(Unavailable):
        await migrate(tmp_path / "in", Counting(memory, 1, done=True), options=options)
    assert (await undo(report, memory)).deleted == 1
    assert [agent async for agent in memory.scan(Query(AgentState))] == []


@pytest.mark.parametrize("other", [{"target": "elsewhere"}, {"namespace": "n"}])
async def test_another_migration_is_not_resumed(tmp_path, other):
    report = tmp_path / "report.jsonl"
    write(tmp_path / "in", {"a.json": state("a")})
    options = MigrateOptions(report=report)
    with pytest.raises(Unavailable):
        await migrate(tmp_path / "in", Counting(LocalMemory(), 1), options=options)
    options = MigrateOptions(report=report, resume=True, **other)
    with pytest.raises(UnreadableFile, match="another migration"):
        await migrate(tmp_path / "in", LocalMemory(), options=options)


async def test_a_finished_migration_is_not_resumed(tmp_path):
    report = tmp_path / "report.jsonl"
    write(tmp_path / "in", {"a.json": state("a")})
    await migrate(tmp_path / "in", LocalMemory(), options=MigrateOptions(report=report))
    options = MigrateOptions(report=report, resume=True)
    with pytest.raises(UnreadableFile, match="finished"):
        await migrate(tmp_path / "in", LocalMemory(), options=options)


@pytest.mark.parametrize("content", ["", "{}\n", "no report\n", '{"format": "other"}\n'])
async def test_what_is_no_report_is_not_undone(tmp_path, content):
    (tmp_path / "report.jsonl").write_text(content)
    with pytest.raises(UnreadableFile):
        await undo(tmp_path / "report.jsonl", LocalMemory())


async def test_a_namespace_takes_every_record_and_undo_finds_it_there(memory, tmp_path):
    report = tmp_path / "report.jsonl"
    options = MigrateOptions(namespace="acme", report=report)
    done = await migrate(CORPUS, memory, options=options)
    assert await dump(memory) == await dump(LocalMemory())
    assert (await verify(CORPUS, memory, options=options)).records["verified"] == done.migrated
    assert (await undo(report, memory)).deleted == done.migrated


async def test_what_cannot_be_written_at_once_is_written_in_parts(memory, tmp_path):
    big = {f"{n}.json": state(f"a{n}", memory_context={"x": "y" * 1_000_000}) for n in range(5)}
    result = await migrate(write(tmp_path, big), memory)
    assert result.migrated == 5


async def test_a_record_that_no_store_takes_is_told_of(memory, tmp_path):
    files = {"big.json": state("big", memory_context={"x": "y" * 3_500_000}), "a.json": state("a")}
    result = await migrate(write(tmp_path, files), memory)
    assert result.records == {"migrated": 1, "failed": 1}


async def test_a_missing_source_is_an_error():
    with pytest.raises(UnreadableFile):
        await migrate("no such folder", LocalMemory())


async def test_a_dry_run_is_not_resumed(tmp_path):
    options = MigrateOptions(report=tmp_path / "report.jsonl", resume=True)
    with pytest.raises(UnreadableFile, match="dry run"):
        await migrate(CORPUS, LocalMemory(), dry_run=True, options=options)
    assert not (tmp_path / "report.jsonl").exists()


async def test_a_report_is_for_its_owners_eyes(tmp_path):
    report = tmp_path / "report.jsonl"
    await migrate(CORPUS, LocalMemory(), options=MigrateOptions(report=report))
    assert report.stat().st_mode & 0o077 == 0
