"""What streams is the same records as elsewhere, and a digest tells whether all went through."""

from benchmarks.memory import Growth, Peaks
from benchmarks.records import sessions, streamed
from benchmarks.streaming import Digest, peak
from benchmarks.summary import Spread


def digest(records):
    return str(Digest(records))


def test_a_stream_is_one_session():
    assert [list(streamed(30))] == sessions(1, 30)


def test_a_digest_does_not_depend_on_the_order():
    records = list(streamed(10))
    assert digest(records) == digest(records[::-1])


def test_a_digest_does_not_depend_on_the_order_of_keys_in_a_map():
    (record,) = streamed(1)
    turned = record.evolve(metadata=dict(reversed(record.metadata.items())))
    assert digest([turned]) == digest([record])


def test_a_digest_tells_what_is_missing_twice_or_changed():
    first, *others = streamed(10)
    whole = digest([first, *others])
    assert digest(others) != whole
    assert digest([first, first, *others]) != whole
    assert digest([first.evolve(text_content="other"), *others]) != whole


def test_the_peak_of_this_process_is_not_below_what_it_holds():
    held = b"x" * 30_000_000
    assert peak() > len(held)


def test_growth_is_from_few_to_many_in_millions_of_bytes():
    found = Growth([Peaks("scan", 1_000_000, 3_000_000), Peaks("put_many", 5, 5)], compared=1)
    assert found.of("scan") == Spread(2.0, 2.0, 2.0)
