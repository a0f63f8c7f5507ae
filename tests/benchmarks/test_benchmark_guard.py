"""Ratios that are kept, against those of a new run."""

import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from benchmarks.guard import (
    CEILING,
    CLIENT_FLOOR,
    SPEED_FLOOR,
    app,
    by_hand,
    compared,
    failures,
    parsed,
    sheet,
    unsteadiness,
)
from benchmarks.summary import CLIENT, SPEED, Ratio, Spread

NAME = ("write", 4_000, CLIENT)
SPEED_NAME = ("write", 4_000, SPEED)
STEADY = (10.0, 10.0, 10.0)


def outcome(kept, now, *, name=NAME):
    return failures(compared({name: kept}, {name: now} if now else {}))


def times(factor):
    return tuple(factor * value for value in STEADY)


def ratio(value, *, other="batches", side="by hand", figure=CLIENT):
    spread = Spread(value, value, value)
    return Ratio("write", 4_000, figure, "put_many", other, side, spread, (value, value))


def test_the_same_and_the_better_pass():
    assert not outcome(STEADY, STEADY)
    assert not outcome(STEADY, times(3))


@pytest.mark.parametrize(
    ("name", "floor", "told"),
    [
        (NAME, CLIENT_FLOOR, "client_us_per_record is 16% worse, 15% is tolerated"),
        (SPEED_NAME, SPEED_FLOOR, "records_per_second is 41% worse, 40% is tolerated"),
    ],
    ids=["processor time", "throughput"],
)
def test_a_loss_within_the_floor_passes_and_one_beyond_fails_by_name(name, floor, told):
    assert not outcome(STEADY, times(1 - floor + 0.01), name=name)
    (failure,) = outcome(STEADY, times(1 - floor - 0.01), name=name)
    assert failure == f"write, 4,000 records, {told}"


def test_throughput_may_lose_what_would_be_a_failure_of_processor_time():
    assert not outcome(STEADY, times(0.65), name=SPEED_NAME)
    assert outcome(STEADY, times(0.65))


@pytest.mark.parametrize(
    ("kept", "now"),
    [
        ((9.0, 9.0, 10.0, 11.0, 11.0), times(0.81)),
        (STEADY, (7.2, 7.2, 8.1, 9.0, 9.0)),
    ],
)
def test_by_as_much_as_either_run_was_unsteady_may_be_lost(kept, now):
    assert outcome(STEADY, times(0.81))
    assert not outcome(kept, now)


def test_a_single_round_that_was_disturbed_does_not_make_a_run_unsteady():
    assert unsteadiness((10.0, 10.0, 10.0, 10.0, 2.0)) == 0
    assert outcome((10.0, 10.0, 10.0, 10.0, 2.0), times(0.8))


def test_processor_time_that_spreads_too_far_fails_for_it_tells_nothing():
    wide = (10.0, 10.0 * (1 - 2 * CEILING), 10.0 * (1 + 2 * CEILING))
    assert "quieter machine" in outcome(STEADY, wide)[0]


def test_throughput_that_spreads_too_far_is_not_judged_and_the_table_says_so():
    wide = (5.0, 1.0, 9.0)
    assert not outcome(STEADY, wide, name=SPEED_NAME)
    (line,) = sheet(compared({SPEED_NAME: STEADY}, {SPEED_NAME: wide})).lines
    assert line[-1] == "unsteady, not judged"


def test_a_figure_that_is_no_longer_measured_fails():
    assert "was not measured" in outcome(STEADY, None)[0]


def test_the_table_sets_off_what_failed():
    other = ("read", 400, CLIENT)
    made = sheet(compared({NAME: STEADY, other: STEADY}, {NAME: STEADY, other: times(0.5)}))
    assert list(made.strong) == [1]
    assert made.lines[1][3] == "-50%"


def test_only_the_best_way_by_hand_is_guarded():
    ratios = [
        ratio(9, other="slow"),
        ratio(4),
        ratio(0.9, side="limit"),
        ratio(5, figure=SPEED),
    ]
    assert by_hand(ratios) == {NAME: (4, 4), SPEED_NAME: (5, 5)}


def test_ratios_survive_json():
    ratios = [ratio(4), ratio(5, figure=SPEED)]
    document = json.loads(json.dumps({"ratios": [asdict(found) for found in ratios]}))
    assert parsed(document) == ratios


def test_the_command_fails_and_names_the_figure(tmp_path):
    kept, now = tmp_path / "kept.json", tmp_path / "now.json"
    kept.write_text(json.dumps({"ratios": [asdict(ratio(4))]}))
    now.write_text(json.dumps({"ratios": [asdict(ratio(2))]}))
    result = CliRunner().invoke(app, [str(kept), str(now)])
    assert result.exit_code == 1
    assert "write, 4,000 records, client_us_per_record" in result.stderr
    assert CliRunner().invoke(app, [str(kept), str(kept)]).exit_code == 0
