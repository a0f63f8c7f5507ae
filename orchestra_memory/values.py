"""What a stored value may be, and how values order.

A value is what every backend can hold: ``None``, ``bool``, 64-bit ``int``, ``float``, ``str``,
``bytes``, aware ``datetime``, lists and string-keyed maps of these. Order is Firestore's order
(https://cloud.google.com/firestore/docs/concepts/data-types#value_type_ordering), so that a
query gives the same pages everywhere.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from math import isfinite, isnan
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeGuard

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

MAX_DEPTH = 20
"""Levels of maps and lists in one field; a list in a list counts twice (Firestore's limit)."""
MAX_PATH_BYTES = 1_400
"""Keys from a field down to a nested value; Firestore takes 1,500, with name and escapes."""
MAX_VECTOR_DIMENSIONS = 2_048
"""Firestore's bound for one vector."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Vector(list[float]):
    """Numbers that a store keeps in its native vector type."""

    __slots__ = ()


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValueError("a time without a zone is ambiguous; give an aware datetime")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time that is not within the years 1 to 9999 in UTC") from None


def to_micros(value: datetime) -> int:
    """Microseconds since the epoch, exact."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def storable(value: Any, at: str = "", depth: int = MAX_DEPTH) -> Any:
    """A copy of `value` that shares nothing mutable with it, in the types a store can hold.

    Tuples become lists, enums their values, times UTC. Raises ``ValueError`` naming the place,
    the type and the remedy for everything else.
    """
    kind = type(value)
    if kind is str:
        return checked_text(value, at)
    if value is None or kind is bool or kind is float or kind is bytes:
        return value
    if kind is int:
        if INT64_MIN <= value <= INT64_MAX:
            return value
        raise ValueError(f"{_place(at)}an int beyond 64 bits cannot be stored; store it as a str")
    if kind is dict or kind is list:
        return _storable_container(value, at, depth)
    return _storable_relative(value, at, depth)


def _storable_container(value: Any, at: str, depth: int) -> Any:
    if depth < 1:
        raise ValueError(
            f"{_place(at)}nested deeper than {MAX_DEPTH} levels; store the inner part as a record "
            "of its own or as text"
        )
    kind = type(value)
    if kind is dict:
        return {
            checked_map_key(name, at): storable(item, f"{at}.{name}" if at else name, depth - 1)
            for name, item in value.items()
        }
    return [
        storable(item, f"{at}[{i}]", depth - (2 if isinstance(item, list | tuple) else 1))
        for i, item in enumerate(value)
    ]


def _storable_relative(value: Any, at: str, depth: int) -> Any:
    """Subclasses and look-alikes of the plain types."""
    if isinstance(value, Enum):
        return storable(value.value, at, depth)
    if isinstance(value, datetime):
        try:
            return to_utc(value)
        except ValueError as error:
            raise ValueError(f"{_place(at)}{error}") from None
    if isinstance(value, Mapping):
        return _storable_container(dict(value), at, depth)
    if isinstance(value, tuple | list):
        return _storable_container(list(value), at, depth)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    for plain in (str, int, float):
        if isinstance(value, plain):
            return storable(plain(value), at, depth)
    raise ValueError(f"{_place(at)}{type(value).__name__} cannot be stored; {_remedy(value)}")


def _remedy(value: object) -> str:
    if isinstance(value, set | frozenset):
        return "use a list"
    return "use None, bool, int, float, str, bytes, an aware datetime, a list or a dict"


def _place(at: str) -> str:
    return f"{at}: " if at else ""


def checked_text(value: str, at: str = "") -> str:
    if not value.isascii() and not _is_utf8(value):
        raise ValueError(
            f"{_place(at)}text with a lone surrogate is not UTF-8; decode it with errors='replace'"
        )
    return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        # An error raised from here would carry this one, and with it the text.
        return False
    return True


def checked_map_key(name: object, at: str) -> str:
    if not isinstance(name, str):
        raise ValueError(  # noqa: TRY004 -- pydantic reports ValueError only
            f"{_place(at)}a key of type {type(name).__name__}; map keys must be str"
        )
    checked_text(name, at)
    if len(at) + len(name) > MAX_PATH_BYTES // 4 and len(f"{at}.{name}".encode()) > MAX_PATH_BYTES:
        raise ValueError(
            f"a map key, with those above it, longer than {MAX_PATH_BYTES} bytes; shorten it"
        )
    return name


_UNCHANGING: Final = frozenset({str, int, float, bool, bytes, datetime, NoneType})


def copied(value: Any) -> Any:
    """A stored value that shares nothing mutable with the given one."""
    kind = type(value)
    if kind is dict:
        return {
            name: item if type(item) in _UNCHANGING else copied(item)
            for name, item in value.items()
        }
    if kind is list:
        return [item if type(item) in _UNCHANGING else copied(item) for item in value]
    return Vector(value) if kind is Vector else value


class _Stored:
    """The validation context of values that come from a store, and that nobody else holds.

    They are storable already, and vectors hold nothing but floats.
    """


STORED: Final = _Stored()


def _free(value: Any, info: ValidationInfo) -> Any:
    return value if info.context is STORED else storable(value)


def _free_map(value: Any, info: ValidationInfo) -> Any:
    return _free(value, info) if is_map(value) else _storable_map(value)


def _storable_map(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 -- pydantic reports ValueError only
            f"{type(value).__name__} is not a map; use a dict with str keys"
        )
    return storable(value)


def _as_list(value: Any) -> Any:
    """Take arrays (numpy and its kin) by the one method they share."""
    to_list = getattr(value, "tolist", None)
    return value if isinstance(value, list) or to_list is None else to_list()


def vector_of(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Vector:
    """The numbers, looked at one by one only if they may be of any type."""
    if info.context is STORED and type(value) is Vector and _is_embedding(value):
        return value
    return Vector(validate(_as_list(value)))


def _is_embedding(vector: Vector) -> bool:
    # A sum is never finite again once one of its numbers was not.
    return 0 < len(vector) <= MAX_VECTOR_DIMENSIONS and isfinite(sum(vector))


NORMALISERS = frozenset({_free, _free_map})
"""Validators that mark a field as free JSON."""

if TYPE_CHECKING:
    JsonLike: TypeAlias = (
        None
        | bool
        | int
        | float
        | str
        | bytes
        | datetime
        | Sequence["JsonLike"]
        | Mapping[str, "JsonLike"]
    )
    """Any value a store can hold."""
    JsonMap: TypeAlias = Mapping[str, JsonLike]
    """A map of such values; treat it as read-only and change it with ``record.evolve``."""
    Embedding: TypeAlias = Sequence[float]
    """1 to 2,048 finite numbers, kept in the store's native vector type."""
else:
    JsonLike = Annotated[Any, PlainValidator(_free)]
    JsonMap = Annotated[dict[str, Any], PlainValidator(_free_map)]
    Embedding = Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]],
        Field(min_length=1, max_length=MAX_VECTOR_DIMENSIONS),
        WrapValidator(vector_of),
    ]

