"""Our own file format: one record a line, exact to the last value.

The first line is a header, ``{"format": "orchestra-memory", "version": 1, ...}``. Every other line
is ``{"type": "MemoryItem", "namespace": "acme", "document": {...}}``, without ``namespace`` for
the top level, the document as :mod:`orchestra_memory.codec.bytes` writes it, its fields sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from ..codec.bytes import dumps, loads
from ..codec.document import decode, encode, key_in
from ..errors import CorruptRecord, InvalidQuery, InvalidRecord, SchemaTooNew
from ..models import SHIPPED
from ..operations import Ref
from ..record import Record, spec_of
from ..values import storable
from .entries import Entry, Parsed, Problem, Unit, UnreadableFile, as_map, checked

FORMAT: Final = "orchestra-memory"
VERSION: Final = 1

Models = Mapping[str, type[Record]]


def named(models: Iterable[type[Record]] = SHIPPED) -> dict[str, type[Record]]:
    """Record types by the names lines call them."""
    return {model.__name__: model for model in models}


def header_line(
    models: Iterable[type[Record]], namespace: str | None, user_id: str | None
) -> bytes:
    """The first line; the same for the same selection."""
    header: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    header["collections"] = [spec_of(model).collection for model in models]
    header |= {"namespace": namespace} if namespace is not None else {}
    header |= {"user_id": user_id} if user_id is not None else {}
    return dumps(header).encode() + b"\n"


def record_line(record: Record, namespace: str | None) -> bytes:
    line: dict[str, Any] = {"type": type(record).__name__}
    line |= {"namespace": namespace} if namespace is not None else {}
    line["document"] = _sorted(encode(record))
    return dumps(line).encode() + b"\n"


def _sorted(value: object) -> object:
    """Stores differ in the order of map keys; a file does not."""
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        return {name: _sorted(found[name]) for name in sorted(found)}
    if type(value) is list:
        return [_sorted(item) for item in cast("list[object]", value)]
    return value


def is_header(value: object) -> bool:
    return (as_map(value) or {}).get("format") == FORMAT


def is_record(value: object) -> bool:
    return {"type", "document"} <= (as_map(value) or {}).keys()


def parse_line(unit: Unit, models: Models) -> Iterator[Parsed]:
    """The record on a line; nothing for the header.

    Raises ``UnreadableFile`` for the header of a newer format.
    """
    value = line_value(unit, loads)
    if isinstance(value, Problem):
        yield value
    elif is_header(value):
        _check_version(as_map(value) or {})
    else:
        yield _entry(unit, value, models)


def line_value(unit: Unit, load: Callable[[bytes], object]) -> object:
    """What is on a line, or the ``Problem`` with it."""
    try:
        return load(unit.raw or b"")
    except UnicodeDecodeError:
        return Problem(unit, "not UTF-8")
    except ValueError as error:
        return Problem(unit, str(error).replace("line 1, ", ""))


def _check_version(header: dict[str, Any]) -> None:
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise UnreadableFile(
            f"the file has another version of the format than {VERSION}; "
            "import it with the release that wrote it, or a newer one"
        )


def _entry(unit: Unit, value: object, models: Models) -> Parsed:
    line = as_map(value)
    if line is None or not is_record(line):
        return Problem(unit, 'no record; a line has "type" and "document"')
    model, document = models.get(str(line["type"])), as_map(line["document"])
    if model is None:
        return Problem(unit, f"not a known record type; known are {', '.join(models)}")
    if document is None:
        return Problem(unit, f"the document is {type(line['document']).__name__}; it must be a map")
    try:
        entry = _decoded(model, document, line.get("namespace"))
        checked(entry.record)
    except (CorruptRecord, InvalidQuery, InvalidRecord, SchemaTooNew) as error:
        return Problem(unit, str(error))
    return entry


def _decoded(model: type[Record], document: dict[str, Any], namespace: object) -> Entry:
    if namespace is not None and not isinstance(namespace, str):
        raise InvalidQuery(f"the namespace is {type(namespace).__name__}; it must be text")
    for name in document.keys() - model.model_fields:
        _check_unknown(model, name, document[name])
    ref = Ref(model, key_in(model, document), namespace)
    return Entry(decode(ref, document), namespace)


def _check_unknown(model: type[Record], name: str, value: object) -> None:
    """Fields of a newer version pass through unread, but only what a store can hold."""
    try:
        storable(value)
    except ValueError as error:
        raise InvalidRecord(
            f"{model.__name__}: {error}", model=model.__name__, field=name
        ) from None
