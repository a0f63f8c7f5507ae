"""What the cache layer asks of Redis, as values. Every time to live is in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ...operations import Ref, Revision
from .members import Member
from .scripts import Action, Change, Drop, Filling, KeepAbsent, KeepLive, WindowFilling

if TYPE_CHECKING:
    from .scopes import Scope

Target: TypeAlias = "Ref[Any] | Scope"
"""What an entry in Redis is about: one record, or the window of one scope."""


@dataclass(frozen=True, slots=True)
class Leased:
    """Nothing is known, and who asked may fill it, in the name of ``token``."""

    token: str


@dataclass(frozen=True, slots=True)
class RecordFill:
    """A record as read below; ``payload`` ``None`` says absent, ``b""`` only gives the lease back.

    ``version`` is its revision, of an absent one the read's time. Of a window, too, a lease can be
    given back so.
    """

    ref: Target
    token: str
    version: Revision
    payload: bytes | None
    ttl: float


@dataclass(frozen=True, slots=True)
class WindowFill:
    """The first members of a scope as read below: stored ids with their sort texts."""

    scope: Scope
    token: str
    version: Revision
    complete: bool
    bound: bytes
    members: tuple[Member, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class PutStep:
    """The record written; ``floor`` is its revision."""

    target: Ref[Any]
    floor: Revision
    payload: bytes
    ttl: float


@dataclass(frozen=True, slots=True)
class AbsentStep:
    """A record deleted; ``floor`` is the commit's time."""

    target: Ref[Any]
    floor: Revision
    ttl: float


@dataclass(frozen=True, slots=True)
class DropStep:
    """Keep nothing of it but the floor; 0 leaves that as it is."""

    target: Target
    floor: Revision


@dataclass(frozen=True, slots=True)
class WindowStep:
    """Members that come or move; a sort text of ``b""`` takes one out.

    ``sequence`` is what `Intended` told: after any other write since the window is dropped.
    """

    target: Scope
    floor: Revision
    sequence: int
    changes: tuple[Member, ...]
    ttl: float


Step: TypeAlias = PutStep | AbsentStep | DropStep | WindowStep


def milliseconds(seconds: float) -> int:
    """At least one, as Redis knows no shorter life."""
    return max(1, round(seconds * 1000))


def action_of(step: Step) -> Action:
    """What the script is to do."""
    match step:
        case PutStep():
            return KeepLive(step.floor, step.payload, milliseconds(step.ttl))
        case AbsentStep():
            return KeepAbsent(step.floor, milliseconds(step.ttl))
        case DropStep():
            return Drop(step.floor)
        case WindowStep():
            return Change(step.floor, step.sequence, milliseconds(step.ttl), step.changes)


def filling_of(fill: RecordFill) -> Filling:
    """What the script is to keep."""
    return Filling(fill.version, fill.payload, milliseconds(fill.ttl))


def window_filling_of(fill: WindowFill) -> WindowFilling:
    """What the script is to keep."""
    return WindowFilling(
        fill.version, fill.complete, fill.bound, milliseconds(fill.ttl), fill.members
    )
