"""Conditions of a query: checked, and in the types a store holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from .errors import InvalidQuery
from .fieldpaths import check_field
from .record import Record, spec_of
from .values import is_list, is_nan, storable

Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "contains_any"]
RANGES: Final = frozenset({"<", "<=", ">", ">=", "!="})
LISTS: Final = frozenset({"in", "contains_any"})
OPERATORS: Final[frozenset[str]] = RANGES | LISTS | {"==", "contains"}

MAX_DISJUNCTIONS = 30
"""Firestore's bound for the values of ``in`` and ``contains_any``, multiplied together."""
MAX_OPERAND_BYTES = 1_500
"""Firestore's bound for a text or bytes in a condition."""

WhereArgument: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Operator, Any]]


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one field."""

    field: str
    operator: Operator
    value: Any


def filters(model: type[Record], where: WhereArgument) -> Iterable[Filter]:
    triples: Iterable[Any] = _equalities(where) if isinstance(where, Mapping) else where
    disjunctions = 1
    for triple in triples:
        if not _is_triple(triple):
            raise InvalidQuery(
                'a condition is a triple such as ("user_id", "==", "alice"), not '
                f"{type(triple).__name__}"
            )
        condition = _filter(model, *triple)
        disjunctions *= len(condition.value) if condition.operator in LISTS else 1
        yield condition
    if disjunctions > MAX_DISJUNCTIONS:
        raise InvalidQuery(
            f"the lists of 'in' and 'contains_any' multiply to {disjunctions} cases, more than "
            f"{MAX_DISJUNCTIONS}; ask in several queries"
        )


def _equalities(where: Any) -> Iterable[tuple[str, Operator, Any]]:
    return ((name, "==", value) for name, value in where.items())


def _is_triple(condition: Any) -> TypeGuard[tuple[str, Any, Any]]:
    return isinstance(condition, tuple | list) and len(condition) == 3  # pyright: ignore[reportUnknownArgumentType]


def _filter(model: type[Record], field: str, operator: Any, value: Any) -> Filter:
    if operator not in OPERATORS:
        raise InvalidQuery(
            f"{field}: no operator {operator!r}; use one of {', '.join(sorted(OPERATORS))}",
            field=field,
        )
    check_field(model, field)
    if field.split(".", maxsplit=1)[0] in spec_of(model).large:
        raise InvalidQuery(
            f"{field} is a large field, which no store can filter by; keep what you look for in a "
            "field of its own",
            field=field,
        )
    checked = _operand(field, value)
    _check_operand(field, operator, checked, value)
    return Filter(field, operator, checked)


def _operand(field: str, value: Any) -> Any:
    try:
        return storable(value)
    except ValueError as error:
        raise InvalidQuery(f"{field}: {error} (got {type(value).__name__})", field=field) from None


def _check_operand(field: str, operator: str, checked: Any, given: Any) -> None:
    items = checked if operator in LISTS and is_list(checked) else [checked]
    if any(is_nan(item) for item in items):
        raise InvalidQuery(f"{field}: NaN has no order and equals nothing", field=field)
    if operator in LISTS and (not is_list(checked) or not checked):
        raise InvalidQuery(
            f"{field}: {operator!r} takes a list with at least one value, not "
            f"{type(given).__name__}",
            field=field,
        )
    if any(_operand_size(item) > MAX_OPERAND_BYTES for item in items):
        raise InvalidQuery(
            f"{field}: more than {MAX_OPERAND_BYTES:,} bytes to compare with; store a hash and "
            "compare that",
            field=field,
        )
    if operator != "==" and any(item is None for item in items):
        raise InvalidQuery(
            f"{field}: None can only be asked for with '==' (got {operator!r})", field=field
        )


def _operand_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, bytes) else 0
