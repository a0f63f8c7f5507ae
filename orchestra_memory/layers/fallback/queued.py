"""Writes that wait for their store, found by document and in the order of their replay."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ...codec.operations import Basis
from ...operations import Op, Ref, Revision
from ...record import Record
from ...resilience.journal import DocumentKey, Entry

PROVISIONAL: Final = 1 << 62
"""Added to an entry's number, this is the revision its document shows until it is committed."""

Scope: TypeAlias = tuple[str | None, str]
"""Namespace and collection."""
Place: TypeAlias = tuple[int, int]
"""Time and number: entries of several journals may be mixed, and time rises within each."""
_SLACK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Queued:
    """A write that waits for replay.

    ``id`` tells it from every other write of every process; ``number`` only while its queue is
    open. ``at`` is when it was queued, in microseconds since 1970 by this machine's clock.
    ``commit`` is the id of the commit it goes into, and of that commit's marker; what shares one is
    committed together. ``size`` is that of its body there, in bytes. ``since`` is when it became
    known here, on the monotonic clock.
    """

    id: str
    number: int
    op: Op = field(repr=False)
    basis: Basis = field(repr=False)
    at: int
    commit: str | None
    size: int = field(default=0, compare=False)
    since: float = field(default_factory=time.monotonic, repr=False, compare=False)
    document: DocumentKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "document", document_of(self.op.ref))

    @property
    def place(self) -> Place:
        """Where it is in the order of replay."""
        return self.at, self.number

    @property
    def revision(self) -> Revision:
        """The revision its document shows until it is committed."""
        return PROVISIONAL + self.number


def document_of(ref: Ref[Any]) -> DocumentKey:
    return DocumentKey(ref.namespace, ref.collection, ref.key)


class Index:
    """Every queued write, by number, document and collection; each in the order of replay."""

    def __init__(self) -> None:
        self._by_number: dict[int, Queued] = {}
        self._by_document: dict[DocumentKey, dict[int, Queued]] = {}
        self._by_scope: dict[Scope, dict[DocumentKey, None]] = {}
        self._places: list[Place] = []
        self._mixed: set[DocumentKey] = set()

    def __len__(self) -> int:
        return len(self._by_number)

    def __contains__(self, number: object) -> bool:
        return number in self._by_number

    def get(self, number: int) -> Queued | None:
        return self._by_number.get(number)

    def add(self, item: Queued) -> None:
        """Take in a write, unless it is here; an older one is put before younger ones."""
        if item.number in self._by_number:
            return
        document = item.document
        mine = self._by_document.setdefault(document, {})
        if _is_older(item, than=mine):
            self._mixed.add(document)
        self._put_in_place(item.place)
        self._by_number[item.number] = item
        mine[item.number] = item
        self._by_scope.setdefault(document[:2], {})[document] = None

    def _put_in_place(self, place: Place) -> None:
        if not self._places or place > self._places[-1]:
            self._places.append(place)
        elif self._places[n := bisect_left(self._places, place)] != place:
            self._places.insert(n, place)

    def replace(self, items: Iterable[Queued]) -> None:
        """Put these in the place of those of the same numbers that are here."""
        for item in items:
            if item.number in self._by_number:
                self._by_number[item.number] = item
                self._by_document[item.document][item.number] = item

    def discard(self, number: int) -> None:
        item = self._by_number.pop(number, None)
        if item is not None:
            self._forget(item.document, number)
        if len(self._places) > 2 * len(self) + _SLACK:
            self._places = [place for place in self._places if place[1] in self._by_number]

    def _forget(self, document: DocumentKey, number: int) -> None:
        mine = self._by_document[document]
        del mine[number]
        if not mine:
            del self._by_document[document]
            self._mixed.discard(document)
            scope = self._by_scope[document[:2]]
            del scope[document]
            if not scope:
                del self._by_scope[document[:2]]

    def of(self, document: DocumentKey) -> Sequence[Queued]:
        mine = self._by_document.get(document)
        if mine is None:
            return ()
        if document in self._mixed:
            mine = self._by_document[document] = _in_order(mine)
            self._mixed.discard(document)
        return (*mine.values(),)

    def refs(self, collection: str, namespace: str | None) -> list[Ref[Record]]:
        """Documents of a collection that writes wait for, each by the ref of one of them."""
        documents = self._by_scope.get((namespace, collection), {})
        return [next(reversed(self._by_document[each].values())).op.ref for each in documents]

    def holds_any(self, collection: str, namespace: str | None) -> bool:
        return (namespace, collection) in self._by_scope

    def in_order(self) -> list[Queued]:
        found = self._by_number
        return [found[number] for _, number in self._places if number in found]


class Unknown:
    """Entries that wait and cannot be made operations here, and why."""

    def __init__(self) -> None:
        self.documents: Counter[DocumentKey] = Counter()
        """How many there are for each document, where there are any."""
        self._held: dict[int, tuple[Entry, str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, entry: Entry, why: str) -> None:
        self.discard(entry.number)
        self._held[entry.number] = entry, why
        self.documents[entry.document] += 1

    def discard(self, number: int) -> None:
        entry, _ = self._held.pop(number, (None, ""))
        if entry is not None:
            self.documents[entry.document] -= 1
            if not self.documents[entry.document]:
                del self.documents[entry.document]

    def entries(self) -> list[Entry]:
        return [entry for entry, _ in self._held.values()]

    def reasons(self) -> Mapping[str, int]:
        return Counter(why for _, why in self._held.values())


def _is_older(item: Queued, *, than: dict[int, Queued]) -> bool:
    last = next(reversed(than.values()), None)
    return last is not None and item.place < last.place


def _in_order(items: dict[int, Queued]) -> dict[int, Queued]:
    return {item.number: item for item in sorted(items.values(), key=lambda item: item.place)}
