"""How a query meets a document: conditions, order and measures, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from math import fsum, sqrt
from typing import Any, Final

from .conditions import Filter
from .fieldpaths import split_path
from .operations import Average, Count, Measure
from .queries import Order, Query
from .values import INT64_MAX, INT64_MIN, Vector, is_list, is_map, sort_key

MISSING: Final = object()


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at `path`, ``MISSING`` if there is none."""
    value: Any = document
    for name in split_path(path):
        value = value.get(name, MISSING) if is_map(value) else MISSING
    return value


def matches(document: dict[str, Any], query: Query[Any]) -> bool:
    """Whether the conditions hold and every ordered field is there."""
    return all(holds(value_at(document, f.field), f) for f in query.where) and all(
        value_at(document, order.field) is not MISSING for order in query.order_by
    )


def holds(value: Any, condition: Filter) -> bool:
    """Whether one condition holds; only values of one kind compare."""
    if value is MISSING:
        return False
    match condition.operator:
        case "in":
            return sort_key(value) in {sort_key(item) for item in condition.value}
        case "contains":
            return _contains(value, [condition.value])
        case "contains_any":
            return _contains(value, condition.value)
        case _:
            return _compares(sort_key(value), sort_key(condition.value), condition.operator)


def _contains(value: Any, wanted: list[Any]) -> bool:
    if not is_list(value):
        return False
    return not {sort_key(item) for item in value}.isdisjoint(sort_key(item) for item in wanted)


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _compares(ours: str, wanted: str, operator: str) -> bool:
    if operator == "!=":
        return ours not in (wanted, "A")
    if operator != "==" and _kind(ours) != _kind(wanted):
        return False
    return _COMPARE[operator](ours, wanted)


def _kind(key: str) -> str:
    """Booleans are one kind; NaN compares with nothing."""
    return "B" if key[0] == "C" else key[0]


SortKey = tuple[str, ...]


def position_key(values: Iterable[Any], stored_id: str) -> SortKey:
    """Where values and id place a document, before directions are applied."""
    return (*map(sort_key, values), stored_id)


def comparer(orders: Sequence[Order]) -> Callable[[SortKey], Any]:
    """A ``key=`` for sorting positions; ties go by id in the last order's direction."""
    signs = [-1 if order.descending else 1 for order in orders]
    signs.append(signs[-1] if signs else 1)

    def compare(a: SortKey, b: SortKey) -> int:
        for sign, ours, theirs in zip(signs, a, b, strict=True):
            if ours != theirs:
                return sign if ours > theirs else -sign
        return 0

    return cmp_to_key(compare)


def distance(a: Vector, b: Vector, metric: str) -> float:
    """As Firestore measures: euclidean, one minus the cosine, or the dot product."""
    dot = _sum([x * y for x, y in zip(a, b, strict=True)])
    if metric == "dot_product":
        return dot
    if metric == "euclidean":
        return sqrt(_sum([(x - y) * (x - y) for x, y in zip(a, b, strict=True)]))
    norms = sqrt(_sum([x * x for x in a])) * sqrt(_sum([x * x for x in b]))
    return 1.0 - dot / norms if norms else float("nan")


def measured(
    measures: Sequence[Measure], documents: Sequence[dict[str, Any]]
) -> dict[str, float | None]:
    return {measure.name: _measured(measure, documents) for measure in measures}


def _measured(measure: Measure, documents: Sequence[dict[str, Any]]) -> float | None:
    if isinstance(measure, Count):
        return len(documents)
    values = (value_at(document, measure.of) for document in documents)
    numbers = [value for value in values if type(value) in (int, float)]
    total = _sum(numbers)
    if isinstance(measure, Average):
        return total / len(numbers) if numbers else None
    return total if type(total) is int and INT64_MIN <= total <= INT64_MAX else float(total)


def _sum(numbers: Sequence[float]) -> float:
    if all(type(number) is int for number in numbers):
        return sum(numbers)
    try:
        return fsum(numbers)
    except (ValueError, OverflowError):
        # Infinities of both signs, or more than a double holds: as plain addition has it.
        return sum(map(float, numbers))
