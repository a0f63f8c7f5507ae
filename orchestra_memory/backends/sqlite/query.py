"""Queries as SQL over sort keys, without any I/O.

What the keys cannot decide (nested paths, elements of lists, lists and maps themselves) is left
out of the SQL, and marked so that somebody looks at the documents again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from types import NoneType
from typing import Any, Final
from uuid import UUID

from ...codec.cursor import Position
from ...conditions import MAX_OPERAND_BYTES, Filter
from ...fieldpaths import kinds
from ...queries import Order, Query
from ...values import Vector, sort_key, to_micros

KEY_LENGTH: Final = MAX_OPERAND_BYTES + 1
"""Characters, or bytes, of a value that are kept to sort by: more than anything compared with."""

_TEXT: Final = sort_key("")
"""What the key of a text begins with; the text follows, if it has no low characters."""
_LOW_CHARACTER: Final = "\\u000"
"""How the characters that sort keys move up begin in JSON; so do a few others."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PLAIN_NAME = re.compile(r"\w+", re.ASCII)
_SCALARS = (str, bytes, int, float, NoneType, date, Enum, UUID, Decimal)


@dataclass(frozen=True, slots=True)
class Term:
    """A condition in SQL; unless ``exact``, some rows for which it holds do not match."""

    sql: str
    parameters: tuple[str | int, ...] = ()
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows may match, and how they are ordered (``None``: not by SQL)."""

    where: Term
    order: str | None

    def select(self, columns: str, limit: int | None = None) -> tuple[str, tuple[str | int, ...]]:
        """The statement and its parameters."""
        sql = f"SELECT {columns} FROM documents WHERE {self.where.sql}"
        if self.order is not None:
            sql += f" ORDER BY {self.order}"
        if limit is None:
            return sql, self.where.parameters
        return f"{sql} LIMIT ?", (*self.where.parameters, limit)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def key_column(field: str) -> str | None:
    """The SQL expression of a field's key; ``None`` if it has none."""
    if _PLAIN_NAME.fullmatch(field) is None:
        return None
    return f"json_extract(keys, '$.{field}')"


def key_of(value: Any) -> str:
    """What is kept of a value to compare and sort by; of lists, maps and vectors only the kind."""
    if type(value) is str or type(value) is bytes:
        return sort_key(value[:KEY_LENGTH])
    if type(value) is list:
        return "J"
    if type(value) is dict:
        return "L"
    return f"K{len(value):08x}" if type(value) is Vector else sort_key(value)


def keys_of(document: dict[str, Any], left_out: frozenset[str]) -> dict[str, str]:
    """The keys of a document's fields, by name."""
    return {
        name: key_of(value)
        for name, value in document.items()
        if name not in left_out and _name_text(name) is not None
    }


def keys_text(document: dict[str, Any], left_out: frozenset[str]) -> str:
    """The keys of a document's fields as JSON, in less time than by way of :func:`keys_of`."""
    entries = [
        start + quoted(_TEXT + value[:KEY_LENGTH] if type(value) is str else key_of(value))
        for name, value in document.items()
        if name not in left_out and (start := _name_text(name)) is not None
    ]
    text = "{" + ",".join(entries) + "}"
    # The lowest characters of a text are moved, which only sort_key() knows how to do.
    return _encode(keys_of(document, left_out)) if _LOW_CHARACTER in text else text


@lru_cache(maxsize=1024)
def _name_text(name: str) -> str | None:
    """How the key of this field begins in JSON, ``None`` if it has no key."""
    return f'"{name}":' if _PLAIN_NAME.fullmatch(name) else None


def matching(query: Query[Any], now: datetime | None) -> Selection:
    """All rows that match, in no order; without a time, expired ones are among them."""
    return Selection(_all(_conditions(query, now)), None)


def page(query: Query[Any], position: Position | None, now: datetime) -> Selection:
    """The rows that match and come behind the position, in order where SQL can tell it."""
    columns = _sortable(query)
    terms = [*_conditions(query, now), *(_present(order) for order in query.order_by)]
    if columns is None or query.nearest is not None:
        return Selection(_all(terms), None)
    if position is not None:
        terms.append(_behind(columns, position))
    order = ", ".join(f"{column}{' DESC' if down else ''}" for column, down in columns)
    return Selection(_all(terms), order)


