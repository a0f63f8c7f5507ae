"""Operations and answers: the values that go down to a store and come back up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum, StrEnum
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

from .errors import CorruptRecord, InvalidQuery
from .fieldpaths import checked_patch
from .record import Record, checked_key, is_plain_key, spec_of
from .values import checked_text

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

Revision: TypeAlias = int
"""Rises with every change of a store and is never used again; microseconds on Firestore."""

_UNUSABLE_NAMESPACE = re.compile(r"\.\.?|__.*__|.*/.*", re.DOTALL)
MAX_NAMESPACE_BYTES = 1_500


class Presence(Enum):
    """Whether a record is stored."""

    ABSENT = "absent"
    PRESENT = "present"


ABSENT: Final = Presence.ABSENT
"""Precondition: no such record may exist; an expired one counts as none."""
PRESENT: Final = Presence.PRESENT
"""Precondition: the record must exist."""

Expect: TypeAlias = Presence | Revision | None


class Durability(StrEnum):
    """How safely a write is kept, weakest first."""

    VOLATILE = "volatile"
    JOURNALED = "journaled"
    COMMITTED = "committed"


class Source(StrEnum):
    """Who answered a read."""

    PRIMARY = "primary"
    CACHE = "cache"
    JOURNAL = "journal"
    MEMORY = "memory"


def _setters(kind: type[Any]) -> Iterator[Callable[[Any, object], None]]:
    """What sets the fields of a frozen class with slots.

    The way that `dataclass` has for it takes twice the time, and these are made by the hundred.
    """
    return (vars(kind)[each.name].__set__ for each in fields(kind))


@dataclass(frozen=True, slots=True, init=False)
class Ref(Generic[R_co]):
    """Which record: its type, its id and, where there are tenants, its namespace."""

    model: type[R_co]
    key: str
    namespace: str | None = None

    def __init__(self, model: type[R_co], key: str, namespace: str | None = None) -> None:
        _put_model(self, model)
        _put_key(self, key)
        _put_namespace(self, namespace)
        spec_of(model)
        if not is_plain_key(key):
            self._check_key()
        if namespace is not None:
            checked_namespace(namespace)

    def _check_key(self) -> None:
        try:
            checked_key(self.key)
        except ValueError as error:
            raise InvalidQuery(f"{self.model.__name__}: {error}", field="key") from None

    @property
    def collection(self) -> str:
        return spec_of(self.model).collection


_put_model, _put_key, _put_namespace = _setters(Ref)


def checked_namespace(namespace: str | None) -> str | None:
    if namespace is None:
        return None
    if (
        not namespace
        or _UNUSABLE_NAMESPACE.fullmatch(namespace)
        or len(checked_text(namespace).encode()) > MAX_NAMESPACE_BYTES
    ):
        raise InvalidQuery(
            "a namespace must be 1 to 1,500 bytes without '/', and not '.', '..' or '__x__'",
            field="namespace",
        )
    return namespace


@dataclass(frozen=True, slots=True)
class Put:
    """Store the whole record, over whatever was there unless `expect` says otherwise."""

    record: Record
    expect: Expect = None
    namespace: str | None = None
    ref: Ref[Record] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ref = Ref(type(self.record), self.record.key, self.namespace)
        object.__setattr__(self, "ref", ref)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change single fields without reading. Paths are ``"field"`` or ``"map_field.name"``.

    ``set`` assigns, ``increment`` adds to a number, ``add`` and ``remove`` treat a list as a set,
    ``unset`` returns a field to its default or removes a map's entry. The record must exist, unless
    `or_create` gives what to patch when it does not. Keys, scopes, ``large`` fields and the
    expiration of a type that has such fields do not change by patch.

    Raises ``InvalidRecord`` at construction, naming the field.
    """

    ref: Ref[Record]
    set: Mapping[str, Any] = field(default_factory=dict[str, Any])
    increment: Mapping[str, float] = field(default_factory=dict[str, float])
    add: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    remove: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    unset: Sequence[str] = ()
    expect: Presence | Revision = PRESENT
    or_create: Record | None = None

    def __post_init__(self) -> None:
        for name, value in checked_patch(self.ref.model, self).items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the record. Deleting the absent succeeds, unless `expect` says otherwise."""

    ref: Ref[Record]
    expect: Expect = None


Op: TypeAlias = Put | Patch | Delete


CacheMode: TypeAlias = Literal["use", "refresh", "bypass", "only"]
CorruptMode: TypeAlias = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class Options:
    """How one call is made; ``None`` leaves it to the layer.

    ``timeout`` is the whole call's deadline in seconds. ``atomic=False`` lets a write go in chunks.
    ``max_age`` in seconds refuses older copies in an outage. ``min_durability`` refuses weaker
    acknowledgements. ``corrupt="skip"`` has ``find`` and ``scan`` leave out, and name in
    ``Page.corrupt``, what does not fit its record type; by default they raise ``CorruptRecord``.
    ``exactly_once=False`` spares increments behind an outage fallback the marker, one more document
    written, by which it is found out whether a write was applied whose answer was lost; such a
    write raises ``Unavailable(ambiguous=True)`` then.
    """

    timeout: float | None = None
    cache: CacheMode | None = None
    max_age: float | None = None
    min_durability: Durability | None = None
    atomic: bool | None = None
    corrupt: CorruptMode | None = None
    exactly_once: bool | None = None

    def over(self, other: Options) -> Options:
        """`other`, with what is set here in its place."""
        own = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return replace(other, **own) if own else other


DEFAULT: Final = Options()


@dataclass(frozen=True, slots=True)
class Billed:
    """Operations a provider bills: document reads, writes and deletes."""

    reads: int = 0
    writes: int = 0
    deletes: int = 0

    def __add__(self, other: Billed) -> Billed:
        return Billed(
            self.reads + other.reads, self.writes + other.writes, self.deletes + other.deletes
        )

    def __sub__(self, other: Billed) -> Billed:
        return Billed(
            self.reads - other.reads, self.writes - other.writes, self.deletes - other.deletes
        )


FREE: Final = Billed()


Invalidation: TypeAlias = Literal["none", "done", "pending"]
"""What a write did to the cache: nothing, told it, or could not reach it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a write.

    ``count`` operations were applied. ``revisions`` follow them, ``None`` for deletes; of what came
    from an iterator they are not kept, and empty. ``version`` is the commit's own time on the
    store's clock.
    """

    revisions: tuple[Revision | None, ...]
    version: Revision | None
    durability: Durability = Durability.COMMITTED
    cache_invalidation: Invalidation = "none"
    billed: Billed = FREE
    count: int = -1

    def __post_init__(self) -> None:
        if self.count < 0:
            object.__setattr__(self, "count", len(self.revisions))


@dataclass(frozen=True, slots=True, init=False)
class Stored(Generic[R_co]):
    """A record as a store holds it; ``age`` is how old the answer is, in seconds.

    ``distance`` is set by a nearest-neighbour query only.
    """

    record: R_co
    revision: Revision
    source: Source = Source.PRIMARY
    age: float = 0.0
    distance: float | None = None

    def __init__(
        self,
        record: R_co,
        revision: Revision,
        source: Source = Source.PRIMARY,
        age: float = 0.0,
        distance: float | None = None,
    ) -> None:
        _put_record(self, record)
        _put_revision(self, revision)
        _put_source(self, source)
        _put_age(self, age)
        _put_distance(self, distance)


_put_record, _put_revision, _put_source, _put_age, _put_distance = _setters(Stored)


@dataclass(frozen=True, slots=True)
class Snapshot(Sequence[Stored[R_co] | None]):
    """Answers in the order asked, ``None`` for what is absent.

    ``as_of`` is the store's time at which all of it holds, ``None`` if the store did not say: then
    only what is present can be kept elsewhere, by its revision.
    """

    items: tuple[Stored[R_co] | None, ...]
    as_of: Revision | None = None
    billed: Billed = FREE

    @overload
    def __getitem__(self, index: int) -> Stored[R_co] | None: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Stored[R_co] | None, ...]: ...
    def __getitem__(
        self, index: int | slice
    ) -> Stored[R_co] | None | tuple[Stored[R_co] | None, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[Stored[R_co] | None]:
        # What a sequence has of itself asks for one place after another, and beyond the last.
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def records(self) -> list[R_co | None]:
        return [None if item is None else item.record for item in self.items]


@dataclass(frozen=True, slots=True)
class Page(Generic[R_co]):
    """One page of a query. ``cursor`` fetches the next one; ``None`` after the last.

    ``complete`` is false only when an outage may hide items. ``corrupt`` is what
    ``Options(corrupt="skip")`` left out; it counts towards ``page_size`` and ``limit``, so that
    a page may hold few items, or none, although others follow.
    """

    items: tuple[Stored[R_co], ...]
    cursor: str | None = None
    complete: bool = True
    source: Source = Source.PRIMARY
    as_of: Revision | None = None
    billed: Billed = FREE
    corrupt: tuple[CorruptRecord, ...] = ()

    @property
    def records(self) -> list[R_co]:
        return [item.record for item in self.items]


@dataclass(frozen=True, slots=True)
class Count:
    """How many records match."""

    name: str = "count"


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a field's numbers; 0 where there are none."""

    name: str
    of: str


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of a field's numbers; ``None`` where there are none."""

    name: str
    of: str


Measure: TypeAlias = Count | Sum | Average


@dataclass(frozen=True, slots=True)
class Totals(Mapping[str, float | None]):
    """Measures by their names."""

    values_by_name: Mapping[str, float | None]
    as_of: Revision | None = None
    billed: Billed = FREE

    def __getitem__(self, name: str) -> float | None:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)
