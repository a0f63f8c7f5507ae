"""What Redis replies to the scripts, and to a plain look at what is known of records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias, TypeVar, cast

from .members import Member, unpacked

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OtherEpoch:
    """Nothing was done: the namespace is in this epoch. Ask again with its keys."""

    epoch: str


# Not frozen, these and what writers are told: that takes a third of the time to make.


@dataclass(slots=True, unsafe_hash=True)
class Found:
    """A record in the cache, and when it got there, in microseconds of Redis' clock."""

    version: int
    payload: bytes
    filled_at: int


@dataclass(slots=True, unsafe_hash=True)
class Absent:
    """A record that is known not to be there."""

    version: int
    filled_at: int


@dataclass(frozen=True, slots=True)
class Window:
    """The members of a scope, in no order: all, or those up to ``bound``."""

    version: int
    filled_at: int
    complete: bool
    bound: bytes
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody writes: go to the primary, and do not fill."""


@dataclass(frozen=True, slots=True)
class Leased:
    """Nothing is known; who asked may fill it. After a ``peek``: nothing is known."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is known, and whoever holds this lease is about to fill it."""

    lease: str


class Filled(IntEnum):
    """What became of a filling."""

    KEPT = 1
    OUTDATED = 0
    BUSY = -1
    NOT_LEASED = -2


@dataclass(slots=True, unsafe_hash=True)
class Intended:
    """What was there when the intent was placed.

    ``ready`` says that something is known and nobody else writes; only then do ``version`` (of a
    record, the one that a `Found` told) and the rest, which is of windows, mean anything.
    """

    sequence: int
    ready: bool
    complete: bool
    bound: bytes
    count: int
    version: int = 0


@dataclass(slots=True, unsafe_hash=True)
class Published:
    """Whether data was kept, and the entry's sequence; -1 where the intent was gone.

    Only with the sequence of an `Intended` that was ``ready`` did nobody write in between.
    """

    kept: bool
    sequence: int


RecordReply: TypeAlias = Found | Absent | Busy | Leased | Waiting
WindowReply: TypeAlias = Window | Busy | Leased | Waiting

BUSY: Final = Busy()
LEASED: Final = Leased()


def known_replies(reply: object, epoch: str, since: int) -> list[RecordReply] | None:
    """Of ``MGET`` on the epoch and then records: what all of them are known to be.

    ``None`` if a script must tell: because of another epoch, or since one is written or filled, is
    not there, or was filled before ``since``.
    """
    try:
        stored, *entries = cast("list[Any]", reply)
        if stored != epoch.encode() or None in entries:
            return None
        return [_packed(entry, since) for entry in entries]
    except (AttributeError, TypeError, ValueError):
        return None


def _packed(entry: bytes, since: int) -> Found | Absent:
    """An entry in the form that the scripts give what is known."""
    version, filled, _, state, payload = entry.split(b":", 4)
    filled_at = int(filled)
    if filled_at < since:
        raise ValueError
    if state == b"L":
        return Found(int(version), payload, filled_at)
    if state == b"A":
        return Absent(int(version), filled_at)
    raise ValueError


def read_replies(reply: object) -> list[RecordReply] | OtherEpoch:
    """Of `READ`, one a key. As all of these it raises ``ValueError`` for what does not parse."""
    return _each(reply, _record)


def read_window_reply(reply: object) -> WindowReply | OtherEpoch:
    """Of `READ_WINDOW`."""
    return _one(_each(reply, _window))


def fill_replies(reply: object) -> list[Filled] | OtherEpoch:
    """Of `FILL`, one a key."""
    return _each(reply, Filled)


def fill_window_reply(reply: object) -> Filled | OtherEpoch:
    """Of `FILL_WINDOW`."""
    return _one(_each(reply, Filled))


def intend_replies(reply: object) -> list[Intended] | OtherEpoch:
    """Of `INTEND`, one a key."""
    return _each(reply, _intended)


def publish_replies(reply: object) -> list[Published] | OtherEpoch:
    """Of `PUBLISH`, one a key."""
    return _each(reply, _published)


def _each(reply: object, parse: Callable[[Any], T]) -> list[T] | OtherEpoch:
    try:
        kind, *rest = cast("list[Any]", reply)
        if kind == b"K":
            return [parse(each) for each in rest]
        if kind == b"E":
            return OtherEpoch(rest[0].decode())
    except (AttributeError, LookupError, TypeError, ValueError):
        pass  # what it says may hold parts of what users stored
    raise ValueError("Redis replied with something else than a script of this release would")


def _one(parsed: list[T] | OtherEpoch) -> T | OtherEpoch:
    return parsed if isinstance(parsed, OtherEpoch) else parsed[0]


def _record(reply: list[Any]) -> RecordReply:
    if reply[0] == b"L":
        return Found(int(reply[1]), _bytes(reply[2]), int(reply[3]))
    if reply[0] == b"A":
        return Absent(int(reply[1]), int(reply[3]))
    return _unknown(reply)


def _window(reply: list[Any]) -> WindowReply:
    if reply[0] != b"L":
        return _unknown(reply)
    _, version, filled_at, complete, bound, members = reply
    return Window(int(version), int(filled_at), complete == b"1", _bytes(bound), unpacked(members))


def _unknown(reply: list[Any]) -> Busy | Leased | Waiting:
    match reply:
        case [b"B"]:
            return BUSY
        case [b"M"]:
            return LEASED
        case [b"W", lease]:
            return Waiting(lease.decode())
        case _:
            raise ValueError


def _intended(reply: list[Any]) -> Intended:
    sequence, ready, version, complete, bound, count = reply
    return Intended(
        int(sequence), ready == 1, complete == b"1", _bytes(bound), int(count), int(version)
    )


def _published(reply: list[Any]) -> Published:
    kept, sequence = reply
    return Published(kept == 1, int(sequence))


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        raise TypeError
    return value
