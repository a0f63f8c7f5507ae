"""The benchmark of what agents keep: counting by hand, comparing, and that it measures itself."""

import asyncio
import json
from dataclasses import replace

import pytest

from benchmarks.compare import WrongData
from benchmarks.domain import analysing, backing, jobs, migrating, part, report, samples, working
from benchmarks.domain.billing import ByRule
from benchmarks.domain.growing import Growth, Task
from benchmarks.domain.jobs import Done, Job
from benchmarks.domain.migrating import Files
from benchmarks.domain.tally import Tally
from benchmarks.domain.working import Load
from benchmarks.promised import PROMISES
from benchmarks.sheets import markdown
from orchestra_memory import Average, CoordinationEvent, Count, LocalMemory, Query

TINY = part.Plan(
    folders=(Files(2, 1), Files(3, 2)),
    migrations=1,
    events=60,
    analyses=1,
    load=Load(agents=5, calls=2),
    working_rounds=1,
    records=(2, 12),
    backups=1,
)


def silent(_):
    pass


def done(records=10, **changes):
    return replace(Done(records, 2.0, 1.0, 50_000_000), **changes)


def test_samples_are_the_same_each_time_and_others_from_another_start():
    assert list(samples.events(5)) == list(samples.events(5))
    ids = {event.event_id for start in (0, 1) for event in samples.events(5, start=start)}
    assert len(ids) == 10


def test_each_event_is_counted_once_by_type_by_pair_and_by_hour_if_it_failed():
    given = list(samples.events(500))
    tally = Tally()
    for event in given:
        tally.add(event.model_dump())
    found = tally.figures
    assert sum(map(sum, found.types.values())) == sum(map(sum, found.pairs.values())) == 500
    failed = sum(event.success is False for event in given)
    assert sum(map(sum, found.errors.values())) == failed > 0
    assert found.means["spawn"] is None
    assert found.means["handoff"] is not None


def test_growth_is_between_the_largest_processes_of_few_and_of_many():
    async def taken():
        found = Growth()
        for records, peak in ((10, 50), (10, 52), (60, 55), (60, 53)):
            result = done(records, peak=peak * 1_000_000)

            async def do(_, result=result):
                return result

            await found.done(Task("t", "w", 1, records), Job("t", ""), do)
        return found

    found = asyncio.run(taken())
    assert found.peaks()["t", "w"].growth == pytest.approx(3)
    assert {turn.records for turn in found.largest().turns} == {60}


def test_a_job_that_took_other_records_ends_the_run():
    async def do(_):
        return done(9)

    with pytest.raises(WrongData, match="9 of 10"):
        asyncio.run(Growth().done(Task("t", "w", 1, 10), Job("t", ""), do))


def test_a_second_migration_that_leaves_other_records_ends_the_run():
    async def do(job):
        return replace(await jobs.here(job), digest=job.verb)

    with pytest.raises(WrongData, match="not the same"):
        asyncio.run(migrating.measured([Files(1, 2)], 1, do, silent))


def test_a_restored_store_with_other_records_ends_the_run(firestore_emulator):
    async def do(job):
        return replace(await jobs.here(job), digest="other")

    with pytest.raises(WrongData, match="restored as others"):
        asyncio.run(backing.measured(firestore_emulator.host, [3], 1, do, silent))


def test_an_event_that_was_not_kept_ends_the_run(firestore_emulator, monkeypatch):
    async def forgotten(self, event):
        pass

    monkeypatch.setattr(working.ByHand, "record", forgotten)
    with pytest.raises(WrongData, match="not there"):
        asyncio.run(working.measured(firestore_emulator.host, Load(2, 1), 1, silent))


def test_a_job_in_a_process_of_its_own_tells_what_it_took(tmp_path):
    job = Job("fill", f"sqlite:///{tmp_path}/state.db", count=3)
    found = asyncio.run(jobs.in_own_process(job))
    assert found.records == 3
    assert min(found.seconds, found.cpu, found.peak) > 0


@pytest.fixture(scope="module")
def outcome(firestore_emulator, hasty):
    """Everything measured with few records, in this process."""
    return asyncio.run(part.measured(firestore_emulator.host, TINY, jobs.here, silent))


def test_everything_that_is_promised_is_measured(outcome):
    found = report.all_figures(part.PART, outcome)
    promised = {name for each in PROMISES if each.part == part.PART for name in each.figures}
    assert promised
    assert promised <= found.keys()


def test_who_streams_is_billed_for_each_event(outcome):
    reads = outcome.analyses.reads
    assert reads[analysing.BY_TYPE, analysing.BY_HAND] == [TINY.events]
    assert reads[analysing.BY_TYPE, analysing.OURS][0] > 0


def test_reads_are_counted_by_the_published_rule():
    async def billed():
        memory = ByRule(LocalMemory())
        await memory.put_many(samples.events(2_001))
        query = Query(CoordinationEvent)
        totals = await memory.aggregate(query, [Count(), Average("s", of="duration_seconds")])
        none = await memory.aggregate(Query(CoordinationEvent, where={"shard": 99}), [Count()])
        return totals.billed.reads, none.billed.reads

    assert asyncio.run(billed()) == (6, 1)


def test_the_emulator_is_billed_for_what_the_rule_says(outcome):
    async def by_rule():
        memory = ByRule(LocalMemory())
        await memory.put_many(samples.events(TINY.events))
        return (await analysing.by_type(memory)).reads

    (told,) = outcome.analyses.reads[analysing.BY_TYPE, analysing.OURS]
    assert told == asyncio.run(by_rule())


def test_tables_have_a_cell_for_each_heading_and_the_result_survives_json(outcome):
    made = report.result(part.PART, outcome, TINY, {"origin": "here"}, quick=True)
    assert all(len(line) == len(sheet.headings) for sheet in made.sheets for line in sheet.lines)
    assert all(markdown(sheet) for sheet in made.sheets)
    kept = json.loads(json.dumps(made.document))
    assert kept["verified"]["records_compared"] == outcome.compared > 0
    assert {each["task"] for each in kept["turns"]} == {
        migrating.TASK,
        analysing.ALL,
        analysing.BY_TYPE,
        working.SET_STATUS,
        working.RECORD,
        "SQLite",
        "Firestore",
    }