UtcDatetime = Annotated[datetime, AfterValidator(to_utc)]
"""An aware time, kept in UTC; a naive one is refused."""
NonEmpty = Annotated[str, Field(min_length=1)]


_LOW = re.compile("[\x00-\x02]")
_END = "\x01"
_INTEGERS_EXACT_IN_DOUBLE = 2**53


def sort_key(value: Any) -> str:
    """Text whose code-point order (and UTF-8 byte order) is the order of values.

    Equal keys mean equal values: ``1`` and ``1.0`` share one, ``1`` and ``True`` do not. The first
    character tells the kind of value. The text holds no NUL.
    """
    kind = type(value)
    if kind is str:
        return "G" + _escaped(value)
    if value is None:
        return "A"
    if kind is bool:
        return "C" if value else "B"
    if kind is int or kind is float:
        return _number_key(value)
    if isinstance(value, datetime):
        return f"F{to_micros(value) + 2**62:016x}"
    if kind is bytes:
        return f"H{value.hex()}"
    if kind is Vector:
        return f"K{len(value):08x}" + "".join(map(_number_key, value))
    if kind is list:
        return "J" + "".join(sort_key(item) + _END for item in value)
    entries: list[str] = sorted(value)
    return "L" + "".join(f"{_escaped(name)}{_END}{sort_key(value[name])}{_END}" for name in entries)


def _escaped(text: str) -> str:
    """Move the three lowest characters up, so that a terminator sorts below all of them."""
    if _LOW.search(text) is None:
        return text
    return _LOW.sub(lambda match: "\x02" + chr(0x10 + ord(match[0])), text)


def _number_key(value: float) -> str:
    if isnan(value):
        return "D"
    # A double cannot tell large integers apart: what rounding took is appended.
    rest = 0
    number = float(value)
    if type(value) is int and abs(value) > _INTEGERS_EXACT_IN_DOUBLE:
        rest = value - int(number)
    (bits,) = struct.unpack(">q", struct.pack(">d", number + 0.0))
    ordered = bits ^ 0x7FFFFFFFFFFFFFFF if bits < 0 else bits
    return f"E{ordered + 2**63:016x}{rest + 0x800:03x}"


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    return type(value) is dict


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """A list, and no vector."""
    return type(value) is list


def is_nan(value: object) -> bool:
    return isinstance(value, float) and isnan(value)


def same(a: Any, b: Any) -> bool:
    """Whether two values are stored alike; ``1``, ``1.0`` and ``True`` are not, though equal."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(map(same, a.values(), map(b.__getitem__, a)))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)
