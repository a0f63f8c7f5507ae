"""Documents and records of every kind, and the bytes that Google's library makes of a document."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import encode_dict
from google.cloud.firestore_v1.vector import Vector as TheirVector
from hypothesis import strategies as st

from orchestra_memory import Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.models import SHIPPED
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.values import Vector

DOCUMENT = types.Document.pb()
MAP = types.MapValue.pb()
VALUE = types.Value.pb()

ZONES = st.one_of(
    st.just(UTC), st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
)
EDGES = sorted(
    {n for bits in range(64) for n in (2**bits - 1, 2**bits, -(2**bits), 1 - 2**bits)} - {2**63}
)
INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from(EDGES))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(), TEXT, st.binary(max_size=6), TIMES
)
NAMES = st.one_of(
    st.sampled_from(["value", "_parts", "a.b", "`", "é", "😀", "\x00", "_x_"]),
    TEXT.filter(lambda name: name[:1] not in ("", "~") and name[:2] != "__"),
)
ODD_NAMES = st.one_of(
    NAMES, st.sampled_from(["", "~", "~:", "~list", "__x__", "__", "____", "__type__", "__name__"])
)
VECTORS = st.lists(st.floats(), max_size=4).map(Vector)


def documents(scalars, names, *, nest: bool):
    """Documents of these; with lists in lists if `nest`."""

    def containers(inner):
        maps = st.dictionaries(names, inner, max_size=3)
        return st.one_of(maps, st.lists(inner if nest else scalars | maps, max_size=3))

    values = st.recursive(scalars, containers, max_leaves=8)
    return st.dictionaries(names, values, max_size=4)


PLAIN = documents(SCALARS | VECTORS, NAMES, nest=False)
ANY = documents(SCALARS | VECTORS, ODD_NAMES, nest=True)


def theirs(document: Mapping[str, Any]) -> bytes:
    """What the library sends of a document, its fields in the order of their names."""
    message = types.Document(fields=encode_dict(document))
    return types.Document.pb(message).SerializeToString(deterministic=True)


def sorted_by_name(data: bytes) -> bytes:
    """The same document, its fields in the order of their names."""
    return DOCUMENT.FromString(data).SerializeToString(deterministic=True)


def for_them(value: Any) -> Any:
    """A plain value as the library takes it."""
    if type(value) is Vector:
        return TheirVector(value)
    if type(value) is dict:
        return {name: for_them(item) for name, item in value.items()}
    return [for_them(item) for item in value] if type(value) is list else value


def documented(value: Any) -> Any:
    """A value in the form that is documented for what Firestore or the library cannot hold."""
    if type(value) is dict:
        return {documented_name(name): documented(item) for name, item in value.items()}
    if type(value) is list:
        items = [documented(item) for item in value]
        return [{"~list": item} if type(item) is list else item for item in items]
    return TheirVector(value) if type(value) is Vector else value


def documented_name(name: str) -> str:
    reserved = name.startswith("__") and name.endswith("__")
    return f"~:{name}" if name[:1] in ("", "~") or reserved else name


def values_for(annotation: Any) -> st.SearchStrategy[Any]:
    """Values that a field of the shipped types takes."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values_for(arguments[0])
    if origin in (Union, UnionType):
        return st.one_of(*map(values_for, arguments))
    if origin is list and get_origin(arguments[0]) is Annotated and float in get_args(arguments[0]):
        return st.lists(FINITE, min_size=1, max_size=4)
    if origin is list:
        return st.lists(values_for(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(ODD_NAMES, values_for(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return PLAIN_FIELDS[annotation]


FREE = st.one_of(SCALARS, ANY)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN_FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    Any: FREE,
    str: TEXT.filter(bool),
    int: INTEGERS,
    float: st.floats(),
    bool: st.booleans(),
    datetime: TIMES,
    type(None): st.none(),
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of one of the shipped types, with fields that its version does not know."""
    model = draw(st.sampled_from([*SHIPPED, Note]))
    data = {name: draw(values_for(info.annotation)) for name, info in model.model_fields.items()}
    record = model.model_validate(data)
    if not draw(st.booleans()):
        return record
    unknown = draw(ANY)
    stored = {**encode(record), **{f"new {name}": value for name, value in unknown.items()}}
    return decode(Ref(model, record.key), stored)
