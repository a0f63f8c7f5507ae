"""Whether a promise was kept is told as it is."""

import json

import pytest

from benchmarks.plot_promises import progress
from benchmarks.promised import PROMISES, Promise
from benchmarks.promises import Judged, document, judged, measured, sheet
from benchmarks.summary import Spread

FASTER = Promise("faster", ("speed",), at_least=4, aim=6)
SHORTER = Promise("shorter", ("a", "b"), at_least=10, aim=5, unit=" ms", less=True)
FOR_INFORMATION = Promise("so it is", ("speed",), at_least=None, aim=None)


def flat(value):
    return Spread(value, value, value)


@pytest.mark.parametrize(
    ("promise", "value", "verdict"),
    [
        (FASTER, 3.99, "NO"),
        (FASTER, 4, "yes"),
        (FASTER, 6, "aim reached"),
        (SHORTER, 10.1, "NO"),
        (SHORTER, 10, "yes"),
        (SHORTER, 5, "aim reached"),
        (FOR_INFORMATION, 1, ""),
    ],
)
def test_the_median_decides(promise, value, verdict):
    assert Judged(promise, Spread(value, 0, 100)).verdict == verdict


def test_what_was_not_measured_is_not_kept():
    assert Judged(FASTER, None).verdict == "not measured"


def test_the_worst_of_several_figures_counts():
    assert measured(SHORTER, {"a": flat(3), "b": flat(7)}) == flat(7)
    assert measured(Promise("", ("a", "b"), 4, 6), {"a": flat(3), "b": flat(7)}) == flat(3)


def test_with_one_of_several_figures_missing_nothing_was_measured():
    assert measured(SHORTER, {"a": flat(3)}) is None


def test_a_missed_promise_is_set_off_in_the_table():
    made = sheet([Judged(FASTER, flat(5)), Judged(SHORTER, Spread(12, 11, 13))])
    assert made.lines[1] == (
        "shorter",
        "at most 10 ms",
        "at most 5 ms",
        "12.0 ms (11.0 to 13.0)",
        "NO",
    )
    assert list(made.strong) == [1]


def test_a_quick_run_is_not_judged():
    made = sheet([Judged(FASTER, flat(1))], judge=False)
    assert made.lines[0][-1] == ""
    assert not made.strong


def test_every_promise_with_an_aim_has_a_bar_below_it():
    for promise in PROMISES:
        if promise.aim is not None:
            assert promise.at_least is not None
            assert (
                promise.aim < promise.at_least if promise.less else promise.aim > promise.at_least
            )


def test_promises_are_judged_in_their_order_and_survive_json():
    found = judged({})
    assert [judgement.promise for judgement in found] == list(PROMISES)
    kept = json.loads(json.dumps(document([Judged(FASTER, flat(5)), *found])))
    assert kept[0]["met"] == "yes"
    assert kept[0]["measured"] == {"median": 5, "least": 5, "greatest": 5}
    assert kept[1]["measured"] is None


@pytest.mark.parametrize(
    ("promise", "value", "times"), [(FASTER, 8, 2), (FASTER, 2, 0.5), (SHORTER, 5, 2)]
)
def test_the_picture_shows_how_many_times_as_good_as_promised_at_least(promise, value, times):
    assert progress(Judged(promise, flat(value))) == pytest.approx(times)


def test_the_picture_leaves_out_what_cannot_be_told_in_times():
    assert progress(Judged(FASTER, None)) is None
    assert progress(Judged(FOR_INFORMATION, flat(3))) is None
    assert progress(Judged(SHORTER, flat(-1))) is None
    assert progress(Judged(Promise("to nothing", ("a",), 30, 0, less=True), flat(3))) is None
