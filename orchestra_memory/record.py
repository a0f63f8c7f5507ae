"""The base of every record: frozen, keyed, and able to outlive its own definition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import unwrap
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from .errors import ConfigurationError, InvalidRecord
from .values import checked_text

MAX_KEY_BYTES = 1_500
"""Firestore's bound for a document id, in UTF-8 bytes."""
MARKERS = "markers"
"""The collection of the documents by which it is told which commits were made."""
ERASURES = "erasures"
"""The collection of the documents that tell who was erased."""
RESERVED_COLLECTIONS = frozenset({"namespaces", MARKERS, "parts", "conflicts", ERASURES})
"""Only this package itself has records in these."""
RESERVED_FIELDS = frozenset({"schema_version"})
EXPIRATION = "expiration"
"""A field of this name holds the time from which a record counts as absent."""

_UNSTORABLE_COLLECTION = re.compile(r"\.\.?|__.*__|.*/.*", re.DOTALL)
_ESCAPES = {"%": "%25", "_": "%5F", "/": "%2F"}
_ESCAPED = {code: char for char, code in _ESCAPES.items()}


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """Where records of one type live and how they may be asked for."""

    collection: str
    key: tuple[str, ...] = ("id",)
    scopes: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    vector_indexes: tuple[tuple[str, ...], ...] = ()
    unindexed: frozenset[str] = frozenset()
    large: frozenset[str] = frozenset()
    commit_time: str | None = None
    schema_version: int = 1
    scope_fields: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fields = frozenset(field for scope in self.scopes for field in scope)
        object.__setattr__(self, "scope_fields", fields)


