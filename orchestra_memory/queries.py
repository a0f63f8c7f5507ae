"""Queries: values that say which records, in which order, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, Generic, Literal, Self, TypeAlias

from .conditions import RANGES, Filter, WhereArgument, filters
from .errors import InvalidQuery
from .fieldpaths import check_field, kinds
from .models import MemoryItem
from .operations import R_co, checked_namespace
from .record import EXPIRATION, Record, RecordSpec, spec_of
from .values import MAX_VECTOR_DIMENSIONS, Vector

MAX_CONDITIONS = 100
"""Firestore's bound for conditions and orders together."""
MAX_NEIGHBOURS = 1_000
"""Firestore's bound for one nearest-neighbour query."""
MAX_PAGE_SIZE = 10_000

Metric: TypeAlias = Literal["cosine", "euclidean", "dot_product"]
METRICS: Final[frozenset[str]] = frozenset({"cosine", "euclidean", "dot_product"})


@dataclass(frozen=True, slots=True)
class Order:
    """One field to order by."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Nearest:
    """Order by distance to a vector instead."""

    field: str
    vector: Vector
    metric: Metric


@dataclass(frozen=True, slots=True, init=False)
class Query(Generic[R_co]):
    """Which records of one type, in which order.

    ``where`` is a map of equalities, ``{"user_id": "alice"}``, or triples,
    ``[("user_id", "==", "alice"), ("timestamp", ">=", since)]``; operators are ``==``, ``!=``,
    ``<``, ``<=``, ``>``, ``>=``, ``in``, ``contains`` and ``contains_any``. A condition holds only
    between values of one kind, and ``!=`` never holds for ``None``.
    ``order_by`` names fields, ``"-timestamp"`` for descending; ties go by id in the last direction.
    Records that lack an ordered field are left out.
    ``page_size`` is the number of records a page holds, 100 by default; ``limit`` the number of
    records in all. ``after`` is the cursor of an earlier page.
    ``include_expired`` shows records past their expiration, for cleaning up.

    Raises ``InvalidQuery`` for what some backend could not answer, naming the remedy.
    """

    model: type[R_co]
    where: tuple[Filter, ...]
    order_by: tuple[Order, ...]
    page_size: int
    limit: int | None
    after: str | None
    namespace: str | None
    include_expired: bool
    nearest: Nearest | None

    def __init__(
        self,
        model: type[R_co],
        *,
        where: WhereArgument = (),
        order_by: str | Iterable[str] = (),
        page_size: int = 100,
        limit: int | None = None,
        after: str | None = None,
        namespace: str | None = None,
        include_expired: bool = False,
    ) -> None:
        held = tuple(filters(model, where))
        self._set(
            model=model,
            where=held,
            order_by=_orders(model, order_by, held),
            page_size=_checked_count("page_size", page_size, MAX_PAGE_SIZE),
            limit=None if limit is None else _checked_count("limit", limit),
            after=after,
            namespace=checked_namespace(namespace),
            include_expired=include_expired,
            nearest=None,
        )
        _check_together(self)
        _check_indexed(self)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def with_(self, **changes: Any) -> Self:
        """A copy with other ``page_size``, ``limit``, ``after``, ``namespace`` or ``where``."""
        copy = object.__new__(type(self))
        copy._set(**{f.name: getattr(self, f.name) for f in fields(self)} | changes)
        return copy

    def near(
        self, field: str, vector: Sequence[float], *, limit: int = 10, metric: Metric = "cosine"
    ) -> Self:
        """The records nearest to `vector`, nearest first, in one page of at most `limit`.

        Only equality conditions may go with it. Records without a vector, or with one of other
        length, are left out.
        """
        _check_near(self, field, metric)
        numbers = _checked_vector(field, vector)
        return self.with_(
            nearest=Nearest(field, numbers, metric),
            limit=_checked_count("limit", limit, MAX_NEIGHBOURS),
            page_size=limit,
        )

    @property
    def spec(self) -> RecordSpec:
        return spec_of(self.model)

    @property
    def hides_expired(self) -> bool:
        return not self.include_expired and EXPIRATION in self.model.model_fields

    @property
    def equalities(self) -> tuple[str, ...]:
        """Fields held to one value each, or to one of a list."""
        return tuple(dict.fromkeys(f.field for f in self.where if f.operator in ("==", "in")))

    @property
    def unordered(self) -> Self:
        """The same records in no order but that of the fields held to a range."""
        ranged = {f.field for f in self.where if f.operator in RANGES}
        kept = tuple(order for order in self.order_by if order.field in ranged)
        return self.with_(order_by=kept)

    @property
    def tail(self) -> tuple[Order, ...]:
        """What an index must be sorted by behind the equalities."""
        lists = [Order(f.field) for f in self.where if f.operator in ("contains", "contains_any")]
        return (*lists, *self.order_by)


def _check_together(query: Query[Any]) -> None:
    """Refuse conditions that each are fine, but not with each other."""
    operators = [condition.operator for condition in query.where]
    if operators.count("contains") + operators.count("contains_any") > 1:
        raise InvalidQuery("only one 'contains' or 'contains_any' goes into a query")
    if operators.count("!=") > 1:
        raise InvalidQuery("only one '!=' goes into a query")
    if len(query.where) + len(query.order_by) > MAX_CONDITIONS:
        raise InvalidQuery(f"more than {MAX_CONDITIONS} conditions and orders in a query")


def _orders(
    model: type[Record], order_by: str | Iterable[str], held: tuple[Filter, ...]
) -> tuple[Order, ...]:
    """The orders asked for, with the ranged fields Firestore would order by put behind them."""
    names = [order_by] if isinstance(order_by, str) else list(order_by)
    orders = [Order(name.removeprefix("-"), name.startswith("-")) for name in names]
    for order in orders:
        check_field(model, order.field)
        if order.field.split(".")[0] in spec_of(model).large:
            raise InvalidQuery(
                f"{order.field} is a large field, which no store can order by", field=order.field
            )
    ordered = {order.field for order in orders}
    if len(ordered) < len(orders):
        raise InvalidQuery("order_by names a field twice")
    descending = bool(orders) and orders[-1].descending
    bounded = {f.field for f in held if f.operator in RANGES}
    ranged = sorted(bounded - ordered)
    fixed = {f.field for f in held if f.operator == "=="} - bounded
    return tuple(
        order
        for order in [*orders, *(Order(name, descending) for name in ranged)]
        if order.field not in fixed
    )


def _checked_count(name: str, value: Any, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidQuery(
            f"{name} must be a whole number from 1 (got {type(value).__name__})", field=name
        )
    if most is not None and value > most:
        raise InvalidQuery(f"{name} is {value}, at most {most}", field=name)
    return value


def _check_near(query: Query[Any], field: str, metric: str) -> None:
    check_field(query.model, field)
    if Vector not in kinds(query.model, field) and list not in kinds(query.model, field):
        raise InvalidQuery(f"{field} holds no vectors", field=field)
    if metric not in METRICS:
        raise InvalidQuery(f"no metric {metric!r}; use one of {', '.join(sorted(METRICS))}")
    if query.order_by or query.after or any(f.operator != "==" for f in query.where):
        raise InvalidQuery(
            "near() takes equality conditions only, and no order_by or after", field=field
        )


def _numbers(vector: Sequence[float]) -> Vector | None:
    try:
        return Vector(float(number) for number in vector)
    except (TypeError, ValueError):
        # An error raised from here would carry this one, which shows the value.
        return None


def _checked_vector(field: str, vector: Sequence[float]) -> Vector:
    numbers = _numbers(vector)
    if numbers is None:
        raise InvalidQuery(
            f"{field}: a vector is a list of numbers (got {type(vector).__name__})", field=field
        )
    if not 1 <= len(numbers) <= MAX_VECTOR_DIMENSIONS:
        raise InvalidQuery(
            f"{field}: a vector of {len(numbers)} dimensions; 1 to {MAX_VECTOR_DIMENSIONS} can be "
            "searched",
            field=field,
        )
    if any(number - number != 0 for number in numbers):
        raise InvalidQuery(f"{field}: a vector of finite numbers is needed", field=field)
    return numbers


def _check_indexed(query: Query[Any]) -> None:
    """Fields exempt from single-field indexes need a declared composite index."""
    spec = query.spec
    used = {*query.equalities, *(order.field for order in query.tail)}
    exempt = sorted(name for name in used if name.split(".")[0] in spec.unindexed)
    if not exempt or covered(spec.indexes, query):
        return
    other_way = tuple(Order(order.field, not order.descending) for order in query.order_by)
    if covered(spec.indexes, query.with_(order_by=other_way)):
        names = ", ".join(repr("-" * order.descending + order.field) for order in other_way)
        raise InvalidQuery(
            f"{exempt[0]} is indexed in the other direction only; order by {names}",
            field=exempt[0],
        )
    declared = "; ".join(", ".join(index) for index in spec.indexes) or "none"
    raise InvalidQuery(
        f"{exempt[0]} has no index of its own: a query may use it behind the equalities of a "
        f"declared index. {query.model.__name__} declares: {declared}",
        field=exempt[0],
    )


def covered(indexes: Iterable[tuple[str, ...]], query: Query[Any]) -> bool:
    """Whether these composite indexes answer the query, one or several merged by equal tails."""
    tail, equal = query.tail, set(query.equalities)
    found: set[str] | None = None
    for index in indexes:
        orders = tuple(Order(name.removeprefix("-"), name.startswith("-")) for name in index)
        head = [o.field for o in takewhile(lambda o: o.field in equal, orders)]
        if orders[len(head) :] == tail:
            found = {*found, *head} if found else {*head}
    return found == equal


def between(field: str, start: datetime | None, end: datetime | None) -> list[Any]:
    """Conditions for a half-open range of time; ``None`` leaves that end open."""
    bounds: list[Any] = []
    if start is not None:
        bounds.append((field, ">=", start))
    if end is not None:
        bounds.append((field, "<", end))
    return bounds


def recent(
    *,
    user_id: str,
    session_id: str | None = None,
    item_type: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    page_size: int = 50,
    limit: int | None = None,
    after: str | None = None,
) -> Query[MemoryItem]:
    """A user's conversation, newest first; of one session, type or span of time if given."""
    equal = {"user_id": user_id, "session_id": session_id, "item_type": item_type}
    return Query(
        MemoryItem,
        where=[
            *((name, "==", value) for name, value in equal.items() if value is not None),
            *between("timestamp", start, end),
        ],
        order_by="-timestamp",
        page_size=page_size,
        limit=limit,
        after=after,
    )
