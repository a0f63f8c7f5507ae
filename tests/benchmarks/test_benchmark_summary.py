"""What the benchmarks make of their turns."""

import pytest

from benchmarks.summary import (
    CALLBACK,
    CLIENT,
    FIGURES,
    MEMORY,
    SERVER,
    SPEED,
    STALL,
    WORK,
    Spread,
    closest,
    ratios,
    rows,
)
from benchmarks.turns import Cost, Seen, Turn


def turn(way, seconds, *, number=1, size=400, client=0.1, server=0.2, side="by hand", task="write"):
    return Turn(task, way, side, size, number, 400, Cost(seconds, client, server))


def watched(way="a", *, number=2):
    seen = Seen(stall=0.005, callback=0.003, memory=2**20, work=0.002)
    return Turn("write", way, "by hand", 400, number, 400, seen=seen)


def found(turns, figure, *, side="by hand"):
    return next(r for r in closest(ratios(turns), side=side).values() if r.figure == figure)


def test_a_spread_is_the_median_between_the_least_and_the_greatest():
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert Spread.of([1.0, 2.0]).median == 1.5


def test_a_spread_turned_over_has_its_least_where_its_greatest_was():
    assert Spread(4.0, 2.0, 8.0).inverse() == Spread(0.25, 0.125, 0.5)
    assert Spread(4.0, 2.0, 8.0).over(2) == Spread(2.0, 1.0, 4.0)


def test_a_row_gathers_the_rounds_of_one_way_at_one_size():
    (row, other) = rows([turn("a", 1.0), turn("a", 4.0, number=2), turn("a", 1.0, size=1)])
    assert (row.way, row.size, other.size) == ("a", 400, 1)
    assert row.figures[SPEED] == Spread(250.0, 100.0, 400.0)
    assert row.figures[CLIENT].median == pytest.approx(250.0)


def test_times_come_from_timed_turns_and_stalls_from_watched_ones():
    (row,) = rows([turn("a", 1.0), watched()])
    assert row.figures[SPEED] == Spread(400.0, 400.0, 400.0)
    assert row.figures[STALL].median == 5.0
    assert row.figures[CALLBACK].median == 3.0
    assert row.figures[WORK].median == 2.0
    assert row.figures[MEMORY].median == 1.0
    assert row.figures.keys() == FIGURES.keys()


def test_what_could_not_be_measured_is_missing_from_the_row():
    (row,) = rows([turn("a", 1.0, server=None)])
    assert row.figures.keys() == {SPEED, CLIENT}
    (row,) = rows([turn("a", 1.0)])
    assert SERVER in row.figures


def test_the_ratio_is_to_the_fastest_way_by_hand():
    turns = [turn("ours", 1.0, side="ours"), turn("slow", 9.0), turn("fast", 3.0)]
    ratio = found(turns, SPEED)
    assert (ratio.ours, ratio.other, ratio.spread.median) == ("ours", "fast", pytest.approx(3.0))


def test_the_ratio_of_processor_time_is_to_the_cheapest_way_by_hand():
    turns = [
        turn("ours", 1.0, client=0.1, side="ours"),
        turn("fast", 1.0, client=0.5),
        turn("cheap", 9.0, client=0.4),
    ]
    ratio = found(turns, CLIENT)
    assert (ratio.other, ratio.spread.median) == ("cheap", pytest.approx(4.0))


def test_the_limit_is_no_way_by_hand():
    turns = [
        turn("ours", 1.0, side="ours"),
        turn("by hand", 4.0),
        turn("limit", 0.8, side="limit"),
    ]
    assert found(turns, SPEED).other == "by hand"
    assert found(turns, SPEED, side="limit").spread.median == pytest.approx(0.8)


def test_there_is_a_ratio_to_every_other_way():
    turns = [turn("ours", 1.0, side="ours"), turn("slow", 9.0), turn("fast", 3.0)]
    assert {r.other: r.spread.median for r in ratios(turns) if r.figure == SPEED} == {
        "slow": pytest.approx(9.0),
        "fast": pytest.approx(3.0),
    }


def test_ratios_compare_what_ran_in_the_same_round():
    turns = [
        turn("ours", 1.0, number=1, side="ours"),
        turn("hand", 2.0, number=1),
        turn("ours", 10.0, number=2, side="ours"),
        turn("hand", 40.0, number=2),
        turn("hand", 1.0, number=3),
        watched("ours", number=4),
    ]
    ratio = found(turns, SPEED)
    assert (ratio.spread.least, ratio.spread.greatest) == (pytest.approx(2), pytest.approx(4))
    assert ratio.rounds == (pytest.approx(2), pytest.approx(4))


def test_ways_of_the_same_name_are_told_apart_by_their_side():
    turns = [turn("put", 1.0, side="ours"), turn("put", 2.0)]
    (ratio, _) = ratios(turns)
    assert ratio.spread.median == pytest.approx(2.0)


def test_tasks_and_sizes_are_compared_apart():
    turns = [
        turn("ours", 1.0, side="ours"),
        turn("hand", 2.0),
        turn("ours", 1.0, side="ours", size=1),
        turn("hand", 5.0, size=1),
        turn("ours", 1.0, side="ours", task="read"),
    ]
    speeds = [ratio for ratio in ratios(turns) if ratio.figure == SPEED]
    assert [(ratio.size, ratio.spread.median) for ratio in speeds] == [
        (400, pytest.approx(2)),
        (1, pytest.approx(5)),
    ]
