"""What queries should answer, worked out from the documented rules and nothing of the library's.

The order of values is that of https://cloud.google.com/firestore/docs/concepts/data-types.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import isnan
from typing import Any

from ...values import Vector, is_list, is_map

LISTS = 6

Answer = int
"""Below zero, zero or above zero, as `a` is before, with or behind `b`."""


def compare(a: Any, b: Any) -> Answer:
    """How two stored values stand to each other."""
    rank = kind_rank(a)
    if rank != kind_rank(b):
        return rank - kind_rank(b)
    if is_map(a):
        return _compare_lists(_pairs(a), _pairs(b))
    if isinstance(a, Vector) and len(a) != len(b):
        return len(a) - len(b)
    if rank >= LISTS:
        return _compare_lists(a, b)
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    if isinstance(a, float | int) and (isnan(a) or isnan(b)):
        return isnan(b) - isnan(a)
    return (a > b) - (a < b) if a is not None else 0


def kind_rank(value: Any) -> int:
    """Where values of this kind stand among the others."""
    if value is None:
        return 0
    kinds = (bool, int | float, datetime, str, bytes, Vector, dict)
    by_kind = (1, 2, 3, 4, 5, 7, 8)
    for kind, rank in zip(kinds, by_kind, strict=True):
        if isinstance(value, kind):
            return rank
    return LISTS


def _pairs(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(value.items(), key=lambda pair: pair[0].encode())


def _compare_lists(a: Sequence[Any], b: Sequence[Any]) -> Answer:
    for ours, theirs in zip(a, b, strict=False):
        if answer := compare(ours, theirs):
            return answer
    return len(a) - len(b)


def holds(value: Any, operator: str, operand: Any) -> bool:
    """Whether a value that is there meets a condition."""
    if operator == "in":
        return any(equal(value, item) for item in operand)
    if operator in ("contains", "contains_any"):
        wanted = operand if operator == "contains_any" else [operand]
        return is_list(value) and any(equal(item, other) for item in value for other in wanted)
    if operator == "!=":
        return value is not None and not equal(value, operand)
    if operator == "==":
        return equal(value, operand)
    return _within(value, operator, operand)


def _within(value: Any, operator: str, operand: Any) -> bool:
    if kind_rank(value) != kind_rank(operand) or (isinstance(value, float) and isnan(value)):
        return False
    answer = compare(value, operand)
    return {"<": answer < 0, "<=": answer <= 0, ">": answer > 0, ">=": answer >= 0}[operator]


def equal(a: Any, b: Any) -> bool:
    return compare(a, b) == 0


def exact(value: Any) -> Any:
    """A form in which only the very same values are equal: not 1 and True, nor 0.0 and -0.0."""
    if is_map(value):
        return {name: exact(item) for name, item in value.items()}
    if is_list(value):
        return [exact(item) for item in value]
    return type(value).__name__, repr(value)
