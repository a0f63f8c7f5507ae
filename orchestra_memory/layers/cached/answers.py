"""Answers of the cache about records, and what is kept of those from below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from ...codec.document import decode, encode, is_expired
from ...errors import Unavailable
from ...operations import FREE, Billed, Options, Ref, Revision, Source, Stored
from ...record import Record
from ...values import utc_now
from ..sourced import SourcedRow, row_of
from .asks import RecordReply
from .entries import payload_of_read, row_in, stored_in
from .replies import Absent, Busy, Found, Waiting
from .scripts import GIVEN_BACK, Filling
from .steps import Leased, RecordFill

if TYPE_CHECKING:
    from .link import ReadMode
    from .policy import Policies

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Unreadable:
    """An entry that does not decode, be it damaged or of another release."""

    __slots__ = ()


UNREADABLE: Final = Unreadable()
Miss: TypeAlias = Busy | Leased | Waiting | Unreadable
"""Why the cache does not answer."""
_MISSES: Final = frozenset({Busy, Leased, Waiting, Unreadable})


Known: TypeAlias = Callable[[Ref[Any], RecordReply], T | None | Miss]
"""The answer in the cache's reply, or why there is none."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """What a reader wants of an answer: ``known`` of a reply, or ``made`` of one from below.

    `known` is told Redis' time and ours; it is ``None`` for what has expired.
    """

    known: Callable[[Revision, datetime, Ref[Any], RecordReply], T | None | Miss]
    made: Callable[[Ref[Any], Stored[Any]], T]

    def at(self, now: Revision) -> Known[T]:
        """How replies are to be read at this time of Redis."""
        return partial(self.known, now, utc_now())


def _known_stored(
    now: Revision, utc: datetime, ref: Ref[R], reply: RecordReply
) -> Stored[R] | None | Miss:
    if not isinstance(reply, Found):
        return None if isinstance(reply, Absent) else reply
    age = (now - reply.filled_at) / 1e6
    stored = stored_in(ref, reply.payload, age if age > 0 else 0.0)
    if stored is None:
        return UNREADABLE
    return None if is_expired(vars(stored.record), utc) else stored


def _known_row(
    now: Revision, _: datetime, ref: Ref[Any], reply: RecordReply
) -> SourcedRow | None | Miss:
    if not isinstance(reply, Found):
        return None if isinstance(reply, Absent) else reply
    row = row_in(ref, reply.payload, age=max(0, now - reply.filled_at) / 1e6)
    return UNREADABLE if row is None else row


def _itself(_: Ref[R], stored: Stored[R]) -> Stored[R]:
    return stored


AS_STORED: Final[Form[Stored[Any]]] = Form(_known_stored, _itself)
AS_ROW: Final[Form[SourcedRow]] = Form(_known_row, row_of)


def has_misses(answers: Sequence[object]) -> bool:
    return not _MISSES.isdisjoint(map(type, answers))


def lease_of(miss: Miss) -> str:
    """The lease under which an answer is being looked for, if there is one."""
    if isinstance(miss, Leased):
        return miss.token
    return miss.lease if isinstance(miss, Waiting) else ""


def own_copy(ref: Ref[R], stored: Stored[R] | None) -> Stored[R] | None:
    """The same answer for one more reader, sharing nothing mutable with the first."""
    return stored and replace(stored, record=decode(ref, encode(stored.record)))


def fill_of(
    asked: tuple[Ref[Any], str],
    stored: Stored[Any] | None,
    as_of: Revision | None,
    policies: Policies,
) -> RecordFill:
    """What to keep of an answer from below; of what cannot be kept only the lease is given back."""
    ref, token = asked
    if stored is None:
        if as_of is None:
            return given_back(asked)
        return RecordFill(ref, token, Filling(as_of, None, policies.absent_ttl(ref.model)))
    payload = payload_of_read(ref, stored, policies.of(ref.model))
    if payload is None or stored.source is not Source.PRIMARY:
        return given_back(asked)
    return RecordFill(ref, token, Filling(stored.revision, payload, policies.ttl(ref.model)))


def given_back(asked: tuple[Ref[Any], str]) -> RecordFill:
    ref, token = asked
    return RecordFill(ref, token, GIVEN_BACK)


@dataclass(slots=True)
class Call(Generic[T]):
    """One read: an answer in each place, or why there is none yet.

    ``replies`` are what the cache said at first, ``cached`` the places which that answered;
    ``moments`` counts those at which the other places were. ``polled`` are the leases of others
    that were waited for once, which is enough.
    """

    refs: Sequence[Ref[Any]]
    answers: list[T | None | Miss]
    replies: Sequence[RecordReply] = ()
    cached: frozenset[int] = frozenset()
    moments: int = 0
    as_of: Revision | None = None
    billed: Billed = FREE
    polled: frozenset[str] = frozenset()

    def open(self) -> dict[int, Miss]:
        """The places without an answer."""
        return {
            place: answer
            for place, answer in enumerate(self.answers)
            if isinstance(answer, Busy | Leased | Waiting | Unreadable)
        }

    def whole(self) -> list[T | None]:
        """All answers, when there are."""
        return [
            answer
            for answer in self.answers
            if not isinstance(answer, Busy | Leased | Waiting | Unreadable)
        ]


def holds_at_once(call: Call[Stored[Any]]) -> bool:
    """Whether there surely is a moment at which all answers hold.

    What was read later held already when the cache was asked, if its revision is not above one that
    the cache had then.
    """
    if call.moments + bool(call.cached) <= 1:
        return True
    places = list(enumerate(call.whole()))
    cached = [item.revision for place, item in places if item and place in call.cached]
    newest = max(cached, default=0)
    later = [item for place, item in places if place not in call.cached]
    return all(item is not None and item.revision <= newest for item in later)


def is_same(before: RecordReply, after: RecordReply) -> bool:
    """Whether the cache says the same of a record as it did before."""
    if not (isinstance(before, Found | Absent) and isinstance(after, Found | Absent)):
        return False
    return type(before) is type(after) and before.version == after.version


def read_mode(options: Options) -> ReadMode:
    """How the link is asked."""
    if options.cache == "only":
        return "peek"
    return "refresh" if options.cache == "refresh" or options.max_age == 0 else "use"


def unknown(call: Call[Any]) -> Unavailable:
    known = {
        ref: answer
        for ref, answer in zip(call.refs, call.answers, strict=True)
        if type(answer) not in _MISSES
    }
    return Unavailable(
        f"the cache does not know {len(call.refs) - len(known)} of the {len(call.refs)} records "
        'asked for; without cache="only" they are read from the store',
        operation="read",
        known=known,
    )
