"""The protocol's steps as Lua scripts: what they are asked, and what they answer.

Every script gets the namespace's epoch key first, then keys of that epoch, and changes nothing but
those. ``model`` does the same to one entry in Python; a script that changes needs a changed model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from redis.exceptions import NoScriptError

from .members import Member, packed, parts_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

Mode: TypeAlias = Literal["use", "refresh", "peek"]
"""How to read: ``refresh`` leases what is known, too; ``peek`` leases and changes nothing."""
Argument: TypeAlias = str | bytes | int


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, by the digest that Redis knows it by once it has run."""

    name: str
    source: str
    sha: str


def script(name: str, *parts: str) -> Script:
    """The script made of these files, behind what all have in common."""
    folder = files("orchestra_memory.layers.cached").joinpath("scripts")
    names = ("epoch", "common", *parts, name)
    source = "\n".join(folder.joinpath(f"{each}.lua").read_text("utf-8") for each in names)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


READ: Final = script("read", "reading")
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
    """A record as read below; ``payload`` ``None`` says absent, ``b""`` only gives the lease back.

    ``version`` is its revision, of an absent one the read's time.
    """

    version: int
    payload: bytes | None
    ttl: int


GIVEN_BACK: Final = Filling(0, b"", 1)


@dataclass(frozen=True, slots=True)
class WindowFilling:
    """The first members of a scope as read below, or all; ``bound`` is the last one's sort text."""

    version: int
    complete: bool
    bound: bytes
    ttl: int
    members: Sequence[Member]


# Not frozen, these four: a write makes one for each entry, and that takes a third of the time.


@dataclass(slots=True, unsafe_hash=True)
class KeepLive:
    """The record was written; ``floor`` is its revision."""

    floor: int
    payload: bytes
    ttl: int


@dataclass(slots=True, unsafe_hash=True)
class KeepAbsent:
    """The record was deleted; ``floor`` is the commit's time."""

    floor: int
    ttl: int


@dataclass(slots=True, unsafe_hash=True)
class Drop:
    """Nothing is to be known of the entry; floor 0 leaves its floor as it is."""

    floor: int


@dataclass(slots=True, unsafe_hash=True)
class Change:
    """Members that come or move; a sort text of ``b""`` takes one out.

    It applies to the window as `Intended` told of it, by its ``sequence``, and drops any other.
    Without members it keeps the window as it is, as after a write that was refused. When the window
    ends does not change.
    """

    floor: int
    sequence: int
    members: Sequence[Member]


Action: TypeAlias = KeepLive | KeepAbsent | Drop | Change


def milliseconds(seconds: float) -> int:
    """At least one, as Redis knows no shorter life."""
    return max(1, round(seconds * 1000))


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
        arguments += (each.version, state, each.payload or b"", each.ttl)
    return arguments


def fill_window_arguments(known: Known, token: str, filling: WindowFilling) -> list[Argument]:
    """For `FILL_WINDOW`. To give a window's lease back, use `FILL` with version 0."""
    complete = int(filling.complete)
    head = (
        known.epoch,
        known.proposal,
        token,
        filling.version,
        complete,
        filling.bound,
        filling.ttl,
    )
    return [*head, len(filling.members), packed(filling.members)]


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
    # Not by patterns, which take several times as long to tell a few classes apart.
    if isinstance(action, KeepLive):
        return ["L", action.floor, action.payload, action.ttl]
    if isinstance(action, Change):
        members = action.members
        return ["W", action.floor, action.sequence, len(members), *_flat(members)]
    if isinstance(action, KeepAbsent):
        return ["A", action.floor, action.ttl]
    return ["D", action.floor]


def _flat(members: Iterable[Member]) -> list[Argument]:
    return [part for member in members for part in parts_of(member)]
