"""What each script does to one entry, in Python: the scripts' meaning, for tests to explore.

Entries are values and time is an argument (microseconds), so that every order of steps can be
tried. The tests run both and compare. The epoch, checked before anything else, is apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from .members import Member
from .replies import (
    BUSY,
    LEASED,
    Absent,
    Busy,
    Filled,
    Found,
    Intended,
    Leased,
    Published,
    RecordReply,
    Waiting,
    Window,
    WindowReply,
)
from .scripts import (
    Action,
    Change,
    Drop,
    Filling,
    KeepAbsent,
    KeepLive,
    Known,
    Mode,
    WindowFilling,
)

Micros: TypeAlias = int
Millis: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Entry:
    """A record or a window in Redis. The default is a key that is not there.

    ``state`` is ``L`` (live), ``A`` (absent) or nothing known; ``ends`` is when a window ends,
    however often it is appended to; ``expires`` when the key does.
    """

    floor: int = 0
    state: str = ""
    payload: bytes = b""
    filled_at: Micros = 0
    lease: str = ""
    lease_ends: Micros = 0
    sequence: int = 0
    intents: frozenset[tuple[str, Micros]] = frozenset()
    complete: bool = False
    bound: bytes = b""
    ends: Micros = 0
    members: frozenset[Member] = frozenset()
    expires: Micros = 0

    def live(self, now: Micros) -> int:
        """How many writes are under way."""
        return sum(expiry > now for _, expiry in self.intents)

    def known(self, now: Micros) -> bool:
        """Whether there is something in it that has not ended."""
        return bool(self.state) and not 0 < self.ends <= now

    def leased(self, now: Micros) -> bool:
        """Whether somebody is to fill it."""
        return bool(self.lease) and self.lease_ends > now


NOTHING = Entry()


@dataclass(frozen=True, slots=True)
class Reading:
    """The arguments of both reading scripts; see ``scripts.read_arguments``."""

    token: str
    mode: Mode = "use"
    lease: Millis = 1_000
    keep: Millis = 10_000
    since: Micros = 0


def epoch_after(stored: str | None, known: Known) -> tuple[str, bool]:
    """The epoch after a call, and whether the call went on to its entries."""
    if stored == known.epoch:
        return known.epoch, True
    if stored is None or _run(stored) != _run(known.proposal):
        return known.proposal, False
    return stored, False


def read(entry: Entry, now: Micros, asked: Reading) -> tuple[Entry, RecordReply]:
    """`READ` of one record."""
    entry, refused = _looked_up(entry, now, asked)
    if refused is not None:
        return entry, refused
    if entry.state == "A":
        return entry, Absent(entry.floor, entry.filled_at)
    return entry, Found(entry.floor, entry.payload, entry.filled_at)


def read_window(entry: Entry, now: Micros, asked: Reading) -> tuple[Entry, WindowReply]:
    """`READ_WINDOW`. Redis tells the members in any order, this one sorted."""
    entry, refused = _looked_up(entry, now, asked)
    if refused is not None:
        return entry, refused
    members = tuple(sorted(entry.members))
    return entry, Window(entry.floor, entry.filled_at, entry.complete, entry.bound, members)


def fill(entry: Entry, now: Micros, token: str, filling: Filling) -> tuple[Entry, Filled]:
    """`FILL` of one record."""
    barred = _barred(entry, now, token)
    if barred is not None:
        return entry, barred
    entry = replace(entry, lease="", lease_ends=0)
    if filling.payload == b"":
        if filling.version > entry.floor:
            entry = replace(_forgotten(entry), floor=filling.version)
        return _there(entry), Filled.KEPT
    if filling.version < entry.floor:
        return _there(entry), Filled.OUTDATED
    return _kept(entry, now, filling.version, filling.payload, filling.ttl), Filled.KEPT


def fill_window(
    entry: Entry, now: Micros, token: str, filling: WindowFilling
) -> tuple[Entry, Filled]:
    """`FILL_WINDOW`."""
    barred = _barred(entry, now, token)
    if barred is not None:
        return entry, barred
    if filling.version < entry.floor:
        return _there(replace(entry, lease="", lease_ends=0)), Filled.OUTDATED
    ends = now + filling.ttl * 1000
    filled = replace(
        _forgotten(entry),
        floor=filling.version,
        state="L",
        filled_at=now,
        complete=filling.complete,
        bound=filling.bound,
        ends=ends,
        members=frozenset(filling.members),
        expires=ends,
    )
    return filled, Filled.KEPT


def intend(
    entry: Entry, now: Micros, token: str, life: Millis, keep: Millis
) -> tuple[Entry, Intended]:
    """`INTEND` on one record or window."""
    entry = _settled(entry, now)
    others = frozenset(each for each in entry.intents if each[0] != token)
    told = Intended(
        sequence=entry.sequence + 1,
        ready=entry.known(now) and not others,
        complete=entry.complete,
        bound=entry.bound,
        count=len(entry.members),
        version=entry.floor,
    )
    if not entry.ends:
        entry = _forgotten(entry)  # a record: nobody can use what is known of it any more
        if not others:
            entry = replace(entry, expires=0)  # and nothing needs to stay for longer
    entry = replace(
        entry,
        sequence=told.sequence,
        intents=others | {(token, now + life * 1000)},
        lease="",
        lease_ends=0,
    )
    return _outliving(entry, now, max(life, keep)), told


def publish(
    entry: Entry, now: Micros, token: str, keep: Millis, action: Action
) -> tuple[Entry, Published]:
    """`PUBLISH` for one record or window."""
    others = frozenset(each for each in entry.intents if each[0] != token)
    mine = others != entry.intents
    sequence = entry.sequence if mine else -1
    entry = _there(replace(entry, intents=others, lease="", lease_ends=0))
    alone = mine and not others
    kept = _acted(entry, now, action) if alone else None
    if kept is not None:
        return kept, Published(True, sequence)
    entry = _there(_forgotten(entry))
    entry = replace(entry, floor=max(entry.floor, action.floor))
    return _there(_outliving(entry, now, keep)), Published(False, sequence)


def _acted(entry: Entry, now: Micros, action: Action) -> Entry | None:
    """The entry with what a writer that was alone brings; nothing where that does not fit it."""
    match action:
        case KeepLive(floor, payload, ttl) if floor >= entry.floor:
            return _kept(entry, now, floor, payload, ttl)
        case KeepAbsent(floor, ttl) if floor >= entry.floor:
            return _kept(entry, now, floor, None, ttl)
        case Change() if entry.known(now) and entry.sequence == action.sequence:
            return _changed(entry, action)
        case KeepLive() | KeepAbsent() | Change() | Drop():
            return None


def _changed(entry: Entry, change: Change) -> Entry:
    changed = dict(entry.members) | dict(change.members)
    return replace(
        entry,
        floor=max(entry.floor, change.floor),
        members=frozenset((stored_id, sort) for stored_id, sort in changed.items() if sort),
    )


def _kept(entry: Entry, now: Micros, version: int, payload: bytes | None, ttl: Millis) -> Entry:
    return replace(
        entry,
        floor=version,
        state="A" if payload is None else "L",
        payload=payload or b"",
        filled_at=now,
        expires=now + ttl * 1000,
    )


def _looked_up(
    entry: Entry, now: Micros, asked: Reading
) -> tuple[Entry, Busy | Leased | Waiting | None]:
    """The entry, and why it cannot be used."""
    if entry.live(now):
        return entry, BUSY
    usable = entry.known(now) and entry.filled_at >= asked.since
    if asked.mode == "peek":
        return entry, None if usable and not entry.intents else LEASED
    usable = usable and not entry.intents
    entry = _settled(entry, now)
    if asked.mode == "use" and usable:
        return entry, None
    if entry.leased(now):
        return entry, BUSY if asked.mode == "refresh" else Waiting(entry.lease)
    taken = replace(entry, lease=asked.token, lease_ends=now + asked.lease * 1000)
    if not entry.known(now):
        taken = _outliving(taken, now, max(asked.lease, asked.keep))
    return taken, LEASED


def _barred(entry: Entry, now: Micros, token: str) -> Filled | None:
    if entry.intents:
        return Filled.BUSY
    if entry.lease != token or not entry.leased(now):
        return Filled.NOT_LEASED
    return None


def _settled(entry: Entry, now: Micros) -> Entry:
    """Without what a writer that never published left, unless another writes."""
    if not entry.intents or entry.live(now):
        return entry
    return _there(replace(_forgotten(entry), intents=frozenset()))


def _forgotten(entry: Entry) -> Entry:
    """Only the floor, the sequence and the intents."""
    return Entry(
        floor=entry.floor,
        sequence=entry.sequence,
        intents=entry.intents,
        expires=entry.expires,
    )


def _outliving(entry: Entry, now: Micros, milliseconds: Millis) -> Entry:
    return replace(entry, expires=max(entry.expires, now + milliseconds * 1000))


def _there(entry: Entry) -> Entry:
    """The entry, or nothing: Redis has no key without a field."""
    return NOTHING if replace(entry, expires=0) == NOTHING else entry


def _run(epoch: str) -> str:
    return epoch.partition("@")[0] if "@" in epoch else ""