def _all(terms: Iterable[Term]) -> Term:
    terms = list(terms)
    return Term(
        " AND ".join(term.sql for term in terms),
        tuple(parameter for term in terms for parameter in term.parameters),
        all(term.exact for term in terms),
    )


def _conditions(query: Query[Any], now: datetime | None) -> list[Term]:
    # A literal, because SQLite takes a partial index only for what it can prove beforehand.
    terms = [
        Term(f"collection = {literal(query.spec.collection)}"),
        Term("namespace = ?", (query.namespace or "",)),
    ]
    if query.hides_expired and now is not None:
        # The plus keeps SQLite from starting at the index of expirations.
        terms.append(Term("(+expires IS NULL OR +expires > ?)", (to_micros(now),)))
    if query.nearest is not None:
        terms.append(_has_vector(query.nearest.field, query.nearest.vector))
    return [*terms, *map(_condition, query.where)]


def _has_vector(field: str, vector: Vector) -> Term:
    column = key_column(field)
    return Term("TRUE", exact=False) if column is None else Term(f"{column} = ?", (key_of(vector),))


def _present(order: Order) -> Term:
    column = key_column(order.field)
    return Term("TRUE", exact=False) if column is None else Term(f"{column} IS NOT NULL")


def _condition(condition: Filter) -> Term:
    column = key_column(condition.field)
    if column is None:
        return Term("TRUE", exact=False)
    match condition.operator:
        case "contains" | "contains_any":
            return Term(f"{column} = 'J'", exact=False)
        case "==" | "in":
            values = condition.value if condition.operator == "in" else [condition.value]
            return _one_of(column, values)
        case "!=":
            return _other_than(column, condition.value)
        case "<" | "<=" | ">" | ">=":
            return _ranged(column, condition.operator, condition.value)


def _is_scalar(value: Any) -> bool:
    return type(value) not in (list, dict, Vector)


def _one_of(column: str, values: Sequence[Any]) -> Term:
    keys = tuple(dict.fromkeys(map(key_of, values)))
    exact = all(map(_is_scalar, values))
    if len(keys) == 1:
        return Term(f"{column} = ?", keys, exact)
    return Term(f"{column} IN ({', '.join('?' * len(keys))})", keys, exact)


def _other_than(column: str, value: Any) -> Term:
    if _is_scalar(value):
        return Term(f"{column} NOT IN ('A', ?)", (key_of(value),))
    return Term(f"{column} > 'A'", exact=False)


def _ranged(column: str, operator: str, value: Any) -> Term:
    key = key_of(value)
    if not _is_scalar(value):
        return Term(f"{column} = ?", (key,), exact=False)
    # Only values of one kind compare; the kind is the first character, and booleans have two.
    first, last = ("B", "C") if key[0] in "BC" else (key[0], key[0])
    if operator in ("<", "<="):
        return Term(f"{column} >= ? AND {column} {operator} ?", (first, key))
    return Term(f"{column} {operator} ? AND {column} < ?", (key, chr(ord(last) + 1)))


_Columns = list[tuple[str, bool]]


def _sortable(query: Query[Any]) -> _Columns | None:
    """Columns in their order and whether they descend; ``None`` if keys cannot tell the order."""
    columns: _Columns = []
    for order in query.order_by:
        column = key_column(order.field)
        if column is None or not _holds_scalars(query, order.field):
            return None
        columns.append((column, order.descending))
    return [*columns, ("id", bool(columns) and columns[-1][1])]


def _holds_scalars(query: Query[Any], field: str) -> bool:
    return all(
        isinstance(kind, type) and issubclass(kind, _SCALARS) for kind in kinds(query.model, field)
    )


def _behind(columns: _Columns, position: Position) -> Term:
    """Behind it in the first column, or level with it there and behind in the second, and so on."""
    keys = [*map(key_of, position.values), position.stored_id]
    choices: list[str] = []
    parameters: list[str] = []
    for place, (column, down) in enumerate(columns):
        level = "".join(f"{before} = ? AND " for before, _ in columns[:place])
        choices.append(f"({level}{column} {'<' if down else '>'} ?)")
        parameters += keys[: place + 1]
    # Where to begin in an index; the choices alone do not tell SQLite.
    column, down = columns[0]
    start = f"{column} {'<=' if down else '>='} ?"
    return Term(f"{start} AND ({' OR '.join(choices)})", (keys[0], *parameters))
