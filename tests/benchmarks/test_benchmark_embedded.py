"""The embedded stores' benchmark: the same tasks for all, and ratios to what is by hand."""

from contextlib import AsyncExitStack

import pytest

from benchmarks import embedded_tasks
from benchmarks.compare import WrongData
from benchmarks.embedded_report import (
    BY_HAND,
    HEADINGS,
    Result,
    Turn,
    costs,
    lines,
    ratio,
    sheet,
    times,
)
from benchmarks.embedded_sides import opened_by_hand, opened_local, opened_sqlite
from benchmarks.embedded_tasks import AT_ONCE, CALLS, SESSION, Call, Task, check, sample, tasks_for
from benchmarks.records import sessions
from benchmarks.summary import Spread
from benchmarks.turns import Cost, Seen


def turn(side, *, seconds=1.0, cpu=1.0, number=1, records=10, task="get"):
    return Turn(task, side, number, records, Cost(seconds, cpu, None))


def answered(records, answer, *, ordered=True):
    call = Call(run=None, expected=records, records=len(records), ordered=ordered)
    return check("SQLite, get", Task("get", [call]), [answer])


@pytest.mark.anyio
@pytest.mark.parametrize("opened", [opened_sqlite, opened_local, opened_by_hand])
async def test_every_store_answers_every_task(opened, tmp_path):
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(tmp_path / "store.db"))
        compared = 0
        for task in tasks_for(sample(SESSION + 30)):
            answers = [await call.run(store) for call in task.calls]
            compared += check(task.name, task, answers)
        assert compared > SESSION


def test_the_sample_has_as_many_records_as_asked_for_and_others_for_later():
    data = sample(SESSION + 30)
    assert [len(job) for job in data.stored] == [SESSION, 30]
    assert (len(data.single), len(data.gathered)) == (CALLS, 4 * AT_ONCE)
    ids = {record.id for record in (*data.records, *data.single, *data.gathered)}
    assert len(ids) == SESSION + 30 + CALLS + 4 * AT_ONCE


def test_a_session_is_expected_newest_first():
    data = sample(60)
    (history,) = {task.name: task for task in tasks_for(data)}["history, page of 50"].calls[:1]
    assert [record.id for record in history.expected] == [
        record.id for record in data.records[:9:-1]
    ]


def test_a_shortened_task_counts_only_its_own_records():
    task = Task("history", [Call(None, [], 50)] * 4)
    assert task.shortened(3).records == 150


def test_answers_that_are_expected_are_counted():
    (job,) = sessions(1, 3)
    assert answered(job, list(job)) == 3
    assert answered(job, job[::-1], ordered=False) == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda job: job[:-1],
        lambda job: job[::-1],
        lambda job: [job[0].evolve(text_content="other"), *job[1:]],
        lambda _: None,
    ],
    ids=["missing", "in another order", "changed", "none"],
)
def test_an_answer_that_is_not_expected_ends_the_run(spoil):
    (job,) = sessions(1, 3)
    with pytest.raises(WrongData, match="SQLite, get: 3 records"):
        answered(job, spoil(job))


def test_ratios_tell_how_many_times_as_fast_and_as_cheap_as_by_hand():
    (ours, hand) = lines([turn(BY_HAND, seconds=3.0, cpu=1.0), turn("SQLite", cpu=2.0)])
    assert (ours.side, hand.side) == ("SQLite", BY_HAND)
    assert ours.time_ratio.median == pytest.approx(3.0)
    assert ours.cpu_ratio.median == pytest.approx(0.5)
    assert hand.time_ratio is None


def test_ratios_compare_what_ran_in_the_same_round():
    assert ratio({1: 2.0, 2: 40.0}, {1: 1.0, 2: 10.0}) == Spread(3.0, 2.0, 4.0)
    assert ratio({1: 2.0}, {2: 1.0}) is None


def test_costs_are_of_one_record_for_turns_may_have_different_numbers_of_them():
    turns = [turn("SQLite", seconds=2.0), turn("SQLite", seconds=2.0, records=4, number=2)]
    assert costs(turns, lambda cost: cost.seconds) == {1: 0.2, 2: 0.5}


def test_watched_turns_give_the_worst_stall_and_take_no_part_in_the_times():
    seen = [
        Turn("get", "SQLite", number, 10, seen=Seen(stall, 0.001, 0))
        for number, stall in ((2, 0.002), (3, 0.005))
    ]
    (line,) = lines([turn("SQLite"), *seen])
    assert (line.stall_ms, line.callback_ms) == (5.0, 1.0)
    assert line.us == Spread(1e5, 1e5, 1e5)


def test_times_stay_readable_however_small_or_large():
    assert times(Spread(0.0006, 0.0005, 0.00071)) == "0.0006 (0.0005 to 0.00071)"
    assert times(Spread(12.4, 9.96, 1_300.0)) == "12 (10 to 1,300)"
    assert times(None) == ""


def test_the_table_sets_off_our_lines_and_says_what_was_compared():
    turns = [turn("SQLite"), turn(BY_HAND), turn("local", task="put")]
    table = sheet(Result(100, lines(turns), turns, [Seen(0.001, 0.0, 0)], 30, {}))
    assert [len(line) for line in table.lines] == [len(HEADINGS)] * 3
    assert list(table.strong) == [0, 2]
    assert table.notes[0].startswith("30 records and counts were compared")


def test_a_run_gives_every_task_of_every_store(hasty, tmp_path, monkeypatch):
    pytest.importorskip("psutil")
    from benchmarks.embedded import SIDES, Plan, run

    monkeypatch.setattr(embedded_tasks, "CALLS", 4)
    monkeypatch.setattr(embedded_tasks, "AT_ONCE", 2)
    told = []
    result = run(Plan(records=20, rounds=1, watched=1), told.append, directory=tmp_path)
    assert {(line.task, line.side) for line in result.lines} == {
        (task.name, side) for task in tasks_for(sample(20)) for side in SIDES
    }
    assert all(line.stall_ms is not None for line in result.lines)
    assert result.compared > 0
    assert len(told) == 3
    assert not list(tmp_path.iterdir())
