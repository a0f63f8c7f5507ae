"""Times as earlier systems wrote them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory.transfer.legacy.times import Moment, moment_of

T = datetime(2025, 3, 1, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2025-03-01T09:30:15Z",
        "2025-03-01T09:30:15z",
        "2025-03-01 09:30:15+00:00",
        "2025-03-01 09:30:15 UTC",
        "2025-03-01T11:30:15+02:00",
        "2025-03-01 11:30:15 +0200",
        "2025-03-01T11:30:15+02",
        "20250301T093015Z",
        "2025-060T09:30:15Z",
        "2025-W09-6T09:30:15Z",
        "2025-03-01T09:30:15.000000000Z",
        "2025-03-01T09:30:15,0Z",
        int(T.timestamp()),
        float(T.timestamp()),
        int(T.timestamp()) * 1000,
        int(T.timestamp()) * 10**6,
        int(T.timestamp()) * 10**9,
        str(int(T.timestamp())),
        {"seconds": int(T.timestamp()), "nanos": 0},
        {"_seconds": int(T.timestamp()), "_nanoseconds": 0},
        {"$date": "2025-03-01T09:30:15Z"},
        T.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_a_time_is_read_in_any_form(value):
    assert moment_of(value) == Moment(T)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2025-03-01T09:30:15", T),
        ("2025-03-01", datetime(2025, 3, 1, tzinfo=UTC)),
        ("20250301", datetime(2025, 3, 1, tzinfo=UTC)),
        (datetime(2025, 3, 1, 9, 30, 15), T),
    ],
)
def test_a_time_without_a_zone_is_in_utc_and_says_so(value, moment):
    assert moment_of(value) == Moment(moment, naive=True)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, "", "soon", "2025-13-01", "1", float("nan"), 1e300, [], {}, {"seconds": "x"}],
)
def test_what_is_no_time_is_none(value):
    assert moment_of(value) is None


@given(st.datetimes(datetime(1974, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_every_time_comes_back_from_its_text_and_its_microseconds(moment):
    assert moment_of(moment.isoformat()) == Moment(moment)
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert moment_of(micros) == Moment(moment)


@given(st.text() | st.integers() | st.floats() | st.dictionaries(st.text(), st.integers()))
def test_nothing_but_a_time_or_none_comes_of_any_value(value):
    found = moment_of(value)
    assert found is None or found.value.tzinfo is UTC
