"""Last known copies of records, for when their store does not answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from ...backends.rows import Row
from ...codec.document import Document, patched
from ...codec.ids import stored_id
from ...errors import ConfigurationError
from ...operations import Delete, Durability, Op, Patch, Put, Receipt, Ref, Revision, Source, Stored
from ...ownership import users_in
from ...queries import Query
from ...record import spec_of
from ...slices import sliced
from .copies import OVERHEAD, of_document, of_read, of_written

MAX_RECORDS: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024
BULK: Final = 100
"""Records of one call up to which new copies are made; of more only those that are here are kept up
to date, so that an import or an export does not push out what an agent works with."""

Place: TypeAlias = tuple[str | None, str, str]
"""Namespace, collection and key of a document."""


SHOWN_RECORDS: Final = 1_000
SHOWN_BYTES: Final = 8 * 1024 * 1024


class Known(NamedTuple):
    """A copy, and how many seconds ago its store was known to hold it. It is not to be changed."""

    row: Row
    age: float


@dataclass(slots=True)
class _Copy:
    """What was last seen of a document; ``document`` is ``None`` if it is not known.

    What has a revision below ``floor`` was replaced by a write of this process, ``changed`` when.
    """

    document: Document | None
    revision: Revision
    floor: Revision
    seen: float
    size: int
    changed: float = -inf

    def lacks(self, revision: Revision) -> bool:
        """Whether a write of this revision is told too late: a later one was put over the copy."""
        return self.revision < revision < self.floor

    def known(self, key: str, now: float) -> Known | None:
        if self.document is None:
            return None
        row = Row(stored_id(key), self.document, self.revision)
        return Known(row, max(0.0, now - self.seen))


class Standby:
    """Remembers records that were read and written, the most recent up to a bound.

    ``max_records`` is 10,000 by default, ``max_bytes`` 64 MiB, as estimated; what was not seen for
    longest goes first. That a record is absent is never remembered. Copies share nothing that can
    change with what callers hold, and are never replaced by older ones. ``clock`` tells seconds.
    """

    def __init__(
        self,
        *,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_records < 1 or max_bytes < 1:
            raise ConfigurationError("a standby's max_records and max_bytes must be at least 1")
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._clock = clock
        self.shown: Shown = Shown()
        self._copies: OrderedDict[Place, _Copy] = OrderedDict()
        self._bytes = 0
        self._moment = 0

    def __repr__(self) -> str:
        return f"<Standby {len(self):,} records, about {self._bytes:,} bytes>"

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def bytes(self) -> int:
        """What the copies take in the process, as estimated."""
        return self._bytes

    @property
    def moment(self) -> int:
        """Rises where documents are forgotten; what is read before that is not to be kept after."""
        return self._moment

    def saw(self, ref: Ref[Any], stored: Stored[Any]) -> None:
        """Keep a copy of what the store or its cache answered, unless a newer one is here."""
        self._saw(_place_of(ref), stored, brings_in=True)

    def saw_read(
        self,
        refs: Sequence[Ref[Any]],
        items: Sequence[Stored[Any] | None],
        *,
        as_of: Revision | None,
        began: int,
    ) -> None:
        """The same of a whole read, and forget what is absent, unless written after `as_of`.

        ``began`` is the `moment` at which it was asked: a slow answer may be older than a write of
        which nothing is kept.
        """
        brings_in = began == self._moment and len(refs) <= BULK
        for ref, stored in zip(refs, items, strict=True):
            place = _place_of(ref)
            if stored is not None:
                self._saw(place, stored, brings_in=brings_in)
            elif (copy := self._copies.get(place)) and (as_of is None or copy.floor <= as_of):
                self._lose(place, copy.floor)

    def saw_page(self, query: Query[Any], items: Sequence[Stored[Any]], *, began: int) -> None:
        """The same of a page of a query."""
        brings_in = began == self._moment and len(items) <= BULK
        namespace, collection = query.namespace, query.spec.collection
        for stored in items:
            place = (namespace, collection, stored.record.key)
            self._saw(place, stored, brings_in=brings_in)

    def _saw(self, place: Place, stored: Stored[Any], *, brings_in: bool) -> None:
        if stored.source is not Source.PRIMARY and stored.source is not Source.CACHE:
            return
        copy, revision = self._copies.get(place), stored.revision
        seen = self._clock() - stored.age
        if copy is not None and revision == copy.floor == copy.revision:
            if copy.document is not None:
                copy.seen = max(copy.seen, seen)
                self._copies.move_to_end(place)
        elif brings_in if copy is None else revision >= copy.floor:
            document, size = of_read(stored.record)
            self._enter(place, _Copy(document, revision, revision, seen, size))

    def wrote(self, ops: Sequence[Op], receipt: Receipt) -> None:
        """Bring the copies to what a committed write made of them, as far as that can be told."""
        for _ in self._following(ops, receipt, brings_in=len(ops) <= BULK):
            pass

    async def wrote_all(self, ops: Sequence[Op], receipt: Receipt) -> None:
        """The same, and have copies of all of it, however much; with pauses for others."""
        async for _ in sliced(self._following(ops, receipt, brings_in=True)):
            pass

    def _following(self, ops: Sequence[Op], receipt: Receipt, *, brings_in: bool) -> Iterator[None]:
        """Take the operations of a write into account, one a step."""
        if receipt.durability is not Durability.COMMITTED or len(receipt.revisions) != len(ops):
            self.forget(op.ref for op in ops)
            return
        made: set[Place] = set()
        for op, revision in zip(ops, receipt.revisions, strict=True):
            place = _place_of(op.ref)
            before = self._copies.get(place)
            if before is None and not brings_in:
                self._moment += 1
            elif isinstance(op, Delete):
                self._deleted(place, receipt.version)
            elif revision is None:
                # A later operation of the same write deletes it.
                self._forget(place)
            elif isinstance(op, Put):
                self._put(place, op, revision)
            else:
                self._patched(place, op, revision, goes_on=place in made)
            if self._copies.get(place) is not before:
                made.add(place)
            yield

    def _put(self, place: Place, put: Put, revision: Revision) -> None:
        copy = self._copies.get(place)
        if copy is None or copy.floor <= revision:
            document, size = of_written(put.record)
            self._enter(place, _Copy(document, revision, revision, self._clock(), size))
        elif copy.lacks(revision):
            self._lose(place, copy.floor)

    def _patched(self, place: Place, patch: Patch, revision: Revision, *, goes_on: bool) -> None:
        copy = self._copies.get(place)
        if copy is None or copy.document is None or copy.lacks(revision):
            self._lose(place, revision if copy is None else max(revision, copy.floor))
        elif copy.revision < revision or goes_on:
            # Others may have written in between: then what is here is not what has this revision.
            is_exact = copy.revision in (patch.expect, revision)
            kept = revision if is_exact else copy.revision
            document, size = of_document(patched(copy.document, patch))
            floor, now = max(kept, revision), self._clock()
            self._enter(place, _Copy(document, kept, floor, copy.seen, size, now))

    def _deleted(self, place: Place, version: Revision | None) -> None:
        copy = self._copies.get(place)
        if version is None:
            self._forget(place)
        elif copy is None or copy.floor <= version:
            self._lose(place, version)
        elif copy.lacks(version):
            self._lose(place, copy.floor)

    def forget(self, refs: Iterable[Ref[Any]]) -> None:
        """Know nothing of these records any more, as where a write to them is in doubt."""
        for ref in refs:
            self._forget(_place_of(ref))

    def forget_user(self, user_id: str, namespace: str | None) -> int:
        """Know nothing of what is a user's any more; how many copies are gone."""
        places = [
            place
            for place, copy in self._copies.items()
            if place[0] == namespace and copy.document and user_id in users_in(copy.document)
        ]
        for place in places:
            self._forget(place)
        self.shown.forget_user(user_id, namespace)
        return len(places)

    def _forget(self, place: Place) -> None:
        self._moment += 1
        self._drop(place)

    def _lose(self, place: Place, floor: Revision) -> None:
        """Know nothing of a document, but refuse what is older: answers may still come late."""
        self._enter(place, _Copy(None, floor, floor, self._clock(), OVERHEAD))

    def get(self, ref: Ref[Any]) -> Known | None:
        """The last known copy, be it expired or not; ``None`` if nothing is known."""
        copy = self._copies.get(_place_of(ref))
        return None if copy is None else copy.known(ref.key, self._clock())

    def latest(self, ref: Ref[Any]) -> tuple[Revision, float]:
        """Up to which revision a copy may be, and for how many seconds it has not been changed."""
        copy = self._copies.get(_place_of(ref))
        if copy is None:
            return 0, inf
        return copy.floor, max(0.0, self._clock() - max(copy.seen, copy.changed))

    def collection(self, name: str, namespace: str | None) -> dict[str, Known]:
        """The last known copies of a collection, by key."""
        now = self._clock()
        return {
            place[2]: known
            for place, copy in self._copies.items()
            if place[1] == name and place[0] == namespace and (known := copy.known(place[2], now))
        }

    def _enter(self, place: Place, copy: _Copy) -> None:
        replaced = self._copies.pop(place, None)
        self._bytes += copy.size - (0 if replaced is None else replaced.size)
        self._copies[place] = copy
        if copy.size > self._max_bytes:
            self._drop(place)
        while len(self._copies) > self._max_records or self._bytes > self._max_bytes:
            _, oldest = self._copies.popitem(last=False)
            self._bytes -= oldest.size

    def _drop(self, place: Place) -> None:
        copy = self._copies.pop(place, None)
        if copy is not None:
            self._bytes -= copy.size


