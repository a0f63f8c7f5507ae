"""The check of histories finds what is wrong, and only that."""

import json

import pytest

from .histories import SECOND, Checker, History

LIFE = 2.0


def at(seconds: float) -> int:
    return int(seconds * SECOND)


def wrote(
    begin: float,
    end: float | None,
    revision: int | None,
    *,
    name: str = "w",
    key: str = "k",
    told: bool = True,
    told_at: float | None = None,
    delete: bool = False,
) -> list[dict[str, object]]:
    """The lines of one write: not acknowledged without `end`, of unknown end without `revision`."""
    name = f"{name}{revision}{begin}"
    lines: list[dict[str, object]] = [
        {"do": "write", "id": name, "at": at(begin), "keys": [key], "deletes": [key] * delete}
    ]
    if revision is not None:
        committed = at(begin if end is None else (begin + end) / 2)
        lines.append({"do": "commit", "id": name, "at": committed, "made": {key: revision}})
    if end is not None:
        made = {key: revision}
        lines.append({"do": "written", "id": name, "at": at(end), "made": made, "told": told})
    if told_at is not None:
        lines.append({"do": "told", "ids": [name], "at": at(told_at)})
    return lines


def saw(begin: float, end: float, revision: int | None, *, key: str = "k") -> dict[str, object]:
    seen = {key: revision}
    return {"do": "read", "begin": at(begin), "end": at(end), "seen": seen}


def counted(begin: float, end: float, number: int) -> dict[str, object]:
    return {"do": "count", "begin": at(begin), "end": at(end), "keys": ["k", "l"], "number": number}


def violations(
    *events: object,
    strict: bool = True,
    losses: list[tuple[int, int]] | None = None,
    by_others: tuple[object, ...] = (),
) -> list[str]:
    history = History(losses=losses or [])
    for process, those in (("ours", events), ("theirs", by_others)):
        lines = [line for each in those for line in (each if isinstance(each, list) else [each])]
        history.add(process, map(json.dumps, lines))
    return Checker(history, strict=strict, life=LIFE).verdict().violations


def test_what_was_acknowledged_last_may_be_seen() -> None:
    assert not violations(wrote(0, 1, 5), saw(1.1, 1.2, 5), wrote(2, 3, 6), saw(3.1, 3.2, 6))


def test_while_it_is_written_both_may_be_seen() -> None:
    both = (saw(2.1, 2.2, 5), saw(2.1, 2.9, 6))
    assert not violations(wrote(0, 1, 5), wrote(2, 3, 6), by_others=both)


def test_what_was_replaced_must_not_be_seen() -> None:
    (found,) = violations(wrote(0, 1, 5), wrote(2, 3, 6), saw(3.5, 4, 5))
    assert "replaced by 6" in found
    assert "0.500 s late" in found


def test_what_was_deleted_must_not_be_seen() -> None:
    (found,) = violations(wrote(0, 1, 5), wrote(2, 3, 6, delete=True), saw(3.1, 3.2, 5))
    assert "deleted by 6" in found


def test_what_is_there_must_be_found() -> None:
    assert violations(wrote(0, 1, 5), saw(1.1, 1.2, None))
    assert not violations(wrote(0, 1, 5), saw(0.5, 1.2, None))


@pytest.mark.parametrize("revision", [None, 6])
def test_a_delete_in_doubt_may_have_happened(revision: int | None) -> None:
    assert not violations(
        wrote(0, 1, 5), wrote(2, None, revision, delete=True), saw(3, 3.1, None), saw(4, 4.1, 5)
    )


def test_after_one_reader_saw_it_nobody_may_see_an_older_one() -> None:
    first = (wrote(0, 1, 5), wrote(2, None, 6), saw(3, 3.1, 6))
    assert violations(*first, by_others=(saw(3.2, 3.3, 5),))
    assert not violations(*first, by_others=(saw(3.05, 3.3, 5),))


def test_nothing_is_seen_before_it_is_written() -> None:
    assert violations(saw(0, 1, 5), wrote(2, 3, 5))


def test_a_write_that_was_not_told_counts_in_its_own_process() -> None:
    events = (wrote(0, 1, 5), wrote(2, 3, 6, told=False))
    assert violations(*events, saw(3.1, 3.2, 5), strict=False)
    assert not violations(*events, by_others=(saw(3.1, 3.2, 5),), strict=False)


def test_it_counts_everywhere_from_when_it_was_told_later() -> None:
    events = (wrote(0, 1, 5), wrote(2, 3, 6, told=False, told_at=3.5))
    assert not violations(*events, by_others=(saw(3.4, 3.6, 5),), strict=False)
    assert violations(*events, by_others=(saw(3.6, 3.7, 5),), strict=False)


def test_if_it_never_is_it_counts_when_all_older_entries_have_ended() -> None:
    events = (wrote(0, 1, 5), wrote(2, 3, 6, told=False))
    assert not violations(*events, by_others=(saw(3 + LIFE - 0.1, 6, 5),), strict=False)
    assert violations(*events, by_others=(saw(3 + LIFE + 0.1, 6, 5),), strict=False)


def test_a_fenced_write_counts_at_once_though_it_was_not_told() -> None:
    events = (wrote(0, 1, 5), wrote(2, 3, 6, told=False))
    theirs = (saw(3.1, 3.2, 5),)
    assert violations(*events, by_others=theirs)
    assert not violations(*events, by_others=theirs, losses=[(at(2.1), at(2.2))])
    assert violations(*events, by_others=theirs, losses=[(at(2.9), at(3))])


def test_counts_lie_between_what_must_and_what_may_be_there() -> None:
    events = (wrote(0, 1, 5), wrote(2, 3, 6, key="l"), wrote(4, 5, 7, delete=True))
    right = ((1.1, 1.2, 1), (2.1, 2.2, 1), (2.1, 2.2, 2), (4.1, 6, 1), (4.1, 6, 2), (5.1, 6, 1))
    assert not violations(*events, *(counted(*each) for each in right))
    for wrong in ((1.1, 1.2, 0), (1.1, 1.2, 2), (3.1, 3.2, 1), (5.1, 6, 2)):
        assert violations(*events, counted(*wrong)), wrong


def test_a_refused_write_has_not_happened() -> None:
    begun = {"do": "write", "id": "r", "at": at(2), "keys": ["k"], "deletes": ["k"]}
    assert violations(wrote(0, 1, 5), begun, {"do": "refused", "id": "r"}, saw(3, 4, None))


def test_a_store_that_goes_back_is_found() -> None:
    assert violations(wrote(0, 1, 5), wrote(2, 3, 4))


def test_the_rest_of_a_line_that_was_cut_off_is_left_out() -> None:
    history = History()
    history.add("p", [json.dumps(saw(0, 1, None)), '{"do": "rea'])
    assert len(history.reads) == 1
