"""The protocol's steps as Lua scripts: what they are asked, and what they answer.

Every script gets the namespace's epoch key first, then keys of that epoch, and changes nothing but
those. ``model`` does the same to one entry in Python; a script that changes needs a changed model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

Mode: TypeAlias = Literal["use", "refresh", "peek"]
"""How to read: ``refresh`` leases what is known, too; ``peek`` leases and changes nothing."""
Argument: TypeAlias = str | bytes | int
Member: TypeAlias = tuple[str, bytes]
"""The stored id of a record in a window, and its sort text, which is never empty."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, by the digest that Redis knows it by once it has run."""

    name: str
    source: str
    sha: str


def script(name: str, *parts: str, first: Sequence[str] = ()) -> Script:
    """The script made of these files, behind what all have in common.

    ``first`` come before all of that but the epoch.
    """
    folder = files("orchestra_memory.layers.cached").joinpath("scripts")
    names = ("epoch", *first, "common", *parts, name)
    source = "\n".join(folder.joinpath(f"{each}.lua").read_text("utf-8") for each in names)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


READ: Final = script("read", "reading", first=("known",))
READ_WINDOW: Final = script("read_window", "reading")
FILL: Final = script("fill", "filling")
FILL_WINDOW: Final = script("fill_window", "filling")
INTEND: Final = script("intend")
PUBLISH: Final = script("publish")


async def run(
    redis: Redis, asked: Script, keys: Sequence[str], arguments: Sequence[Argument]
) -> object:
    """What the script replies. Raises what the client raises.

    The source is only sent where Redis does not know it; loading it ahead needs a right that not
    every user has.
    """
    try:
        return await redis.evalsha(asked.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return await redis.eval(asked.source, len(keys), *keys, *arguments)


# What they are asked. Times to live are in milliseconds, at least 1; versions, floors and points in
# time in microseconds.


@dataclass(frozen=True, slots=True)
class Known:
    """The namespace's epoch as the caller knows it, and the one to set where there is none.

    A ``proposal`` must never be sent twice: the token of the call will do. Begun with the id of
    the Redis server's run and ``@`` it replaces the epoch of another run: a server that was
    restarted from a snapshot, or promoted, may have lost the last writes. Then an ``epoch`` learned
    in another run must be forgotten; an unknown one is any text that is none, such as the proposal.
    """

    epoch: str
    proposal: str


@dataclass(frozen=True, slots=True)
class Filling:
    """A record as read below; ``payload`` ``None`` says absent, ``b""`` gives the lease back."""

    version: int
    payload: bytes | None
    ttl: int


@dataclass(frozen=True, slots=True)
class WindowFilling:
    """The first members of a scope as read below, or all; ``bound`` is the last one's sort text."""

    version: int
    complete: bool
    bound: bytes
    ttl: int
    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class KeepLive:
    """The record was written."""

    floor: int
    payload: bytes
    ttl: int


@dataclass(frozen=True, slots=True)
class KeepAbsent:
    """The record was deleted."""

    floor: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is to be known of the entry; floor 0 leaves its floor as it is."""

    floor: int


@dataclass(frozen=True, slots=True)
class Change:
    """Members that come or move; a sort text of ``b""`` takes one out.

    It applies to the window as `Intended` told of it, by its ``sequence``, and drops any other.
    Without members it keeps the window as it is, as after a write that was refused.
    """

    floor: int
    sequence: int
    ttl: int
    members: Sequence[Member]


Action: TypeAlias = KeepLive | KeepAbsent | Drop | Change


def read_arguments(
    known: Known, *, mode: Mode, token: str, lease: int, keep: int, since: int = 0
) -> list[Argument]:
    """For `READ` and `READ_WINDOW`. What was filled before ``since`` counts as unknown.

    A ``token`` serves one call: used again it could fill what was read before it was voided.
    ``keep`` is how long, at least, a key stays of which nothing but a lease is known.
    """
    return [known.epoch, known.proposal, mode, token, lease, keep, since]


def fill_arguments(known: Known, token: str, fillings: Iterable[Filling]) -> list[Argument]:
    """For `FILL`, one filling a key."""
    arguments: list[Argument] = [known.epoch, known.proposal, token]
    for each in fillings:
        state = "A" if each.payload is None else "L"
        arguments += (each.version, state, each.payload or b"", max(1, each.ttl))
    return arguments


def fill_window_arguments(known: Known, token: str, filling: WindowFilling) -> list[Argument]:
    """For `FILL_WINDOW`. To give a window's lease back, use `FILL` with version 0."""
    complete, ttl = int(filling.complete), max(1, filling.ttl)
    head = (known.epoch, known.proposal, token, filling.version, complete, filling.bound, ttl)
    return [*head, *_flat(filling.members)]


def intend_arguments(known: Known, token: str, *, life: int, keep: int) -> list[Argument]:
    """For `INTEND`, on records and windows: the intent's life, and the key's at least."""
    return [known.epoch, known.proposal, token, life, keep]


def publish_arguments(
    known: Known, token: str, keep: int, actions: Iterable[Action]
) -> list[Argument]:
    """For `PUBLISH`, one action a key. ``keep`` is how long a key without data stays at least."""
    arguments: list[Argument] = [known.epoch, known.proposal, token, keep]
    for action in actions:
        arguments += _action(action)
    return arguments


def _action(action: Action) -> list[Argument]:
    match action:
        case KeepLive(floor, payload, ttl):
            return ["L", floor, payload, max(1, ttl)]
        case KeepAbsent(floor, ttl):
            return ["A", floor, max(1, ttl)]
        case Drop(floor):
            return ["D", floor]
        case Change(floor, sequence, ttl, members):
            return ["W", floor, sequence, max(1, ttl), len(members), *_flat(members)]


def _flat(members: Iterable[Member]) -> list[Argument]:
    return [part for member in members for part in member]


# What they answer.


@dataclass(frozen=True, slots=True)
class OtherEpoch:
    """Nothing was done: the namespace is in this epoch. Ask again with its keys."""

    epoch: str


@dataclass(frozen=True, slots=True)
class Found:
    """A record in the cache, and when it got there, in microseconds of Redis' clock."""

    version: int
    payload: bytes
    filled_at: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
    _, version, filled_at, complete, bound, flat = reply
    members = tuple(
        (stored_id.decode(), _bytes(sort))
        for stored_id, sort in zip(flat[::2], flat[1::2], strict=True)
    )
    return Window(int(version), int(filled_at), complete == b"1", _bytes(bound), members)


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
        sequence=int(sequence),
        ready=ready == 1,
        complete=complete == b"1",
        bound=_bytes(bound),
        count=int(count),
        version=int(version),
    )


def _published(reply: list[Any]) -> Published:
    kept, sequence = reply
    return Published(kept == 1, int(sequence))


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        raise TypeError
    return value
