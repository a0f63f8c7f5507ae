"""Which parts a run has."""

import pytest

from benchmarks.parts import PARTS, chosen
from benchmarks.promised import PROMISES


def test_all_parts_are_run_unless_some_are_named():
    assert list(chosen([], [])) == list(PARTS)
    assert list(chosen(["far", "null"], [])) == ["null", "far"]
    assert "far" not in chosen([], ["far"])


def test_a_part_that_there_is_not_is_refused_by_name():
    with pytest.raises(ValueError, match="no part nul; there are null, "):
        chosen(["nul"], [])


def test_every_promise_is_about_a_part_that_there_is():
    assert {promise.part for promise in PROMISES} <= PARTS.keys()


def test_a_promise_is_about_one_part():
    for promise in PROMISES:
        assert all(figure.startswith(f"{promise.part}.") for figure in promise.figures)