class Shown:
    """Records as they were shown with writes that wait over them, until they are shown otherwise.

    A caller that puts a record back expects the provisional revision that it was shown with: what
    it began with is then known, whatever has become of the copies. Of 1,000 records at most, and
    about 8 MiB; what was shown longest ago goes first.
    """

    def __init__(self) -> None:
        self._documents: OrderedDict[Place, tuple[Revision, Document, int]] = OrderedDict()
        self._bytes = 0

    def keep(self, ref: Ref[Any], stored: Stored[Any]) -> None:
        """Remember what a caller is shown; of it, nothing that the caller can change."""
        place, (document, size) = _place_of(ref), of_read(stored.record)
        self._drop(place)
        self._documents[place] = (stored.revision, document, size)
        self._bytes += size
        while len(self._documents) > SHOWN_RECORDS or self._bytes > SHOWN_BYTES:
            self._drop(next(iter(self._documents)))

    def get(self, ref: Ref[Any], revision: Revision) -> Document | None:
        """The document that was shown with this revision. It is not to be changed."""
        known = self._documents.get(_place_of(ref))
        return known[1] if known is not None and known[0] == revision else None

    def forget_user(self, user_id: str, namespace: str | None) -> None:
        """Remember nothing of what is a user's."""
        for place, (_, document, _) in [*self._documents.items()]:
            if place[0] == namespace and user_id in users_in(document):
                self._drop(place)

    def _drop(self, place: Place) -> None:
        if (known := self._documents.pop(place, None)) is not None:
            self._bytes -= known[2]


def _place_of(ref: Ref[Any]) -> Place:
    return ref.namespace, spec_of(ref.model).collection, ref.key
