"""Scopes of records, and where in one a record stands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple
from zlib import crc32

from ...codec.document import Document
from ...codec.ids import stored_id
from ...conditions import Filter
from ...fieldpaths import split_path
from ...matching import MISSING, Ordering, SortKey, value_at
from ...operations import Patch, Ref
from ...queries import Order, Query
from ...record import EXPIRATION, Record, spec_of
from ...values import sort_key

_APART: Final = "\0"
"""Sort keys hold none; of an id, which may, what follows is the last part anyway."""
_LACKING: Final = ""
"""What stands for a field that a document lacks; no sort key is empty."""


class Scope(NamedTuple):
    """Records of one type that have these texts in these fields, such as a session's."""

    model: type[Record]
    fields: tuple[str, ...]
    values: tuple[str, ...]
    namespace: str | None = None

    @property
    def collection(self) -> str:
        return spec_of(self.model).collection

    @property
    def order(self) -> tuple[Order, ...]:
        """How a window of the scope is ordered."""
        return window_order(self.model, self.fields)

    @property
    def ordering(self) -> Ordering:
        return _ordering(self.order)


@cache
def window_order(model: type[Record], fields: tuple[str, ...]) -> tuple[Order, ...]:
    """How the records of such scopes are listed: by the shortest index that begins with them.

    That is what follows the scope's fields in it; of several as short the first declared. Without
    one, records are ordered by id.
    """
    tails = [
        index[len(fields) :]
        for index in spec_of(model).indexes
        if len(index) > len(fields) and set(index[: len(fields)]) == set(fields)
    ]
    tail = min(tails, key=len, default=())
    return tuple(Order(name.removeprefix("-"), name.startswith("-")) for name in tail)


@cache
def _ordering(order: tuple[Order, ...]) -> Ordering:
    return Ordering(order)


def scope_of(query: Query[Any]) -> Scope | None:
    """The smallest scope that holds all the query asks for, ``None`` if no window may answer it."""
    if query.nearest is not None or query.include_expired:
        return None
    texts: dict[str, str] = {}
    for condition in query.where:
        if condition.operator == "==" and type(condition.value) is str:
            texts.setdefault(condition.field, condition.value)
    fitting = [fields for fields in query.spec.scopes if texts.keys() >= set(fields)]
    if not fitting:
        return None
    fields = max(fitting, key=len)
    return Scope(query.model, fields, tuple(texts[name] for name in fields), query.namespace)


def scopes_of(ref: Ref[Any], document: Document) -> list[Scope]:
    """All scopes that a stored document is in."""
    scopes: list[Scope] = []
    for fields in spec_of(ref.model).scopes:
        texts = [text for name in fields if type(text := document.get(name)) is str]
        if len(texts) == len(fields):
            scopes.append(Scope(ref.model, fields, tuple(texts), ref.namespace))
    return scopes


def is_bare(query: Query[Any], scope: Scope) -> bool:
    """Whether the query asks for nothing but that records are of the scope."""
    wanted = {
        Filter(name, "==", text) for name, text in zip(scope.fields, scope.values, strict=True)
    }
    return len(query.where) == len(wanted) and all(
        type(condition.value) is str and condition in wanted for condition in query.where
    )


def matters_to_windows(patch: Patch) -> bool:
    """Whether the patch may move its record within a window, or into one.

    Scopes themselves do not change by patch.
    """
    model = patch.ref.model
    if patch.or_create is not None:
        return bool(spec_of(model).scopes)
    moving = {EXPIRATION, *_ordered_fields(model)} if spec_of(model).scopes else set[str]()
    return any(_overlap(path, field) for path in _changed(patch) for field in moving)


def _changed(patch: Patch) -> Iterator[str]:
    for paths in (patch.set, patch.increment, patch.add, patch.remove, patch.unset):
        yield from paths


@cache
def _ordered_fields(model: type[Record]) -> frozenset[str]:
    return frozenset(
        order.field for fields in spec_of(model).scopes for order in window_order(model, fields)
    )


def _overlap(path: str, field: str) -> bool:
    return all(a == b for a, b in zip(split_path(path), split_path(field), strict=False))


def sort_text(scope: Scope, document: Document) -> bytes:
    """Where a document stands in a window of the scope, ties apart; never empty."""
    values = (value_at(document, order.field) for order in scope.order)
    keys = (_LACKING if value is MISSING else sort_key(value) for value in values)
    return _APART.join((_mark(scope.model, scope.fields), *keys)).encode()


@cache
def _mark(model: type[Record], fields: tuple[str, ...]) -> str:
    """Tells texts of the order of such scopes from others, which another release may use."""
    order = [(order.field, order.descending) for order in window_order(model, fields)]
    return f"{crc32(repr(order).encode()):08x}"


def position(scope: Scope, sort: bytes, key: str) -> SortKey | None:
    """What the member `key` is ordered by, ``None`` for a sort text that is none of this order."""
    return _position(scope, sort + _APART.encode() + stored_id(key).encode())


def bound_text(scope: Scope, sort: bytes, key: str) -> bytes:
    """The end of a window whose last member this is."""
    return sort + _APART.encode() + stored_id(key).encode()


def bound_position(scope: Scope, bound: bytes) -> SortKey | None:
    """The position in a bound, ``None`` if it is none of this order."""
    return _position(scope, bound)


def _position(scope: Scope, text: bytes) -> SortKey | None:
    try:
        mark, *parts = text.decode().split(_APART, len(scope.order) + 1)
    except UnicodeDecodeError:
        return None
    if mark != _mark(scope.model, scope.fields) or len(parts) != len(scope.order) + 1:
        return None
    return tuple(parts)


def is_whole(scope: Scope, at: SortKey) -> bool:
    """Whether what stands there has all fields of the window's order."""
    return _LACKING not in at[: len(scope.order)]


def is_behind(scope: Scope, at: SortKey, bound: SortKey) -> bool:
    """Whether a position comes after another one in the window's order."""
    ordering = scope.ordering
    return ordering.before(ordering.key(bound), ordering.key(at))
