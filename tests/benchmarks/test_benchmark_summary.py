"""What the benchmarks make of their turns."""

import pytest

from benchmarks.summary import Spread, ratios, rows
from benchmarks.turns import Cost, Turn


def turn(way, seconds, *, number=1, size=400, client=0.1, server=0.2, ours=False, task="write"):
    cost = Cost(seconds, client, server, memory=2**20, stall=0.005)
    return Turn(task, way, ours, size, number, records=400, cost=cost)


def found(turns, figure):
    (ratio,) = [ratio for ratio in ratios(turns) if ratio.figure == figure]
    return ratio


def test_a_spread_is_the_median_between_the_least_and_the_greatest():
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert Spread.of([1.0, 2.0]).median == 1.5


def test_a_row_gathers_the_rounds_of_one_way_at_one_size():
    (row, other) = rows([turn("a", 1.0), turn("a", 4.0, number=2), turn("a", 1.0, size=1)])
    assert (row.way, row.size, other.size) == ("a", 400, 1)
    assert row.figures["records_per_second"] == Spread(250.0, 100.0, 400.0)
    assert row.figures["client_us_per_record"].median == pytest.approx(250.0)
    assert row.figures["peak_memory_mib"].median == 1.0
    assert row.figures["longest_stall_ms"].median == 5.0


def test_what_could_not_be_measured_is_missing_from_the_row():
    (row,) = rows([turn("a", 1.0, server=None)])
    assert "server_us_per_record" not in row.figures


def test_the_ratio_is_to_the_fastest_way_by_hand():
    turns = [turn("ours", 1.0, ours=True), turn("slow", 9.0), turn("fast", 3.0)]
    ratio = found(turns, "records_per_second")
    assert (ratio.ours, ratio.best, ratio.spread.median) == ("ours", "fast", pytest.approx(3.0))


def test_the_ratio_of_processor_time_is_to_the_cheapest_way_by_hand():
    turns = [
        turn("ours", 1.0, client=0.1, ours=True),
        turn("fast", 1.0, client=0.5),
        turn("cheap", 9.0, client=0.4),
    ]
    ratio = found(turns, "client_us_per_record")
    assert (ratio.best, ratio.spread.median) == ("cheap", pytest.approx(0.25))


def test_ratios_compare_what_ran_in_the_same_round():
    turns = [
        turn("ours", 1.0, number=1, ours=True),
        turn("hand", 2.0, number=1),
        turn("ours", 10.0, number=2, ours=True),
        turn("hand", 40.0, number=2),
    ]
    ratio = found(turns, "records_per_second")
    assert (ratio.spread.least, ratio.spread.greatest) == (pytest.approx(2), pytest.approx(4))


def test_tasks_and_sizes_are_compared_apart():
    turns = [
        turn("ours", 1.0, ours=True),
        turn("hand", 2.0),
        turn("ours", 1.0, ours=True, size=1),
        turn("hand", 5.0, size=1),
        turn("ours", 1.0, ours=True, task="read"),
    ]
    speeds = [ratio for ratio in ratios(turns) if ratio.figure == "records_per_second"]
    assert [(ratio.size, ratio.spread.median) for ratio in speeds] == [
        (400, pytest.approx(2)),
        (1, pytest.approx(5)),
    ]


def test_nothing_is_compared_with_a_server_that_used_no_time():
    turns = [turn("ours", 1.0, ours=True), turn("hand", 2.0, server=0.0)]
    assert not [ratio for ratio in ratios(turns) if ratio.figure == "server_us_per_record"]
