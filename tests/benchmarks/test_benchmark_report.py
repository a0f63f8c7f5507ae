"""The benchmarks' tables, JSON and named figures."""

import json

import pytest

from benchmarks.report import HEADINGS, document, figures, left_out, notes, sheet
from benchmarks.store import Way
from benchmarks.turns import Cost, Outcome, Seen, Turn

IDLE = Seen(stall=0.001, callback=0.0001, memory=0)
SEEN = Seen(stall=0.03, callback=0.004, memory=2**20)
OUTCOME = Outcome(
    turns=[
        Turn("write", "put_many", "ours", 4_000, 1, 4_000, Cost(0.1, 0.04, None)),
        Turn("write", "batches", "by hand", 4_000, 1, 4_000, Cost(0.4, 1.0, None)),
        Turn("write", "one by one", "by hand", 4_000, 1, 4_000, Cost(0.8, 2.0, None)),
        Turn("write", "bytes", "limit", 4_000, 1, 4_000, Cost(0.08, 0.01, None)),
        Turn("read", "get_many", "ours", 1, 1, 200, Cost(0.1, 0.04, None)),
        Turn("write", "put_many", "ours", 1, 1, 200, Cost(0.1, 0.04, None)),
        Turn("write", "put_many", "ours", 4_000, 2, 4_000, seen=SEEN),
    ],
    idle=[IDLE],
    compared=8_400,
)


def test_lines_go_by_task_and_rising_size_ours_first():
    assert [line[:3] for line in sheet("A run", OUTCOME).lines] == [
        ("write", "1", "put_many"),
        ("write", "4,000", "put_many"),
        ("write", "4,000", "batches"),
        ("write", "4,000", "one by one"),
        ("write", "4,000", "bytes"),
        ("read", "1", "get_many"),
    ]


def test_every_other_line_says_how_many_times_as_fast_ours_is():
    made = sheet("A run", OUTCOME)
    assert [line[-1] for line in made.lines] == ["", "", "4.00", "8.00", "0.80", ""]
    assert list(made.strong) == [0, 1, 5]


def test_lines_have_as_many_cells_as_there_are_headings():
    assert {len(line) for line in sheet("A run", OUTCOME).lines} == {len(HEADINGS)}


def test_the_document_keeps_every_round_and_survives_json():
    kept = json.loads(json.dumps(document(OUTCOME)))
    assert len(kept["rounds"]) == 7
    assert kept["rounds"][1]["client_cpu"] == 1.0
    assert kept["rounds"][6]["callback"] == 0.004
    assert kept["verified"] == {"records_compared": 8_400, "differences": 0}
    assert kept["ratios"][0]["spread"]["median"] == 4.0


def test_notes_tell_what_was_compared_and_how_an_idle_loop_fared():
    told = notes(OUTCOME)
    assert told[0].startswith("8,400 records")
    assert "1.00 (1.00 to 1.00) ms" in told[1]


def test_figures_are_named_by_part_task_and_what_they_are_compared_with():
    found = figures("null", OUTCOME)
    assert found["null.write.records_per_second/by hand"].median == pytest.approx(4)
    assert found["null.write.records_per_second/one by one"].median == pytest.approx(8)
    assert found["null.write.records_per_second/limit"].median == pytest.approx(0.8)
    assert found["null.write.client_us_per_record/by hand"].median == pytest.approx(25)
    assert found["null.write.time/by hand"].median == pytest.approx(0.25)
    assert found["null.write.longest_callback_ms"].median == pytest.approx(4)
    assert found["null.write.longest_stall_ms/idle"].median == pytest.approx(30)


def test_figures_are_of_the_largest_size_that_a_task_was_run_with():
    small = Turn("write", "batches", "by hand", 1, 1, 200, Cost(0.2, 0.04, None))
    more = Outcome([*OUTCOME.turns, small], OUTCOME.idle, 8_600)
    assert figures("null", more) == figures("null", OUTCOME)


def test_ways_that_were_not_run_are_told():
    ways = [Way("write", "fast", print), Way("write", "slow", print, at_most=1_000)]
    assert left_out(ways, [20_000, 4_000, 400]) == [
        "write, slow: not run with 4,000 and 20,000 records; it is capped at 1,000, being slow."
    ]
