"""What is in the store at the end, beside what the ledger says: each acknowledged write, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from orchestra_memory import MemoryManager, Query, Record
from orchestra_memory.layers.fallback.conflicts import Conflicted

from .ledger import Attempt, Ledger
from .records import RECORDS, Chapter, Fact, Half, Line, State, Tally


@dataclass(frozen=True)
class Lost:
    """A version that lost a conflict: how, and the document or the operation as text.

    ``revision`` is the store's at that time, in microseconds of its clock.
    """

    how: str
    text: str
    revision: int | None = None


@dataclass
class Contents:
    """All records by type and id; ``aside`` are the texts of conflicts and dead letters."""

    records: dict[type[Record], dict[str, Any]] = field(
        default_factory=lambda: {model: {} for model in RECORDS}
    )
    aside: list[str] = field(default_factory=list[str])
    lost: list[Lost] = field(default_factory=list[Lost])
    imports: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """From when to when, on the store's clock, it gave its documents new revisions, unwritten."""

    def is_aside(self, attempt: Attempt) -> bool:
        """Whether it was kept as a losing version, or as what could not be applied."""
        return any(f'"{attempt.id}"' in text for text in self.aside)

    def is_imported(self, lost: Lost) -> bool:
        """Whether the revision that was found there is from no write at all."""
        revision = lost.revision
        return revision is not None and any(a <= revision <= b for a, b in self.imports)


async def contents_of(
    store: MemoryManager, aside: Iterable[str], imports: Iterable[tuple[int, int]]
) -> Contents:
    contents = Contents(aside=list(aside), imports=list(imports))
    async for each in store.scan(Query(Conflicted)):
        contents.lost.append(Lost(f"{each.side} {each.reason}", each.document, each.revision))
        contents.aside.append(f"{each.side} version {each.reason}: {each.document}")
    for model in RECORDS:
        async for record in store.scan(Query(model, page_size=1_000)):
            contents.records[model][record.key] = record
    return contents


def audit(ledger: Ledger, contents: Contents) -> list[str]:
    """What is wrong, a line for each; empty if every acknowledgement was kept."""
    found = Found(ledger, contents)
    return [
        *found.unexplained(),
        *found.made_once(Fact, "fact"),
        *found.made_once(Line, "line"),
        *found.collected(Tally, "tally"),
        *found.collected(Chapter, "chapter"),
        *found.counted(),
        *found.in_order(),
        *found.states(),
        *found.pairs(),
    ]


