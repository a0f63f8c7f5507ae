"""What processes did and saw, by one clock, checked in the order of the store's versions.

Each record's versions are numbered by the store. A version *counts* from a moment on: no read that
begins later may see an older one. That moment is

- for a write that was acknowledged with the cache told: when it was;
- for one that was acknowledged although the cache could not be told: the same if the record had
  been fenced until the commit; else when its process has told the cache, or, if it never does,
  when all entries from before have ended; in its own process at once;
- for any fenced write: when some reader was shown it.

In ``strict`` mode every write is fenced, unless Redis lost its data before the commit.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

Place = TypeVar("Place", bound=Hashable)

SECOND: Final = 1_000_000_000
"""Times are in nanoseconds."""


@dataclass(eq=False)
class Write:
    """One call that wrote ``keys``; ``deletes`` are those it deleted.

    ``made`` are the revisions it made of each, as far as they are known: several where it was
    tried again. ``end`` is ``None`` if it was not acknowledged; ``told_at`` is when the cache was
    told later.
    """

    process: str
    keys: frozenset[str]
    deletes: frozenset[str]
    begin: int
    end: int | None = None
    committed: int | None = None
    refused: bool = False
    told: bool = False
    told_at: int | None = None
    made: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """One call that saw these revisions, ``None`` of what was not there."""

    process: str
    begin: int
    end: int
    seen: Mapping[str, int | None]


@dataclass(frozen=True)
class Count:
    """One call that counted which of ``keys`` there are."""

    process: str
    begin: int
    end: int
    keys: Sequence[str]
    number: int


@dataclass
class Verdict:
    """What the check found. The cache had ``cached`` of ``asked`` entries.

    ``pending`` writes could not be told it at once; ``older`` values were seen while that was
    allowed, at most ``oldest`` seconds after they were replaced.
    """

    operations: int = 0
    values: int = 0
    cached: int = 0
    asked: int = 0
    pending: int = 0
    older: int = 0
    oldest: float = 0.0
    violations: list[str] = field(default_factory=list)

    def __iadd__(self, other: Verdict) -> Verdict:
        self.operations += other.operations
        self.values += other.values
        self.cached += other.cached
        self.asked += other.asked
        self.pending += other.pending
        self.older += other.older
        self.oldest = max(self.oldest, other.oldest)
        self.violations += other.violations
        return self


@dataclass
class History:
    """All that was recorded. ``losses`` are the times at which Redis lost data, from and to."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    losses: list[tuple[int, int]] = field(default_factory=list)
    longest_read: float = 0.0
    cached: int = 0
    asked: int = 0

    def add(self, process: str, lines: Iterable[str]) -> None:
        """What one process recorded; its last line may be a part of one."""
        writes: dict[str, Write] = {}
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                break
            self._add(process, event, writes)

    def _add(self, process: str, event: dict[str, Any], writes: dict[str, Write]) -> None:
        match event["do"]:
            case "read":
                begin, end, seen = event["begin"], event["end"], event["seen"]
                self.reads.append(Read(process, begin, end, seen))
            case "count":
                begin, end, keys = event["begin"], event["end"], event["keys"]
                self.counts.append(Count(process, begin, end, keys, event["number"]))
            case "cache":
                self.cached += event["hits"]
                self.asked += event["asked"]
            case "longest":
                self.longest_read = max(self.longest_read, event["seconds"])
            case "write":
                keys, deletes = frozenset(event["keys"]), frozenset(event["deletes"])
                write = writes[event["id"]] = Write(process, keys, deletes, event["at"])
                self.writes.append(write)
            case "told":
                for id_ in event["ids"]:
                    writes[id_].told_at = event["at"]
            case _:
                _go_on(writes[event["id"]], event)


def _go_on(write: Write, event: dict[str, Any]) -> None:
    """What became of a write."""
    match event["do"]:
        case "commit":
            write.committed = event["at"]
            for key, revision in event["made"].items():
                write.made[key].append(revision)
        case "written":
            write.end, write.told = event["at"], event["told"]
            write.acknowledged = event["made"]
        case "refused":
            write.refused = True


def read_history(logs: Iterable[Path], losses: Sequence[tuple[int, int]]) -> History:
    """The history in these files, named after their processes."""
    history = History(losses=[*losses])
    for log in logs:
        history.add(log.stem, log.read_text().splitlines())
    return history


