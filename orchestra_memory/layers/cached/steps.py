"""What the cache layer asks of Redis: of which entry, and what is to be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...operations import Ref
from .scripts import Action, Filling, WindowFilling

if TYPE_CHECKING:
    from .scopes import Scope

Target: TypeAlias = "Ref[Any] | Scope"
"""What an entry in Redis is about: one record, or the window of one scope."""


@dataclass(frozen=True, slots=True)
class Leased:
    """Nothing is known, and who asked may fill it, in the name of ``token``."""

    token: str


class RecordFill(NamedTuple):
    """A record as read below, in the name of a lease; of a window, too, one can be given back."""

    target: Target
    token: str
    filling: Filling


class WindowFill(NamedTuple):
    """The first members of a scope as read below, in the name of a lease."""

    scope: Scope
    token: str
    filling: WindowFilling


class Step(NamedTuple):
    """What becomes of an entry by a write."""

    target: Target
    action: Action
