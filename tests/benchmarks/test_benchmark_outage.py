"""The benchmark of the outage fallback: turns, comparing, and that what is promised is measured."""

import asyncio
import json
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.compare import WrongData
from benchmarks.outage import appending, calls, faults, moments, outages, part, probing, report
from benchmarks.outage.calls import BREAKER, FALLBACK, PLAIN, Call
from benchmarks.outage.moments import Moment, Moments
from benchmarks.outage.outages import Lasts, Outage, Outages
from benchmarks.outage.part import QUICK, Servers
from benchmarks.outage.probing import Probes
from benchmarks.outage.turns import Turn, Turns, ratio
from benchmarks.outage.writing import Unshared
from benchmarks.promised import AWAY, PROMISES
from benchmarks.records import sessions
from benchmarks.turns import Cost
from orchestra_memory import LocalMemory
from orchestra_memory.layers.fallback.states import State
from orchestra_memory.resilience.breaker import BreakerSettings
from orchestra_memory.resilience.journal import Journal

TINY = replace(
    QUICK,
    rounds=1,
    calls=1,
    bulk=5,
    lasts=Lasts(later=10, entries=5, seconds=0.0, longer=0.0),
    deadline=0.2,
    breaker=BreakerSettings(confirm=0.05, pause=0.02, urgent_pause=0.02),
    callers=5,
    appends=64,
    writes=10,
    alone=2,
    replayed=5,
)


def turn(way, seconds, *, number=1, records=10, task="append"):
    return Turn(task, way, number, records, Cost(seconds, seconds / 2, None))


def turns(*given):
    found = Turns()
    for each in given:
        found.add(each, compared=1)
    return found


def outage(fault="hung", **changes):
    given = Outage(fault, 1, 2.0, 2.004, 0.0001, 0.002, 0, 1_000, noticed=1.5, replayed=0.25)
    return replace(given, **changes)


def test_what_a_call_takes_more_is_taken_from_the_call_beside_it():
    taken = {
        PLAIN: [Call(1.0, 0.1), Call(5.0, 0.5), Call(9.0, 0.9)],
        BREAKER: [Call(1.0, 0.1)] * 3,
        FALLBACK: [Call(1.5, 0.2), Call(5.5, 0.6), Call(10.5, 1.3)],
    }
    made = calls.made("get", "local", 1, taken)
    assert (made.extra, made.extra_cpu) == (pytest.approx(0.5), pytest.approx(0.1))
    assert made.extra_mean_cpu == pytest.approx(0.2)
    assert made.cpu == {PLAIN: 0.5, BREAKER: 0.1, FALLBACK: 0.6}
    figures = calls.figures("outage", calls.Calls([made]))
    assert figures["outage.get over local.extra_cpu_us"].median == pytest.approx(100_000)


def test_a_ratio_is_between_turns_of_the_same_round_and_the_first_round_does_not_count():
    found = turns(
        turn("ours", 9.0, number=0),
        turn("ours", 1.0),
        turn("ours", 1.0, number=2),
        turn("other", 4.0),
        turn("other", 2.0, number=2),
        turn("other", 5.0, number=3),
    )
    ways = found.tasks()["append"]
    assert (ratio(ways, "ours", "other").least, ratio(ways, "ours", "other").greatest) == (2, 4)
    assert found.compared == 6


def test_entries_are_compared_with_the_better_way_that_serves_writers():
    found = turns(
        turn(appending.OURS, 1.0),
        turn(appending.ALONE, 20.0),
        turn(appending.BY_HAND, 10.0),
        turn(appending.LOOP, 2.0),
    )
    assert appending.figures("outage", found)["outage.append.speed"].median == pytest.approx(10)


@pytest.mark.parametrize(
    "way", [appending.by_many, appending.by_one, appending.by_hand, appending.by_loop]
)
def test_each_way_brings_to_the_disk_what_it_is_given(way, tmp_path):
    given = appending.drafts(3)
    _, found = asyncio.run(way(tmp_path, given))
    assert found == {draft.id: draft.body for draft in given}


