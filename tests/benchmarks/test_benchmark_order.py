"""Every way has its turn in every round, and none has a better place than the others."""

from benchmarks.order import rotated, there_and_back


def test_no_way_always_comes_after_the_same():
    assert [there_and_back("abc", number) for number in (1, 2, 3)] == ["abc", "cba", "abc"]


def test_nobody_is_always_the_first():
    assert {rotated(["a", "b"], number)[0] for number in range(2)} == {"a", "b"}
    assert sorted(rotated(["a", "b", "c"], 4)) == ["a", "b", "c"]
