"""A benchmark whose data is wrong has no result."""

import pytest

from benchmarks.compare import WrongData, compared
from benchmarks.records import sessions


def test_equal_records_are_counted_whatever_their_order():
    jobs = sessions(2, 3)
    assert compared("read", jobs, [job[::-1] for job in jobs]) == 6


@pytest.mark.parametrize(
    "spoil",
    [
        lambda job: job[:-1],
        lambda job: [*job, job[0]],
        lambda job: [job[0], *job[:-1]],
        lambda job: [job[0].evolve(text_content="other"), *job[1:]],
    ],
    ids=["missing", "twice", "in the place of another", "changed"],
)
def test_a_record_that_is_not_as_it_was_ends_the_run(spoil):
    good, bad = sessions(2, 3)
    with pytest.raises(WrongData, match="read, get_all: 6 records"):
        compared("read, get_all", [good, bad], [good, spoil(bad)])
