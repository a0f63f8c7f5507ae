"""How much a journal takes, and what it holds: decided and counted in plain functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from ...errors import ConfigurationError, JournalFull
from .entries import DocumentKey, Row

WARN_AT: Final = 0.8
"""The share of a bound from which hooks are told: there is time left to act."""
CALM_AT: Final = 0.7
"""The share below which the next warning counts as new, so that one outage does not bring many."""
_SLACK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a journal takes before it is full.

    ``max_bytes`` (64 MiB) and ``max_entries`` (50,000) bound the file and the time it takes to
    replay it. ``max_age`` is how many seconds (7 days) the oldest entry may wait: what tells that a
    write has been replayed already is not kept for ever. Dead letters count, but for their age.

    Raises ``ConfigurationError`` for what is not above zero.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_entries: int = 50_000
    max_age: float = 7 * 86_400.0

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_entries", "max_age"):
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigurationError(
                    f"Bounds.{name} must be a number above zero (got {type(value).__name__})"
                )


class Held(NamedTuple):
    """An entry without its body; ``at`` in microseconds, ``size`` in bytes."""

    number: int
    id: str
    document: DocumentKey
    at: int
    size: int


def held_of(row: Row) -> Held:
    return Held(row.number, row.id, row.document, row.at, row.size)


class Ledger:
    """All entries of a journal, and those on their way into it, but for their bodies."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.bytes: int = 0
        self.latest: int = 0
        self.ids: set[str] = set()
        self.dead: set[int] = set()
        self.damaged: set[int] = set()
        self._held: dict[int, Held] = {}
        self._by_document: dict[DocumentKey, set[int]] = {}
        self._ages: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, number: int) -> Held:
        return self._held[number]

    def get(self, number: int) -> Held | None:
        return self._held.get(number)

    def __contains__(self, number: object) -> bool:
        return number in self._held

    def admit(self, held: Sequence[Held], now: int) -> float:
        """Add entries, all or none, and tell how full it is then: see `share`.

        Raises ``JournalFull`` if they are more than fit.
        """
        size = 0
        for each in held:
            size += each.size
        share = self._share(len(held), size, now)
        if share > 1:
            raise self._refusal(len(held), size)
        for each in held:
            self.add(each)
        return share

    def _refusal(self, entries: int, size: int) -> JournalFull:
        bounds = self.bounds
        if len(self) + entries > bounds.max_entries:
            return _full(f"it would hold more than {bounds.max_entries:,} entries", "max_entries")
        if self.bytes + size > bounds.max_bytes:
            return _full(f"it would hold more than {bounds.max_bytes:,} bytes", "max_bytes")
        return _full(f"an entry has waited for more than {bounds.max_age:g} s", "max_age")

    def fits(self, rows: Sequence[Row]) -> bool:
        """Whether there is room for what another journal holds. An empty one takes any."""
        bounds = self.bounds
        entries = len(self) + len(rows)
        size = self.bytes + sum(row.size for row in rows)
        return not self or (entries <= bounds.max_entries and size <= bounds.max_bytes)

    def share(self, now: int) -> float:
        """How full it is, by the bound that is nearest; 1 and more is full."""
        return self._share(0, 0, now)

    def _share(self, more: int, size: int, now: int) -> float:
        """The share with so many more entries, of so many bytes in all."""
        bounds, oldest = self.bounds, self.oldest()
        waited = 0 if oldest is None else now - oldest
        return max(
            (len(self._held) + more) / bounds.max_entries,
            (self.bytes + size) / bounds.max_bytes,
            waited / (bounds.max_age * 1_000_000),
        )

    def time(self, now: int) -> int:
        """The time of the next entry, whatever the clock says: never less than that of the last."""
        return max(self.latest, now)

    def add(self, held: Held, *, dead: bool = False) -> None:
        number, entry_id, _, at, size = held
        self._held[number] = held
        self.ids.add(entry_id)
        self.bytes += size
        self.latest = max(self.latest, at)
        if dead:
            self.dead.add(number)
        else:
            self._wait(held)

    def remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            held = self._held.pop(number, None)
            if held is not None:
                self._wait_no_more(held)
                self.ids.discard(held.id)
                self.bytes -= held.size
                self.dead.discard(number)
                self.damaged.discard(number)

    def bury(self, number: int) -> None:
        """It becomes a dead letter."""
        if number in self:
            self._wait_no_more(self[number])
            self.damaged.discard(number)
            self.dead.add(number)

    def revive(self, number: int) -> None:
        """It is a dead letter no longer."""
        if number in self.dead:
            self.dead.remove(number)
            self._wait(self[number])

    def damage(self, number: int) -> None:
        """It cannot be read."""
        if number in self:
            self._wait_no_more(self[number])
            self.dead.discard(number)
            self.damaged.add(number)

    def waits(self, number: int) -> bool:
        """Whether an entry is here, and waits for replay."""
        return number in self._held and number not in self.dead and number not in self.damaged

    def waiting(self) -> list[int]:
        """Entries that wait for replay, as they came; `place` tells how to order them."""
        return [number for number in self._held if self.waits(number)]

    def waiting_for(self, document: DocumentKey) -> list[int]:
        """Those for one document, in the order to replay them in."""
        return sorted(self._by_document.get(document, ()), key=self.place)

    def place(self, number: int) -> tuple[int, int]:
        """An entry's place in the order of replay; one that has gone meanwhile comes first."""
        # By time, as entries of several journals may be mixed; within each of them, time and
        # number rise together.
        held = self._held.get(number)
        return (held.at if held else 0, number)

    def holds(self, document: DocumentKey) -> bool:
        """Whether any entry waits for this document."""
        return document in self._by_document

    def oldest(self) -> int | None:
        """When the entry that waits longest was appended, in microseconds."""
        while self._ages and not self.waits(self._ages[0][1]):
            heappop(self._ages)
        return self._ages[0][0] if self._ages else None

    def _wait(self, held: Held) -> None:
        number, _, document, at, _ = held
        numbers = self._by_document.get(document)
        if numbers is None:
            self._by_document[document] = {number}
        else:
            numbers.add(number)
        heappush(self._ages, (at, number))
        if len(self._ages) > 2 * len(self._held) + _SLACK:
            # One entry that waits for long would keep all that were settled behind it.
            self._ages = [*{each for each in self._ages if self.waits(each[1])}]
            heapify(self._ages)

    def _wait_no_more(self, held: Held) -> None:
        numbers = self._by_document.get(held.document, set())
        numbers.discard(held.number)
        if not numbers:
            self._by_document.pop(held.document, None)


def _full(what: str, bound: str) -> JournalFull:
    return JournalFull(
        f"the journal is full ({bound}): {what}; nothing was written. What it keeps has to be "
        "replayed, or given up, first",
        operation="journal",
    )