class Floor:
    """The highest of the revisions that came until a time."""

    def __init__(self, events: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(events)
        self._times = [time for time, _ in ordered]
        self._least = [*accumulate((revision for _, revision in ordered), max)]

    def at(self, time: float) -> float:
        place = bisect_right(self._times, time)
        return self._least[place - 1] if place else 0

    def since(self, revision: int) -> float:
        """When the first newer one came."""
        return self._times[bisect_right(self._least, revision)]


class Checker:
    """Checks a history of ``mode``; an entry ends ``life`` seconds after it was filled."""

    def __init__(self, history: History, *, strict: bool, life: float) -> None:
        self._history = history
        self._strict = strict
        self._bound = (life + history.longest_read) * SECOND
        self._versions: dict[str, dict[int, Write]] = defaultdict(dict)
        for write in history.writes:
            for key in write.keys:
                for revision in {*write.made[key], write.acknowledged.get(key, 0)} - {0}:
                    self._versions[key][revision] = write
        self._floors = _floors(self._counting())
        self._acknowledged = _floors(
            (key, write.end or 0, revision)
            for write in history.writes
            for key, revision in write.acknowledged.items()
        )
        self._own = _floors(
            ((write.process, key), write.end or 0, revision)
            for write in history.writes
            for key, revision in write.acknowledged.items()
        )
        self._newest = _floors(
            ((key, key in write.deletes), write.begin, max(write.made[key], default=inf))
            for write in history.writes
            for key in write.keys
            if not write.refused
        )
        """The newest that may have been made by those who began to write by then."""

    def verdict(self) -> Verdict:
        history = self._history
        verdict = Verdict(
            operations=len(history.reads) + len(history.counts) + len(history.writes),
            cached=history.cached,
            asked=history.asked,
            pending=sum(write.end is not None and not write.told for write in history.writes),
        )
        for read in history.reads:
            verdict.values += len(read.seen)
            for key, revision in read.seen.items():
                self._tell_older(read, key, revision, verdict)
                verdict.violations += self._seen(read, key, revision)
        for count in history.counts:
            verdict.values += 1
            verdict.violations += self._counted(count)
        verdict.violations += self._out_of_order()
        return verdict

    def _counting(self) -> Iterator[tuple[str, float, int]]:
        for write in self._history.writes:
            for key, revision in write.acknowledged.items():
                yield key, self._counts_from(write), revision
        for read in self._history.reads:
            for key, revision in read.seen.items():
                write = self._versions[key].get(revision or 0)
                if revision and write is not None and self._is_fenced(write):
                    yield key, read.end, revision

    def _counts_from(self, write: Write) -> float:
        assert write.end is not None
        if write.told or self._is_fenced(write):
            return write.end
        return min(inf if write.told_at is None else write.told_at, write.end + self._bound)

    def _is_fenced(self, write: Write) -> bool:
        until = write.committed or write.end or inf
        return self._strict and not any(
            begin <= until and write.begin <= end for begin, end in self._history.losses
        )

    def _floors_of(self, process: str, key: str) -> list[Floor]:
        floors = (self._floors.get(key), self._own.get((process, key)))
        return [floor for floor in floors if floor is not None]

    def _least(self, process: str, key: str, begin: int) -> float:
        return max((floor.at(begin) for floor in self._floors_of(process, key)), default=0)

    def _seen(self, read: Read, key: str, revision: int | None) -> Iterator[str]:
        least = self._least(read.process, key, read.begin)
        if revision is None:
            if not self._may_lack(key, least, read.end):
                yield f"{read.process} did not find {key}, which is there since {least}"
            return
        write = self._versions[key].get(revision)
        if write is not None and (key in write.deletes or write.begin > read.end):
            yield f"{read.process} saw {key} of {revision}, when that was not there"
        if revision < least:
            newer = self._versions[key].get(int(least))
            what = "deleted" if newer is not None and key in newer.deletes else "replaced"
            floors = self._floors_of(read.process, key)
            since = min(floor.since(revision) for floor in floors if floor.at(inf) > revision)
            late = (read.begin - since) / SECOND
            yield f"{read.process} saw {key} of {revision}, {what} by {least}, {late:.3f} s late"

    def _counted(self, count: Count) -> Iterator[str]:
        least = {key: self._least(count.process, key, count.begin) for key in count.keys}
        fewest = sum(not self._may_lack(key, least[key], count.end) for key in count.keys)
        most = sum(self._may_have(key, least[key], count.end) for key in count.keys)
        if not fewest <= count.number <= most:
            yield f"{count.process} counted {count.number} where there are {fewest} to {most}"

    def _may_lack(self, key: str, least: float, end: int) -> bool:
        return not self._is_there(key, least) or self._may_follow(key, least, end, deleted=True)

    def _may_have(self, key: str, least: float, end: int) -> bool:
        return self._is_there(key, least) or self._may_follow(key, least, end, deleted=False)

    def _is_there(self, key: str, revision: float) -> bool:
        write = self._versions[key].get(int(revision))
        return revision > 0 and (write is None or key not in write.deletes)

    def _may_follow(self, key: str, least: float, end: int, *, deleted: bool) -> bool:
        newest = self._newest.get((key, deleted))
        return newest is not None and newest.at(end) > least

    def _tell_older(self, read: Read, key: str, revision: int | None, verdict: Verdict) -> None:
        floor = self._acknowledged.get(key)
        if floor is not None and revision and revision < floor.at(read.begin):
            verdict.older += 1
            verdict.oldest = max(verdict.oldest, (read.begin - floor.since(revision)) / SECOND)

    def _out_of_order(self) -> Iterator[str]:
        """The store itself: who writes after an acknowledgement makes no earlier version."""
        for write in self._history.writes:
            for key, revision in write.acknowledged.items():
                if revision < (before := self._acknowledged[key].at(write.begin)):
                    yield f"{write.process} wrote {key} as {revision} after {before}"


def _floors(events: Iterable[tuple[Place, float, float]]) -> dict[Place, Floor]:
    by_place: dict[Place, list[tuple[float, float]]] = defaultdict(list)
    for place, time, revision in events:
        by_place[place].append((time, revision))
    return {place: Floor(those) for place, those in by_place.items()}
