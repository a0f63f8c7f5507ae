"""Operations as bytes, and back: what a journal keeps of a write.

JSON by `codec.bytes`: ``v`` (the version of this form), ``op`` (``put``, ``patch`` or ``delete``),
``model`` (its name), ``collection``, ``key``, ``namespace`` and ``expect`` (``null``, ``"absent"``,
``"present"`` or a revision). A put has ``document``, the record as stores hold it; a patch has its
parts by their names, and ``or_create`` as a document or ``null``. ``basis``, if there is one, has
those parts of it that say something.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType, NoneType
from typing import Any, Final, TypeAlias

from ..errors import ConfigurationError, CorruptRecord, DurabilityUnavailable, SchemaTooNew
from ..operations import Delete, Expect, Op, Patch, Presence, Put, Ref, Revision
from ..record import Record, spec_of
from ..values import is_map
from .bytes import dumps, loads
from .document import Document, decode, encode

VERSION: Final = 1
"""Raised when older releases could not read what is written."""

Models: TypeAlias = Mapping[tuple[str, str], type[Record]]
"""Record types by collection and name."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What was known of its document when an operation was decided on.

    ``revision`` is the committed one it builds on. ``absent`` says that there was none: it was
    deleted, or the id was made at random. ``after`` is the id of a write that waits, too, and whose
    outcome it builds on. ``fields`` are the stored values, as they were, of what it changes: for
    merging. ``in_doubt`` if it was sent, and may have been applied already; ``result`` stands for
    the whole document that it leaves then, where that is known.
    """

    revision: Revision | None = None
    absent: bool = False
    after: str | None = None
    fields: Document | None = None
    in_doubt: bool = False
    result: str | None = None


NO_BASIS: Final = Basis()
"""Nothing was known."""
_BASIS_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "revision": (int, NoneType),
    "absent": (bool,),
    "after": (str, NoneType),
    "fields": (dict, NoneType),
    "in_doubt": (bool,),
    "result": (str, NoneType),
}
_PARTS: Final = ("set", "increment", "add", "remove", "unset")


def models_by_name(models: Iterable[type[Record]]) -> Models:
    """What `decode_operation` needs to know of the record types that may occur."""
    return MappingProxyType(
        {(spec_of(model).collection, model.__name__): model for model in models}
    )


def encode_operation(op: Op, basis: Basis = NO_BASIS) -> bytes:
    """The operation, with its precondition and its basis, in bytes.

    Raises ``InvalidRecord`` for a value no store can hold, and ``DurabilityUnavailable`` for one
    that no text tells exactly: NaN in a vector that is no field of its own.
    """
    ref = op.ref
    body: Document = {
        "v": VERSION,
        "op": type(op).__name__.lower(),
        "model": ref.model.__name__,
        "collection": ref.collection,
        "key": ref.key,
        "namespace": ref.namespace,
        "expect": op.expect.value if isinstance(op.expect, Presence) else op.expect,
        **_details(op),
    }
    if said := _said(basis):
        body["basis"] = said
    try:
        return dumps(body).encode()
    except ValueError:
        # The original error shows the value.
        raise DurabilityUnavailable(
            f"{ref.collection}/{ref.key}: a vector holds NaN or infinity, which the journal cannot "
            "keep; leave it out",
            operation="journal",
            collection=ref.collection,
            key=ref.key,
        ) from None


def decode_operation(body: bytes, models: Models) -> Op:
    """The operation in `body`, equal to the one that was encoded; see `decode_based`."""
    return decode_based(body, models)[0]


def decode_based(body: bytes, models: Models) -> tuple[Op, Basis]:
    """The operation in `body` and its basis, equal to those that were encoded.

    Raises ``SchemaTooNew`` for what a later release wrote, ``ConfigurationError`` for a record type
    that is not among `models`, and ``CorruptRecord`` for what is no operation.
    """
    found = _loaded(body)
    try:
        ref = Ref(_model(found, models), found["key"], found["namespace"])
        return _operation(found, ref), _basis(found.get("basis", {}))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        # The original error may show what it found.
        raise CorruptRecord(f"no operation ({type(error).__name__})") from None


def _details(op: Op) -> Document:
    match op:
        case Put():
            return {"document": encode(op.record)}
        case Patch():
            parts = {name: _plain(getattr(op, name)) for name in _PARTS}
            created = None if op.or_create is None else encode(op.or_create)
            return {**parts, "or_create": created}
        case Delete():
            return {}


def _plain(part: Any) -> Any:
    return dict(part) if isinstance(part, Mapping) else list(part)


def _loaded(body: bytes) -> Document:
    try:
        found = loads(body)
    except ValueError as error:
        raise CorruptRecord(f"no operation: {error}") from None
    if not is_map(found) or type(found.get("v")) is not int:
        raise CorruptRecord("no operation: it has no version")
    if found["v"] > VERSION:
        raise SchemaTooNew(
            f"an operation in form {found['v']}, this release knows {VERSION}; upgrade "
            "orchestra-memory",
            stored=found["v"],
            known=VERSION,
        )
    return found


def _model(found: Document, models: Models) -> type[Record]:
    name = (found["collection"], found["model"])
    if name not in models:
        raise ConfigurationError(
            f"{name[0]}: an operation on the record type {name[1]!r}, which this process does not "
            "know; import the module that declares it"
        )
    return models[name]


def _operation(found: Document, ref: Ref[Record]) -> Op:
    expect = _expect(found["expect"])
    match found["op"]:
        case "put":
            return Put(decode(ref, found["document"], owned=True), expect, ref.namespace)
        case "patch" if expect is not None:
            parts = {name: found[name] for name in _PARTS}
            created = found["or_create"]
            or_create = None if created is None else decode(ref, created, owned=True)
            return Patch(ref, **parts, expect=expect, or_create=or_create)
        case "delete":
            return Delete(ref, expect)
        case _:
            raise ValueError


def _said(basis: Basis) -> Document:
    """The parts of a basis that are not as they are when nothing was known."""
    values = {each.name: getattr(basis, each.name) for each in fields(Basis)}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _basis(found: Document) -> Basis:
    basis = Basis(**found)
    if not all(type(getattr(basis, name)) in kinds for name, kinds in _BASIS_TYPES.items()):
        raise TypeError
    return basis


def _expect(stored: Any) -> Expect:
    if stored is None or type(stored) is int:
        return stored
    return Presence(stored)
