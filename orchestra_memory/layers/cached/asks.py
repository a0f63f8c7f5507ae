"""The protocol's steps as questions to Redis: which script, on what, with which arguments."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from ...operations import Ref, Revision
from . import replies, scripts
from .coalescing import MOST_KEYS
from .replies import Absent, Busy, Filled, Found, Intended, OtherEpoch, Published, Waiting, Window
from .scripts import Argument, Known, Mode, Script, milliseconds
from .steps import (
    Leased,
    RecordFill,
    Step,
    Target,
    WindowFill,
)

if TYPE_CHECKING:
    from .scopes import Scope

T = TypeVar("T")

RecordReply: TypeAlias = Found | Absent | Busy | Leased | Waiting
WindowReply: TypeAlias = Window | Busy | Leased | Waiting

LEASE: Final = 5.0
"""Seconds within which who was leased an entry has to fill it: a slow read below and some more. If
it dies meanwhile, others read the entry from below for so long."""
KEPT: Final = 60.0
"""Seconds that a key without data stays, for its floor; lease and floor go together anyway."""
_LEASE_MS: Final = milliseconds(LEASE)
_KEPT_MS: Final = milliseconds(KEPT)


@dataclass(slots=True)
class Ask(Generic[T]):
    """A script, what it is to be run on, its arguments, and how its answer is to be read.

    ``known``, if there is one, is tried first: it makes the answer of the epoch and the entries as
    a plain ``MGET`` finds them, or ``None``. ``meanwhile`` is called while Redis runs the script.
    """

    operation: str
    namespace: str | None
    script: Script
    targets: Sequence[Target]
    arguments: Callable[[Known], Sequence[Argument]]
    parse: Callable[[Any], T | OtherEpoch]
    known: Callable[[Any, str], T | None] | None = None
    meanwhile: Callable[[], object] | None = None


class ReadGroup(NamedTuple):
    """Reads that can share a script; what was filled before ``oldest`` is unknown to them."""

    namespace: str | None
    mode: Mode
    oldest: Revision


def read(
    group: ReadGroup, refs: Sequence[Ref[Any]], since: Revision, token: str
) -> Ask[list[replies.RecordReply]]:
    since = max(since, group.oldest)
    return Ask(
        "read",
        group.namespace,
        scripts.READ,
        refs,
        _reading(group.mode, token, since),
        replies.read_replies,
        None if group.mode == "refresh" else partial(replies.known_replies, since=since),
    )


def read_window(scope: Scope, mode: Mode, since: Revision, token: str) -> Ask[replies.WindowReply]:
    return Ask(
        "read_window",
        scope.namespace,
        scripts.READ_WINDOW,
        (scope,),
        _reading(mode, token, since),
        replies.read_window_reply,
    )


def fill(fills: Sequence[RecordFill]) -> Iterator[Ask[list[Filled]]]:
    """What shares a namespace and a token goes together."""
    for places in _grouped((each.target.namespace, each.token) for each in fills):
        some = [fills[place] for place in places]
        yield Ask(
            "fill",
            some[0].target.namespace,
            scripts.FILL,
            [each.target for each in some],
            partial(
                scripts.fill_arguments,
                token=some[0].token,
                fillings=[each.filling for each in some],
            ),
            replies.fill_replies,
        )


def fill_window(filled: WindowFill) -> Ask[Filled]:
    return Ask(
        "fill_window",
        filled.scope.namespace,
        scripts.FILL_WINDOW,
        (filled.scope,),
        partial(scripts.fill_window_arguments, token=filled.token, filling=filled.filling),
        replies.fill_window_reply,
    )


def intend(
    targets: Sequence[Target],
    token: str,
    seconds: float,
    meanwhile: Callable[[], object] | None = None,
) -> Ask[list[Intended]]:
    return Ask(
        "intend",
        targets[0].namespace,
        scripts.INTEND,
        targets,
        partial(
            scripts.intend_arguments,
            token=token,
            life=milliseconds(seconds),
            keep=milliseconds(seconds + KEPT),
        ),
        replies.intend_replies,
        meanwhile=meanwhile,
    )


def publish(steps: Sequence[Step], token: str) -> Ask[list[Published]]:
    return Ask(
        "publish",
        steps[0].target.namespace,
        scripts.PUBLISH,
        [step.target for step in steps],
        partial(
            scripts.publish_arguments,
            token=token,
            keep=_KEPT_MS,
            actions=[step.action for step in steps],
        ),
        replies.publish_replies,
    )


def shared(reply: RecordReply) -> RecordReply:
    """What one who asked for the same, but later, is told."""
    return Waiting(reply.token) if isinstance(reply, Leased) else reply


def fits_one(targets: Sequence[Target]) -> bool:
    """Whether one script can take all of these, as it nearly always can."""
    if len(targets) == 1:
        return True
    return len(targets) <= MOST_KEYS and len({target.namespace for target in targets}) == 1


def together(targets: Iterable[Target]) -> Iterator[list[int]]:
    """Places of targets that one script can take: of one namespace, and not too many."""
    return _grouped(target.namespace for target in targets)


def _grouped(groups: Iterable[Hashable]) -> Iterator[list[int]]:
    """Places of equal groups, found only as they are asked for: there may be very many."""
    begun: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places = begun.setdefault(group, [])
        places.append(place)
        if len(places) == MOST_KEYS:
            yield begun.pop(group)
    yield from begun.values()


def _reading(mode: Mode, token: str, since: Revision) -> Callable[[Known], Sequence[Argument]]:
    return partial(
        scripts.read_arguments,
        mode=mode,
        token=token,
        lease=_LEASE_MS,
        keep=_KEPT_MS,
        since=since,
    )
