"""All ways that are compared, by task. A new one is a function and a line here."""

from __future__ import annotations

from typing import Final

from . import by_hand, limit, ours
from .store import Way, Ways

FEW: Final = 1_000
"""The largest size that ways are tried with which take about a millisecond for each record."""
SOME: Final = 4_000
"""Likewise for what takes its time, and is never the best at large sizes."""

WRITE: Final = (
    Way("write", "put_many", ours.put_many, "ours"),
    Way("write", "set, one by one", by_hand.set_one_by_one, at_most=FEW),
    Way("write", "set, 64 gathered", by_hand.set_gathered, at_most=FEW),
    Way("write", "batches of 400", by_hand.batches),
    Way("write", "batches of 400, 4 in flight", by_hand.batches_in_flight),
    Way("write", "encoded beforehand", limit.send_commits, "limit", prepare=limit.commits),
)
READ: Final = (
    Way("read", "get_many", ours.get_many, "ours"),
    Way("read", "get, one by one", by_hand.get_one_by_one, at_most=FEW),
    Way("read", "get, 64 gathered", by_hand.get_gathered, at_most=FEW),
    Way("read", "get_all", by_hand.get_all, at_most=SOME),
    Way("read", "get_all of 400, 4 in flight", by_hand.get_all_in_flight),
    Way(
        "read",
        "not decoded",
        limit.send_gets,
        "limit",
        prepare=limit.gets,
        finish=limit.found_in_gets,
    ),
)
SCAN: Final = (
    Way("scan", "scan", ours.scan, "ours"),
    Way("scan", "stream of a query", by_hand.stream),
    Way(
        "scan",
        "not decoded",
        limit.send_query,
        "limit",
        prepare=limit.query,
        finish=limit.found_in_query,
    ),
)
SINGLE: Final = (
    Way("put", "put", ours.put_one_by_one, "ours", at_most=FEW),
    Way("put", "set", by_hand.set_one_by_one, at_most=FEW),
    Way("put, 64 at once", "put", ours.put_gathered, "ours", at_most=FEW),
    Way("put, 64 at once", "set", by_hand.set_gathered, at_most=FEW),
    Way("get", "get", ours.get_one_by_one, "ours", at_most=FEW),
    Way("get", "get of a reference", by_hand.get_one_by_one, at_most=FEW),
    Way("get, 64 at once", "get", ours.get_gathered, "ours", at_most=FEW),
    Way("get, 64 at once", "get of a reference", by_hand.get_gathered, at_most=FEW),
)
BULK: Final = (*WRITE, *READ, *SCAN)
WAYS: Final = (*BULK, *SINGLE)
WRITING: Final = ("write", "put", "put, 64 at once")
"""Tasks that store records; the others read some that are stored."""


def without(*names: str, ways: Ways) -> Ways:
    """All ways but these."""
    return tuple(way for way in ways if way.name not in names)
