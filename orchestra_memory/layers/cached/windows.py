"""What a window of a scope answers: its records, met by the rules that every store goes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ...backends.rows import Row, Shown, page_of, ref_of, room, served_before, sought, stored_of
from ...codec.cursor import decode_cursor
from ...codec.document import is_expired, must_be_stored
from ...matching import Measuring, SortKey, matcher, position_key, value_at
from ...operations import DEFAULT, FREE, Billed, Measure, Page, Ref, Source, Totals
from ...queries import Order, Query
from ...record import Record, checked_key
from ..sourced import SourcedRow
from .scopes import Scope, bound_position, is_bare, is_behind, position

if TYPE_CHECKING:
    from .replies import Window

R = TypeVar("R", bound=Record)

_SPARE: Final = 4
"""Members looked at beyond those of a page, as some may be gone."""


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis holds of a scope, understood: where each member stands, by its key.

    ``bound`` is the position up to which nothing is missing, ``None`` if nothing is at all.
    """

    scope: Scope
    members: Mapping[str, SortKey]
    bound: SortKey | None


def held(scope: Scope, window: Window) -> Held | None:
    """What a window holds, ``None`` if it is of no use, as one of another release may be."""
    bound = None if window.complete else bound_position(scope, window.bound)
    members = {key: position(scope, sort, key) for key, sort in window.members if _is_key(key)}
    sound = {key: place for key, place in members.items() if place is not None}
    if len(sound) < len(window.members) or (bound is None and not window.complete):
        return None
    return Held(scope, sound, bound)


def _is_key(text: str) -> bool:
    try:
        checked_key(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Plan:
    """Which records of a scope to look at; none is missing up to ``bound`` (``None``: at all)."""

    scope: Scope
    keys: Sequence[str]
    bound: SortKey | None

    @property
    def refs(self) -> list[Ref[Any]]:
        """The records to read."""
        return [Ref(self.scope.model, key, self.scope.namespace) for key in self.keys]


def plans(query: Query[Any], window: Held) -> Iterator[Plan]:
    """The ways to answer from a window, fewest records first; none if it can't answer.

    Take the next where `answer_from` finds that too little was looked at. Raises ``InvalidQuery``
    for a foreign cursor.
    """
    scope = window.scope
    is_ordered = query.order_by == scope.order
    if not (shows_all(query, scope) if window.bound is None else is_ordered):
        return
    if is_ordered and is_bare(query, scope):
        beginning = _beginning(query, window)
        if len(beginning.keys) < len(window.members):
            yield beginning
    yield Plan(scope, tuple(window.members), window.bound)


def plan_for_totals(query: Query[Any], window: Held) -> Plan | None:
    """The records to look at for `totals_from`, ``None`` if the window can't tell."""
    if window.bound is None and shows_all(query.unordered, window.scope):
        return Plan(window.scope, tuple(window.members), None)
    return None


def shows_all(query: Query[Any], scope: Scope) -> bool:
    """Whether a complete window has all the query may find.

    It may lack records without the fields of its order.
    """
    named = {*(filter_.field for filter_ in query.where), *_fields(query.order_by)}
    return _fields(scope.order) - _never_lacking(scope.model) <= named


def leaves_none_out(query: Query[Any], scope: Scope) -> bool:
    """Whether the query finds all that a complete window has to have, if nothing else limits it."""
    return _fields(query.order_by) - _never_lacking(scope.model) <= _fields(scope.order)


def _fields(orders: Iterable[Order]) -> set[str]:
    return {order.field for order in orders}


@cache
def _never_lacking(model: type[Record]) -> frozenset[str]:
    """Fields without which no document is a record."""
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    return must_be_stored(model) | required


def _beginning(query: Query[Any], window: Held) -> Plan:
    """The members of the query's page, and a few more."""
    scope, ordering = window.scope, window.scope.ordering
    after = decode_cursor(query)
    start = after and ordering.key(position_key(after.values, after.stored_id))
    places = [(ordering.key(place), key) for key, place in window.members.items()]
    ordering.sort(places)
    behind = [key for at, key in places if start is None or ordering.before(start, at)]
    kept = behind[: room(query, after) + 1 + _SPARE]
    bound = window.bound if len(kept) == len(behind) else window.members[kept[-1]]
    return Plan(scope, tuple(kept), bound)


class Answer(Generic[R]):
    """The rows of a page: `add` each, with pauses where they are many, then take the `page`.

    `add` raises ``CorruptRecord`` or ``SchemaTooNew``: then ask below. It uses up the row.
    """

    def __init__(self, query: Query[R], served: int, rows: list[SourcedRow], *, more: bool) -> None:
        self.rows = rows
        self._query = query
        self._served = served
        self._more = more
        self._shown = Shown(query, DEFAULT)

    def add(self, row: SourcedRow) -> None:
        stored = stored_of(ref_of(self._query, row), row, owned=True)
        self._shown.items.append(replace(stored, source=row.source, age=row.age))

    def page(self, billed: Billed = FREE) -> Page[R]:
        """The page of what was added; ``billed`` is what reading some of it below cost."""
        rows: list[Row] = [*self.rows]
        page = page_of(
            self._query,
            self._served,
            rows,
            more=self._more,
            as_of=None,
            billed=billed,
            shown=self._shown,
        )
        return replace(page, source=Source.CACHE)


def answer_from(
    query: Query[R], plan: Plan, rows: Iterable[SourcedRow], now: datetime
) -> Answer[R] | None:
    """The rows of the page, of those of the plan's records that exist.

    ``None`` if what was not looked at may belong to the page. Raises ``InvalidQuery`` for a foreign
    cursor.
    """
    after = decode_cursor(query)
    served, size = served_before(after), room(query, after)
    found = sought(query, after, size)
    for row in _matching(query, rows, now):
        if plan.bound is None or not _is_behind_bound(plan, row):
            found.add(row)
    first: list[Any] = found.rows()
    more = len(first) > size
    is_last = query.limit is not None and served + size >= query.limit
    if plan.bound is None or more or (is_last and len(first) == size):
        return Answer(query, served, first[:size], more=more)
    return None


def _matching(query: Query[Any], rows: Iterable[SourcedRow], now: datetime) -> Iterator[SourcedRow]:
    matches = matcher(query)
    for row in rows:
        if matches(row.document) and not (query.hides_expired and is_expired(row.document, now)):
            yield row


def _is_behind_bound(plan: Plan, row: Row) -> bool:
    """Whether the record has moved, since the window was read, to where others may be missing."""
    assert plan.bound is not None
    values = (value_at(row.document, order.field) for order in plan.scope.order)
    return is_behind(plan.scope, position_key(values, row.stored_id), plan.bound)


def page_from(
    query: Query[R], plan: Plan, rows: Iterable[SourcedRow], now: datetime
) -> Page[R] | None:
    """The page of a few rows, all at once; ``None`` and errors as in `answer_from` and `add`."""
    answer = answer_from(query, plan, rows, now)
    if answer is None:
        return None
    for row in answer.rows:
        answer.add(row)
    return answer.page()


def totals_from(
    query: Query[Any],
    measures: Sequence[Measure],
    rows: Iterable[SourcedRow],
    now: datetime,
    billed: Billed = FREE,
) -> Totals:
    """The measures over those of the records of `plan_for_totals` that exist."""
    totals = Measuring(measures)
    for row in _matching(query.unordered, rows, now):
        totals.add(row.document)
    return Totals(totals.values(), billed=billed)