class Record(BaseModel):
    """Something an agent remembers. Subclass it to store records of your own.

    Class keywords say where it lives::

        class Note(Record, collection="notes", key="id", indexes=[("owner", "-created")]):
            id: str
            owner: str
            created: UtcDatetime

    ``collection``
        the collection (required); ``namespaces``, ``markers``, ``parts``, ``conflicts`` and
        ``erasures`` are reserved.
    ``key``
        the field, or fields, that make the id. Default ``"id"``.
    ``scopes``
        groups of fields by which histories are kept together; they never change by ``Patch``.
    ``indexes``
        composite indexes your queries need, ``-`` for descending.
    ``vector_indexes``
        indexes your nearest-neighbour queries need: all fields they filter by, the vector last.
    ``unindexed``
        fields no query filters or orders by alone: long texts, and times that only rise.
    ``large``
        text, bytes and free-JSON fields that may outgrow 1 MiB; no query or ``Patch`` names them.
    ``commit_time``
        the field, a time or ``None``, into which the store puts its own time as it commits a record
        that leaves it ``None``.
    ``schema_version``
        raise it when the stored form changes, and teach :meth:`upgrade` the way. Default 1.

    Constructing raises :class:`~orchestra_memory.errors.InvalidRecord`, naming field and remedy.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        ser_json_inf_nan="constants",
    )

    __record__: ClassVar[RecordSpec]
    # None rather than an empty map, which the garbage collector would have to visit.
    _unknown: dict[str, Any] | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:

        def __init__(self, /, **data):  # noqa: ANN003, ANN204 -- type checkers see the fields
            try:
                self.__pydantic_validator__.validate_python(data, self_instance=self)
            except ValidationError as error:
                # The cause holds the input; it must not travel with the message.
                raise invalid_record(type(self), error) from None

        # Validation from stored data then fills instances directly, as with a plain model.
        __init__.__pydantic_base_init__ = True

    def __init_subclass__(  # noqa: PLR0913 -- each is a class keyword
        cls,
        *,
        collection: str = "",
        key: str | Iterable[str] = "id",
        scopes: Iterable[str | Iterable[str]] = (),
        indexes: Iterable[Iterable[str]] = (),
        vector_indexes: Iterable[Iterable[str]] = (),
        unindexed: Iterable[str] = (),
        large: Iterable[str] = (),
        commit_time: str | None = None,
        schema_version: int = 1,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        if collection:
            cls.__record__ = RecordSpec(
                collection=collection,
                key=_names(key),
                scopes=tuple(dict.fromkeys(_names(scope) for scope in scopes)),
                indexes=tuple(tuple(index) for index in indexes),
                vector_indexes=tuple(tuple(index) for index in vector_indexes),
                unindexed=frozenset(unindexed) | frozenset(large),
                large=frozenset(large),
                commit_time=commit_time,
                schema_version=schema_version,
            )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        _hasten(cls)
        if hasattr(cls, "__record__"):
            _check_spec(cls, cls.__record__)

    @property
    def key(self) -> str:
        """The id of the record: one field's text, or several, joined so that each can be told."""
        names = spec_of(type(self)).key
        if len(names) == 1 and is_plain_key(value := self.__dict__[names[0]]):
            return value
        return type(self).key_of(*(str(getattr(self, name)) for name in names))

    @property
    def unknown_fields(self) -> Mapping[str, Any]:
        """Stored fields this version does not know; they are written back unchanged."""
        # Asked of every record that is written; by its own name it takes twenty times as long.
        private = self.__pydantic_private__
        return (private and private["_unknown"]) or {}

    def evolve(self, **changes: Any) -> Self:
        """A copy with `changes`, validated as at construction."""
        data = {name: getattr(self, name) for name in type(self).model_fields}
        changed = type(self)(**{**data, **changes})
        changed._unknown = self._unknown
        return changed

    @classmethod
    def key_of(cls, *parts: str) -> str:
        """The id for the key's parts, in the order of the key fields."""
        names = spec_of(cls).key
        if len(parts) != len(names):
            raise InvalidRecord(
                f"{cls.__name__}: the key has {len(names)} parts ({', '.join(names)}), "
                f"{len(parts)} given",
                model=cls.__name__,
                field=names[0],
            )
        for name, part in zip(names, parts, strict=True):
            if not part:
                raise InvalidRecord(
                    f"{cls.__name__}.{name}: an empty id; give a non-empty str",
                    model=cls.__name__,
                    field=name,
                )
        key = parts[0] if len(parts) == 1 else join_key(parts)
        try:
            checked_key(key)
        except ValueError as error:
            raise InvalidRecord(
                f"{cls.__name__}.{names[0]}: {error}", model=cls.__name__, field=names[0]
            ) from None
        return key

    @classmethod
    def key_parts(cls, key: str) -> tuple[str, ...]:
        """The parts an id was made of; the reverse of :meth:`key_of`."""
        return (key,) if len(spec_of(cls).key) == 1 else split_key(key)

    @classmethod
    def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        """Bring a stored document of an older version up to this one.

        Called on read with the stored fields; 0 means that no version was stored. The default
        returns them as they are.
        """
        del from_version
        return data

    @classmethod
    def upgrade_under(cls, key: str, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        """:meth:`upgrade`, for types that need to know the id the document is stored under."""
        del key
        return cls.upgrade(data, from_version)


def _hasten(model: type[BaseModel]) -> None:
    """Spare the records of a type that has no private attributes of its own pydantic's hook."""
    if unwrap(model.model_post_init) in _OF_PRIVATE and len(model.__private_attributes__) == 1:
        model.model_post_init = _nothing_unknown  # type: ignore[method-assign]  # as pydantic does


def _nothing_unknown(self: BaseModel, _: Any, /) -> None:
    """Do what pydantic does for the one private attribute, in a tenth of the time.

    Pydantic goes through all private attributes, and once more for each class between.
    """
    if getattr(self, "__pydantic_private__", None) is None:
        object.__setattr__(self, "__pydantic_private__", {"_unknown": None})


_OF_PRIVATE = (Record.model_post_init, _nothing_unknown)


def spec_of(model: type[Record]) -> RecordSpec:
    """Raises ``ConfigurationError`` for a type that declares no collection."""
    try:
        return model.__record__
    except AttributeError:
        raise ConfigurationError(
            f"{model.__name__} has no collection; declare it: "
            f'class {model.__name__}(Record, collection="...")'
        ) from None


def timed_by_store(record: Record) -> str | None:
    """The field of `record` into which the store is to put the time of the commit, if any."""
    name = spec_of(type(record)).commit_time
    return name if name is not None and getattr(record, name) is None else None


def join_key(parts: Iterable[str]) -> str:
    return "_".join(re.sub(r"[%_/]", lambda match: _ESCAPES[match[0]], part) for part in parts)


def split_key(key: str) -> tuple[str, ...]:
    return tuple(
        re.sub(r"%(?:25|5F|2F)", lambda match: _ESCAPED[match[0]], part) for part in key.split("_")
    )


def is_plain_key(key: object) -> TypeGuard[str]:
    """Whether `key` can be an id beyond doubt, as nearly all are."""
    return type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES


def checked_key(key: object) -> str:
    """`key` if it can be an id; else ``ValueError`` with the remedy."""
    if is_plain_key(key):
        return key
    if not isinstance(key, str):
        raise ValueError(f"an id of type {type(key).__name__}; give a str")  # noqa: TRY004
    if not key:
        raise ValueError("an empty id; give a non-empty str")
    if len(checked_text(key).encode()) > MAX_KEY_BYTES:
        raise ValueError(
            f"an id longer than {MAX_KEY_BYTES} bytes; hash it, and keep it in a field"
        )
    return key


def invalid_record(model: type[BaseModel], error: ValidationError) -> InvalidRecord:
    """What is wrong with the input, without the input."""
    problems = [
        f"{'.'.join(map(str, detail['loc'])) or model.__name__}: {_reason(detail)}"
        for detail in error.errors(include_url=False, include_context=True)
    ]
    first = error.errors(include_url=False, include_context=False)[0]["loc"]
    return InvalidRecord(
        f"{model.__name__}: " + "; ".join(problems),
        model=model.__name__,
        field=str(first[0]) if first else "",
    )


def _reason(detail: Any) -> str:
    reason = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in {"missing", "value_error"}:
        return str(reason)
    if detail["type"] == "string_unicode":
        reason = "text that is not UTF-8; decode it with errors='replace'"
    return f"{reason} (got {type(detail['input']).__name__})"


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _is_ours(model: type[Record]) -> bool:
    return model.__module__.partition(".")[0] == __name__.partition(".")[0]


def _check_spec(model: type[Record], spec: RecordSpec) -> None:
    taken_by_us = spec.collection in RESERVED_COLLECTIONS and not _is_ours(model)
    if taken_by_us or _UNSTORABLE_COLLECTION.fullmatch(spec.collection):
        raise ConfigurationError(
            f"{model.__name__}: the collection {spec.collection!r} is reserved; choose another name"
        )
    fields = set(model.model_fields)
    if taken := fields & RESERVED_FIELDS:
        raise ConfigurationError(
            f"{model.__name__}: the field {min(taken)!r} is reserved; choose another name"
        )
    declared = (*spec.indexes, *spec.vector_indexes)
    indexed = {name.lstrip("-").split(".")[0] for index in declared for name in index}
    timed = () if spec.commit_time is None else (spec.commit_time,)
    named = {*spec.key, *spec.scope_fields, *spec.unindexed, *indexed, *timed}
    if unknown := named - fields:
        raise ConfigurationError(
            f"{model.__name__}: {min(unknown)!r} is named in the class keywords but is no field"
        )
