"""How a query meets a document: conditions, order and measures, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from math import fsum, sqrt
from operator import itemgetter, mul
from typing import Any, Final, TypeVar

from .conditions import Filter, Operator
from .fieldpaths import split_path
from .operations import Average, Count, Measure
from .queries import Order, Query
from .values import INT64_MAX, INT64_MIN, Vector, is_list, is_map, sort_key

T = TypeVar("T")

MISSING: Final = object()


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at `path`, ``MISSING`` if there is none."""
    value: Any = document
    for name in split_path(path):
        value = value.get(name, MISSING) if is_map(value) else MISSING
    return value


def matcher(query: Query[Any]) -> Callable[[dict[str, Any]], bool]:
    """Tells of a document whether the conditions hold and every ordered field is there.

    What can be found out about the query beforehand is; there may be many documents.
    """
    held = {condition.field for condition in query.where}
    present = [order.field for order in query.order_by if order.field not in held]
    # Equalities first: they tell apart most, in the least time.
    conditions = sorted(query.where, key=lambda condition: condition.operator != "==")
    tests = [*map(_test, conditions), *map(_test_of_presence, present)]

    def matches(document: dict[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110 -- all() takes twice the time
            if not test(document):
                return False
        return True

    return matches


def _test(condition: Filter) -> Callable[[dict[str, Any]], bool]:
    """Whether one condition holds; only values of one kind compare."""
    holds, path = _holds(condition), condition.field
    if "." in path:
        return lambda document: holds(value_at(document, path))
    return lambda document: holds(document.get(path, MISSING))


def _test_of_presence(path: str) -> Callable[[dict[str, Any]], bool]:
    return lambda document: value_at(document, path) is not MISSING


def _holds(condition: Filter) -> Callable[[Any], bool]:
    operand = condition.value
    if condition.operator == "==" and type(operand) is str:
        # Nothing else equals a text.
        return lambda value: bool(value == operand)
    test = _of_key(condition.operator, operand)
    return lambda value: value is not MISSING and test(value)


def _of_key(operator: Operator, operand: Any) -> Callable[[Any], bool]:
    match operator:
        case "in":
            keys = frozenset(map(sort_key, operand))
            return lambda value: sort_key(value) in keys
        case "contains":
            return _contains([operand])
        case "contains_any":
            return _contains(operand)
        case _:
            key = sort_key(operand)
            return lambda value: _compares(sort_key(value), key, operator)


def _contains(operands: list[Any]) -> Callable[[Any], bool]:
    keys = frozenset(map(sort_key, operands))
    return lambda value: is_list(value) and not keys.isdisjoint(map(sort_key, value))


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


class Ordering:
    """The order of positions; ties go by id in the last order's direction."""

    def __init__(self, orders: Sequence[Order]) -> None:
        down = [order.descending for order in orders]
        self._signs = [-1 if descending else 1 for descending in [*down, bool(down) and down[-1]]]
        self._mixed = cmp_to_key(self._compare) if len(set(self._signs)) > 1 else None
        self._backwards = self._mixed is None and self._signs[0] < 0

    def key(self, position: SortKey) -> Any:
        """What `position` is compared by; where directions are one, that is itself."""
        return position if self._mixed is None else self._mixed(position)

    def before(self, a: Any, b: Any) -> bool:
        """Whether what has the key `a` comes before what has the key `b`."""
        return bool(b < a if self._backwards else a < b)

    def sort(self, pairs: list[tuple[Any, T]]) -> None:
        """Sort things that come with their keys."""
        pairs.sort(key=itemgetter(0), reverse=self._backwards)

    def _compare(self, a: SortKey, b: SortKey) -> int:
        for sign, ours, theirs in zip(self._signs, a, b, strict=True):
            if ours != theirs:
                return sign if ours > theirs else -sign
        return 0


def distance_from(wanted: Vector, metric: str) -> Callable[[Vector], float]:
    """Tells of vectors as long as `wanted` how far away they are, as Firestore measures.

    That is the euclidean distance, one minus the cosine, or the dot product.
    """
    if metric == "dot_product":
        return lambda vector: _dot(wanted, vector)
    if metric == "euclidean":
        return lambda vector: sqrt(
            _sum([(x - y) * (x - y) for x, y in zip(wanted, vector, strict=True)])
        )
    length = sqrt(_dot(wanted, wanted))

    def cosine(vector: Vector) -> float:
        lengths = length * sqrt(_dot(vector, vector))
        return 1.0 - _dot(wanted, vector) / lengths if lengths else float("nan")

    return cosine


def _dot(a: Vector, b: Vector) -> float:
    return _sum(list(map(mul, a, b)))


def measured(
    measures: Sequence[Measure], documents: Iterable[dict[str, Any]]
) -> dict[str, float | None]:
    totals = Measuring(measures)
    for document in documents:
        totals.add(document)
    return totals.values()


class Measuring:
    """Measures over documents that come one by one, of which only the numbers are kept."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.count: int = 0
        self._measures = measures
        self._numbers: dict[str, list[float]] = {
            measure.of: [] for measure in measures if not isinstance(measure, Count)
        }

    def add(self, document: dict[str, Any]) -> None:
        self.count += 1
        for path, numbers in self._numbers.items():
            value = value_at(document, path)
            if type(value) is int or type(value) is float:
                numbers.append(value)

    def values(self) -> dict[str, float | None]:
        """The measures by their names."""
        return {measure.name: self._value(measure) for measure in self._measures}

    def _value(self, measure: Measure) -> float | None:
        if isinstance(measure, Count):
            return self.count
        numbers = self._numbers[measure.of]
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