class Found:
    """Compares one kind after another."""

    def __init__(self, ledger: Ledger, contents: Contents) -> None:
        self._ledger = ledger
        self._contents = contents
        self._records = contents.records

    def unexplained(self) -> Iterator[str]:
        """Conflicts where nobody else wrote: another task, or another life of the same one.

        Those with a revision that an import gave are told apart: no other store gives such.
        """
        lost = [
            (each, named)
            for each in self._contents.lost
            if (named := [*_names(json.loads(each.text), self._ledger)])
        ]
        # What builds on a write that was refused is refused as well.
        refused = {max(named, key=_order) for each, named in lost if each.how == "local refused"}
        for each, named in lost:
            attempt = self._ledger.attempts[named[-1]]
            own = self._ledger.attempts[max(named, key=_order)]
            if attempt.id not in refused and not self._has_others(attempt, own.life):
                what = "imported" if self._contents.is_imported(each) else "conflict"
                yield f"{what}: {each.how}, of {attempt.kind} {attempt.key}: {attempt.id}"

    def _has_others(self, attempt: Attempt, life: int) -> bool:
        """Whether somebody who could not know of a write came next, or nobody was told of it."""
        same = [each for each in self._of(attempt.kind) if each.key == attempt.key]
        # What a patch leaves that was sent without a precondition, its process does not know.
        is_blind = attempt.how == "patch" and attempt.durability == "committed"
        if is_blind or not attempt.acknowledged:
            return True
        if any(_task(each.id) != _task(attempt.id) for each in same):
            return True
        if self._ledger.shared and any(each.life != attempt.life for each in same):
            return True
        before, after = same[: (place := same.index(attempt))], same[place + 1 :]
        until = next((n + 1 for n, each in enumerate(after) if each.acknowledged), len(after))
        near = [*before[-1:], *after[:until]]
        return any(each.life != life or not each.acknowledged for each in near)

    def made_once(self, model: type[Record], kind: str) -> Iterator[str]:
        """Records that one operation made, and none changed."""
        records = self._records[model]
        for attempt in self._of(kind):
            record = records.get(attempt.key)
            if record is None:
                yield from self._missed(attempt)
            elif record.by != attempt.id:
                yield f"wrong: {kind} {attempt.key} is by {record.by}, not {attempt.id}"
            elif attempt.refused:
                yield f"undone: {attempt.id} was refused, and is there"

    def collected(self, model: type[Record], kind: str) -> Iterator[str]:
        """Records that hold the ids of the operations that changed them."""
        records = self._records[model]
        for attempt in self._of(kind):
            record = records.get(attempt.key)
            if record is None or attempt.id not in record.ops:
                yield from self._missed(attempt)
            elif attempt.refused:
                yield f"undone: {attempt.id} was refused, and is in {kind} {attempt.key}"
        for key, record in records.items():
            twice = [each for each, times in Counter(record.ops).items() if times > 1]
            if twice:
                yield f"twice: {twice[:3]} in {kind} {key}"

    def counted(self) -> Iterator[str]:
        for key, tally in self._records[Tally].items():
            if tally.count != len(tally.ops):
                what = "twice" if tally.count > len(tally.ops) else "lost"
                yield f"{what}: tally {key} is {tally.count}, by {len(tally.ops)} operations"

    def in_order(self) -> Iterator[str]:
        """The operations of one task, one after another."""
        for key, chapter in self._records[Chapter].items():
            order = [_order(name) for name in chapter.ops]
            if any(a > b for a, b in pairwise(order)):
                yield f"order: chapter {key} is {chapter.ops}"

    def states(self) -> Iterator[str]:
        states = self._records[State]
        for kind, key in self._ledger.tracks:
            if kind == "state":
                state = states.get(key)
                yield from self._stands(kind, key, state and state.seq)

    def pairs(self) -> Iterator[str]:
        halves = self._records[Half]
        for kind, key in self._ledger.tracks:
            if kind != "pair":
                continue
            left, right = (halves.get(f"{key}.{side}") for side in "lr")
            if (left and left.by) != (right and right.by):
                yield f"torn pair: {key} is by {left and left.by} and {right and right.by}"
            yield from self._stands(kind, key, left and left.seq)

    def _stands(self, kind: str, key: str, seen: int | None) -> Iterator[str]:
        track = self._ledger.tracks[kind, key]
        wrong, last = track.verdict(seen), track.last
        # What came after it may have been applied, too, and have taken its place.
        newest = (*track.doubtful, *([last] if last else []))
        if wrong is None or any(map(self._contents.is_aside, newest)):
            return
        # Of a deletion nothing is left that a put could find there.
        is_deletion = last is not None and last.seen is None
        if not (is_deletion and self._ledger.is_late(kind, key, seen)):
            yield f"lost: {key} is {wrong}, after {last and last.id}"

    def _missed(self, attempt: Attempt) -> Iterator[str]:
        if attempt.acknowledged and not self._contents.is_aside(attempt):
            how = attempt.durability or "acknowledged"
            yield f"lost: {attempt.kind} {attempt.id} of {attempt.key}, {how}"

    def _of(self, kind: str) -> Sequence[Attempt]:
        return [each for each in self._ledger.attempts.values() if each.kind == kind]


def _names(value: Any, ledger: Ledger) -> Iterator[str]:
    """The ids of attempts in a document, in their order."""
    if isinstance(value, str):
        if value in ledger.attempts:
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _names(each, ledger)
    elif isinstance(value, list):
        for each in value:
            yield from _names(each, ledger)


def _task(name: str) -> str:
    slot, task, *_ = name.split("-")
    return f"{slot}-{task}"


def _order(name: str) -> tuple[int, int]:
    """The life and the number of an operation."""
    *_, life, number = name.split("-")
    return int(life), int(number)
