"""What the workers told, in the order in which each of them told it.

Each record that a single task changes has a *track*: the last change that was acknowledged, and
those since whose outcome nobody was told. Only these may be seen from then on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

SECOND: Final = 1_000_000_000
JOURNALED: Final = ("journaled", "volatile")
DEGRADED: Final = ("journal", "memory", "cache")


@dataclass(eq=False)
class Attempt:
    """One write. ``seen`` is what a reader sees after it: ``None`` after a deletion."""

    id: str
    kind: str
    key: str
    life: int
    seen: Any = None
    session: str = ""
    how: str = ""
    durability: str = ""
    acknowledged: bool = False
    refused: bool = False

    @property
    def may_wait(self) -> bool:
        """Whether it may have been left in a journal."""
        is_doubtful = not (self.acknowledged or self.refused)
        return is_doubtful or self.durability in JOURNALED


@dataclass
class Track:
    """What may be seen of one record."""

    last: Attempt | None = None
    doubtful: list[Attempt] = field(default_factory=list[Attempt])

    def allowed(self) -> list[Any]:
        """The values it may have."""
        return [self.last and self.last.seen, *(each.seen for each in self.doubtful)]

    def verdict(self, seen: Any) -> str | None:
        """What is wrong with seeing this, if anything is."""
        if seen in self.allowed():
            return None
        if seen is None:
            return "absent"
        return "older" if self.last and _is_older(seen, self.last.seen) else "wrong"


def _is_older(seen: Any, last: Any) -> bool:
    # After a deletion any value is one from before it.
    return last is None or seen < last


@dataclass
class Answer:
    """An acknowledged write: when it was asked and answered, on the clock that all share."""

    begin: int
    end: int
    durability: str


class Ledger:
    """All that was told of one run.

    ``untold`` lets a life see what earlier ones had replaced, as where a process dies before it can
    tell Redis of its writes, or another one than its successor has taken over its journal.
    Where journals are ``shared``, that one may write what waited there over what came since.
    """

    def __init__(self, *, untold: bool = False, shared: bool = False) -> None:
        self.shared: bool = shared
        self.attempts: dict[str, Attempt] = {}
        self.tracks: dict[tuple[str, str], Track] = {}
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.answers: dict[int, list[Answer]] = {}
        self.left: dict[int, int] = {}
        """By slot, how many writes wait; nothing while none is known to run."""
        self.starts: dict[int, list[int]] = {}
        self.facts: dict[int, dict[str, str]] = {}
        self._untold = untold
        self._lives: dict[int, int] = {}

    def hear(self, slot: int, line: bytes) -> None:
        """One line of the worker in this slot; that of one that was killed may be a part."""
        try:
            event = json.loads(line)
        except ValueError:
            self.counts["torn"] += 1
            return
        getattr(self, f"_{event.pop('do')}")(slot, **event)

    def acknowledged(self) -> Iterable[Attempt]:
        return (each for each in self.attempts.values() if each.acknowledged)

    def is_late(self, kind: str, key: str, seen: Any) -> bool:
        """Whether this may be what an earlier life left waiting, and another process took over."""
        last = self._track(kind, key).last
        return (
            self.shared
            and last is not None
            and any(
                (each.kind, each.key, each.seen) == (kind, key, seen)
                for each in self.attempts.values()
                if each.life < last.life and each.may_wait
            )
        )

    def _start(self, slot: int, life: int, at: int) -> None:
        self._lives[slot] = life
        self.starts.setdefault(slot, []).append(at)

    def _over(self, slot: int, at: int) -> None:
        """It writes no more."""

    def _left(self, slot: int, entries: int, state: str, at: int) -> None:
        self.left[slot] = entries

    def _try(self, slot: int, id: str, kind: str, key: str, **about: Any) -> None:  # noqa: A002
        attempt = Attempt(id, kind, key, self._lives[slot], session=about.get("session", ""))
        attempt.how = about.get("how", "")
        self.attempts[id] = attempt
        if kind in ("state", "pair"):
            attempt.seen = about["seq"]
            self._track(kind, key).doubtful.append(attempt)

    def _ack(self, slot: int, id: str, durability: str, begin: int, end: int) -> None:  # noqa: A002
        attempt = self.attempts[id]
        attempt.acknowledged, attempt.durability = True, durability
        self.counts["acknowledged"] += 1
        self.counts["journaled"] += durability in JOURNALED
        if durability:
            self.answers.setdefault(slot, []).append(Answer(begin, end, durability))
        if attempt.kind == "fact":
            self.facts.setdefault(slot, {})[attempt.key] = id
        if attempt.kind in ("state", "pair"):
            track = self._track(attempt.kind, attempt.key)
            track.last, track.doubtful = attempt, []

    def _failed(self, slot: int, id: str, error: str, ambiguous: bool) -> None:  # noqa: A002
        attempt = self.attempts[id]
        self.counts[error] += 1
        attempt.refused = not ambiguous
        if attempt.kind in ("state", "pair") and attempt.refused:
            self._track(attempt.kind, attempt.key).doubtful.remove(attempt)

    def _unknown(self, slot: int) -> None:
        self.counts["unknown"] += 1

    def _bug(self, slot: int, what: str) -> None:
        self._is_wrong("bug", what)

    def _saw(self, slot: int, kind: str, key: str, source: str, at: int, **what: Any) -> None:
        self.counts["reads"] += 1
        self.counts["degraded reads"] += source in DEGRADED[:2]
        getattr(self, f"_saw_{kind}")(slot, key, source, **what)

    def _saw_fact(self, slot: int, key: str, source: str, seen: str | None, want: str) -> None:
        if seen is None:
            self._is_wrong("absent", f"fact {key} of {want}, from {source}")
        elif seen != want:
            self._is_wrong("wrong", f"fact {key} is by {seen}, not {want}")

    def _saw_state(self, slot: int, key: str, source: str, seen: int | None) -> None:
        self._judge(slot, "state", key, source, seen)

    def _saw_pair(self, slot: int, key: str, source: str, seen: list[int | None]) -> None:
        if seen[0] != seen[1]:
            self._is_wrong("torn pair", f"pair {key} seen as {seen}, from {source}")
        else:
            self._judge(slot, "pair", key, source, seen[0])

    def _saw_tally(
        self, slot: int, key: str, source: str, missing: list[str], more: int = 0
    ) -> None:
        if missing:
            self._is_wrong("older", f"tally {key} without {missing[:3]}, from {source}")
        if more:
            self._is_wrong("wrong", f"tally {key} is {more} off what counted it, from {source}")

    def _saw_page(self, slot: int, key: str, source: str, missing: list[str]) -> None:
        if missing:
            what = f"{len(missing)} lines of a complete page of {key}, from {source}"
            self._is_wrong("absent", what)

    def _saw_count(
        self, slot: int, key: str, source: str, seen: int, least: int, most: int
    ) -> None:
        if not least <= seen <= most:
            self._is_wrong("older", f"{seen} lines of {key} counted, where {least} to {most} are")

    def _judge(self, slot: int, kind: str, key: str, source: str, seen: Any) -> None:
        track = self._track(kind, key)
        wrong = track.verdict(seen)
        if wrong is None:
            return
        last = track.last
        if self._untold and source != "journal" and last and last.life < self._lives[slot]:
            self.counts["untold"] += 1
            return
        if self.is_late(kind, key, seen):
            self.counts["late"] += 1
            return
        self._is_wrong(wrong, f"{kind} {key} seen as {seen} of {track.allowed()}, from {source}")

    def _track(self, kind: str, key: str) -> Track:
        return self.tracks.setdefault((kind, key), Track())

    def _is_wrong(self, what: str, detail: str) -> None:
        self.counts[f"wrong: {what}"] += 1
        self.wrong.append(f"{what}: {detail}")
