"""Where a page ended, as opaque URL-safe text that any process can continue from."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..errors import InvalidQuery
from ..queries import Query
from .bytes import dumps, loads

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """After the record with these ordered values and this stored id; ``served`` came before."""

    values: tuple[Any, ...]
    stored_id: str
    served: int


def encode_cursor(query: Query[Any], position: Position) -> str:
    body = [
        _VERSION,
        fingerprint(query),
        list(position.values),
        position.stored_id,
        position.served,
    ]
    return urlsafe_b64encode(dumps(body).encode()).decode("ascii").rstrip("=")


def decode_cursor(query: Query[Any]) -> Position | None:
    """Where `query` continues, ``None`` at its start; ``InvalidQuery`` for a foreign cursor."""
    if query.after is None:
        return None
    try:
        padded = query.after.encode("ascii") + b"=" * (-len(query.after) % 4)
        version, mark, values, stored_id, served = loads(urlsafe_b64decode(padded))
    except (ValueError, TypeError, AttributeError):
        raise InvalidQuery(
            "this is no cursor of a page; start without one", field="after"
        ) from None
    if version != _VERSION or mark != fingerprint(query):
        raise InvalidQuery(
            "this cursor is of another query; use it with the query that made it, or start without",
            field="after",
        )
    return Position(tuple(values), stored_id, served)


def fingerprint(query: Query[Any]) -> str:
    """The same for queries whose pages continue each other."""
    shape = [
        query.namespace,
        query.spec.collection,
        [[f.field, f.operator, f.value] for f in query.where],
        [[order.field, order.descending] for order in query.order_by],
        query.include_expired,
    ]
    return sha256(dumps(shape).encode()).hexdigest()[:16]