@pytest.mark.parametrize(("kind", "shares"), [(Journal, True), (Unshared, False)])
def test_commits_are_shared_unless_each_writer_waits_for_the_others(kind, shares, tmp_path):
    async def commits():
        async with kind.open(tmp_path, target="test") as journal:
            await asyncio.gather(*(journal.append([draft]) for draft in appending.drafts(8)))
            said = repr(journal)
            await journal.settle(entry.number for entry in await journal.pending())
        return said

    said = asyncio.run(commits())
    assert ("8 jobs in 8 commits" in said) is not shares


def test_an_outage_is_told_by_what_comes_after_its_deadline_and_after_its_end():
    found = Outages()
    found.add(outage(), compared=3)
    found.add(outage(first=2.010, noticed=0.5), compared=3)
    figures = outages.figures("outage", found)
    assert figures["outage.hung.first_over_ms"].greatest == pytest.approx(10)
    assert figures["outage.hung.empty_s"].median == pytest.approx(1.25)
    assert figures["outage.hung.slowest_ms"].median == pytest.approx(2)
    assert found.compared == 6


def test_one_time_with_more_probes_is_not_hidden_by_others():
    assert probing.figures("outage", Probes(9, [1, 1, 7], [4, 4, 4]))["outage.probes"].median == 7


def test_a_write_that_the_store_took_is_no_write_of_an_outage():
    (job,) = sessions(1, 1)
    with pytest.raises(WrongData, match="the store took it"):
        asyncio.run(outages.journalled(LocalMemory(), job))


def test_an_answer_that_differs_ends_the_run():
    (job,) = sessions(1, 1)
    with pytest.raises(WrongData, match="in an outage"):
        asyncio.run(outages.answered(LocalMemory(), job))


def test_a_state_is_waited_for_and_an_earlier_one_does_not_count(monkeypatch):
    times = iter(range(1, 10))
    monkeypatch.setattr(
        moments, "time", SimpleNamespace(perf_counter=lambda: next(times), process_time=lambda: 0.0)
    )
    seen = Moments()

    def told(state):
        seen(SimpleNamespace(after=SimpleNamespace(state=state)))

    async def waited():
        told(State.NORMAL)
        since = Moment.now()
        asyncio.get_running_loop().call_soon(told, State.NORMAL)
        return await seen.first(State.NORMAL, since=since, patience=5)

    assert asyncio.run(waited()).at == 3


def test_a_server_that_hangs_goes_on_when_the_outage_is_over():
    async def hang(process):
        async with faults.hung(process.pid)():
            await until(lambda: process.status() == psutil.STATUS_STOPPED)
        await until(lambda: process.status() != psutil.STATUS_STOPPED)

    async def until(true):
        # A signal takes effect when the process is scheduled, not when it is sent.
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.001)

    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            asyncio.run(hang(psutil.Process(child.pid)))
        finally:
            child.kill()


@pytest.fixture(scope="module")
def outcome(firestore_emulator, hasty):
    """Everything measured with few records; the emulator, which others use, does not hang."""
    servers = Servers(firestore_emulator.host, None)
    return asyncio.run(part.measured(servers, TINY, lambda _: None))


def test_everything_that_is_promised_of_an_outage_is_measured(outcome):
    found = report.all_figures(part.PART, outcome)
    promised = {
        figure for promise in PROMISES if promise.part == part.PART for figure in promise.figures
    }
    assert {figure for figure in promised if ".hung." not in figure} <= found.keys()
    assert set(AWAY) == {faults.HUNG, *outcome.outages.faults}


def test_one_probe_reaches_a_store_that_hangs_and_callers_are_answered_meanwhile(outcome):
    assert outcome.probes.reached == [1]
    assert outcome.probes.answers[0] > 0


def test_tables_have_a_cell_for_each_heading_and_the_result_survives_json(outcome):
    made = report.result(part.PART, outcome, TINY, {"origin": "here"}, quick=True)
    assert all(len(line) == len(sheet.headings) for sheet in made.sheets for line in sheet.lines)
    kept = json.loads(json.dumps(made.document))
    assert kept["verified"]["records_compared"] == outcome.compared > 0
    assert {each["fault"] for each in kept["outages"]} == set(outcome.outages.faults)
    assert made.shown == made.sheets[1:]


def test_the_picture_is_drawn(outcome, tmp_path):
    pytest.importorskip("matplotlib")
    made = report.result(part.PART, outcome, TINY, {}, quick=True)
    made.draw(tmp_path / "outage.png", "a caption")
    assert (tmp_path / "outage.png").stat().st_size > 1_000
