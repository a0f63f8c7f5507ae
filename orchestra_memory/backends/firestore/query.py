"""Queries as Firestore's ``StructuredQuery``."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from ...codec.cursor import Position
from ...codec.firestore.encode import encode_value
from ...codec.firestore.messages import AggregationQuery, StructuredQuery, Value, wrappers
from ...codec.ids import escaped_name
from ...conditions import Filter
from ...fieldpaths import split_path
from ...operations import Count, Measure, Sum
from ...queries import Query
from ...record import EXPIRATION

DISTANCE: Final = "_distance"
"""The field in which Firestore returns how far a neighbour is."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_ASCENDING, _DESCENDING = 1, 2
_AND = 1
_IS_NULL = wrappers.StructuredQuery.UnaryFilter.Operator.IS_NULL
_FIELD = wrappers.StructuredQuery.FieldFilter.Operator
_OPERATORS: Final = {
    "==": _FIELD.EQUAL,
    "!=": _FIELD.NOT_EQUAL,
    "<": _FIELD.LESS_THAN,
    "<=": _FIELD.LESS_THAN_OR_EQUAL,
    ">": _FIELD.GREATER_THAN,
    ">=": _FIELD.GREATER_THAN_OR_EQUAL,
    "in": _FIELD.IN,
    "contains": _FIELD.ARRAY_CONTAINS,
    "contains_any": _FIELD.ARRAY_CONTAINS_ANY,
}
_MEASURES = wrappers.StructuredQuery.FindNearest.DistanceMeasure
_EQUALITIES: Final = (_OPERATORS["=="], _OPERATORS["in"])
_LISTS: Final = (_OPERATORS["contains"], _OPERATORS["contains_any"])
_DIRECTIONS: Final = {_ASCENDING: "ASCENDING", _DESCENDING: "DESCENDING"}
_METRICS: Final = {
    "cosine": _MEASURES.COSINE,
    "euclidean": _MEASURES.EUCLIDEAN,
    "dot_product": _MEASURES.DOT_PRODUCT,
}


def field_path(path: str) -> str:
    """A path as Firestore spells it: parts escaped, and quoted where they are no plain names."""
    return ".".join(_quoted(escaped_name(name)) for name in split_path(path))


def _quoted(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def structured(query: Query[Any], collection: str) -> Any:
    """Collection, conditions and order; the id comes last, so that the order is total."""
    message = StructuredQuery()
    message.from_.add().collection_id = collection
    if query.where:
        _conditions(message, query.where)
    if query.nearest is not None:
        return message
    direction = _ASCENDING
    for order in query.order_by:
        direction = _DESCENDING if order.descending else _ASCENDING
        _add_order(message, field_path(order.field), direction)
    _add_order(message, "__name__", direction)
    return message


def measurable(query: Query[Any], collection: str) -> Any:
    """The same without order, but for the ranges: Firestore measures nothing ordered by id."""
    message = structured(query.unordered, collection)
    del message.order_by[-1]
    return message


def _conditions(message: Any, conditions: tuple[Filter, ...]) -> None:
    composite = message.where.composite_filter
    composite.op = _AND
    for condition in conditions:
        _condition(composite.filters.add(), condition)


def _condition(message: Any, condition: Filter) -> None:
    if condition.value is None:
        message.unary_filter.field.field_path = field_path(condition.field)
        message.unary_filter.op = _IS_NULL
        return
    message.field_filter.field.field_path = field_path(condition.field)
    message.field_filter.op = _OPERATORS[condition.operator]
    _operand(message.field_filter.value, condition)


def _operand(message: Any, condition: Filter) -> None:
    """Lists in ``in`` stand for themselves; those looked for within a list are wrapped there."""
    if condition.operator == "in":
        for item in condition.value:
            encode_value(message.array_value.values.add(), item)
    elif condition.operator == "contains":
        holder = Value()
        encode_value(holder, [condition.value])
        message.CopyFrom(holder.array_value.values[0])
    else:
        encode_value(message, condition.value)


def _add_order(message: Any, path: str, direction: int) -> None:
    order = message.order_by.add()
    order.field.field_path = path
    order.direction = direction


def add_expired(message: Any, now: datetime) -> None:
    """Only what has expired: the part that counts subtract."""
    message.where.composite_filter.op = _AND
    condition = Filter(EXPIRATION, "<=", now)
    _condition(message.where.composite_filter.filters.add(), condition)


def start_after(message: Any, position: Position, name: str) -> None:
    """Continue behind the document `name` with the position's values."""
    message.ClearField("start_at")
    for value in position.values:
        encode_value(message.start_at.values.add(), value)
    message.start_at.values.add().reference_value = name
    message.start_at.before = False


def index_for(message: Any) -> dict[str, Any]:
    """The composite index a ``StructuredQuery`` needs, as in ``firestore.indexes.json``."""
    filters = [f.field_filter for f in message.where.composite_filter.filters]
    nulls = [f.unary_filter.field.field_path for f in message.where.composite_filter.filters]
    equal = [f.field.field_path for f in filters if f.op in _EQUALITIES]
    lists = [f.field.field_path for f in filters if f.op in _LISTS]
    fields: list[dict[str, str]] = [
        {"fieldPath": path, "order": "ASCENDING"}
        for path in dict.fromkeys((*equal, *nulls))
        if path
    ]
    fields += [{"fieldPath": path, "arrayConfig": "CONTAINS"} for path in lists]
    fields += [
        {"fieldPath": order.field.field_path, "order": _DIRECTIONS[order.direction]}
        for order in message.order_by
        if order.field.field_path != "__name__"
    ]
    collection = message.from_[0].collection_id
    return {"collectionGroup": collection, "queryScope": "COLLECTION", "fields": fields}


def add_nearest(message: Any, query: Query[Any], limit: int) -> None:
    nearest = query.nearest
    assert nearest is not None
    search = message.find_nearest
    search.vector_field.field_path = field_path(nearest.field)
    encode_value(search.query_vector, nearest.vector)
    search.distance_measure = _METRICS[nearest.metric]
    search.limit.value = limit
    search.distance_result_field = DISTANCE


def aggregation(message: Any, measure: Measure) -> Any:
    """One measure over a query. Measured together, counts would leave out what lacks a field."""
    request = AggregationQuery()
    request.structured_query.CopyFrom(message)
    wanted = request.aggregations.add()
    wanted.alias = "measure"
    match measure:
        case Count():
            wanted.count.SetInParent()
        case Sum():
            wanted.sum.field.field_path = field_path(measure.of)
        case _:
            wanted.avg.field.field_path = field_path(measure.of)
    return request
