"""Records by id: what the cache knows of them, and the rest from below, once for all who ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ...errors import CacheUnavailable, Unavailable
from ...operations import Billed, Options, Ref, Snapshot, Stored
from ...record import Record
from ...resilience.deadline import Deadline, remaining
from ...slices import mapped
from ..sourced import SourcedRow
from .answers import (
    AS_ROW,
    AS_STORED,
    UNREADABLE,
    Call,
    Form,
    Miss,
    Unreadable,
    fill_of,
    given_back,
    has_misses,
    holds_at_once,
    is_same,
    lease_of,
    own_copy,
    read_mode,
    unknown,
)
from .below import Below, until
from .replies import BUSY, Waiting
from .steps import Leased, RecordFill

if TYPE_CHECKING:
    from .link import Link, ReadMode, RecordReply
    from .policy import Policies

R = TypeVar("R", bound=Record)
T = TypeVar("T")

ROUNDS: Final = 3
"""How often a reader asks while others fill what it wants, before it goes below itself."""
POLL: Final = 0.005
"""Seconds that a reader waits for what another process is filling."""


@dataclass(slots=True)
class Flight:
    """A read below that others wait for; ``answers`` stays ``None`` if it fails.

    ``failure`` is how it failed, if that would be no other for who sets no deadline either.
    """

    answers: Mapping[Ref[Any], Stored[Any] | None] | None = None
    failure: Unavailable | None = None
    landed: anyio.Event = field(default_factory=anyio.Event)


class Reader:
    """Reads records through the cache."""

    def __init__(self, below: Below, link: Link, policies: Policies) -> None:
        self._below = below
        self._link = link
        self._policies = policies
        self._flights: dict[tuple[Ref[Any], str], Flight] = {}

    async def read(self, refs: Sequence[Ref[R]], options: Options) -> Snapshot[R]:
        if options.cache == "bypass" or not refs:
            return await self._below.read(refs, options)
        try:
            replies, answers = await self._begun(refs, options, AS_STORED)
        except CacheUnavailable:
            if options.cache == "only":
                raise unknown(Call(refs, [UNREADABLE] * len(refs))) from None
            return await self._below.read(refs, options)
        if not has_misses(answers):
            return Snapshot(tuple(answers))  # type: ignore[arg-type]  # none is a miss
        deadline = Deadline.after(options.timeout)
        call = await self._completed(Call(refs, answers, replies), options, deadline, AS_STORED)
        if not holds_at_once(call) and not await self._still_holds(call):
            left = replace(remaining(options, deadline), cache="bypass")
            whole = await self._below.read(refs, left)
            return replace(whole, billed=whole.billed + call.billed)
        return Snapshot(tuple(call.whole()), call.as_of, call.billed)

    async def rows(
        self, refs: Sequence[Ref[Any]], options: Options
    ) -> tuple[list[SourcedRow], Billed]:
        """What exists of these, be it expired or not, to be looked at before it is decoded."""
        replies, answers = await self._begun(refs, options, AS_ROW)
        call = Call(refs, answers, replies)
        if has_misses(answers):
            call = await self._completed(call, options, Deadline.after(options.timeout), AS_ROW)
        return [row for row in call.whole() if row is not None], call.billed

    async def _begun(
        self, refs: Sequence[Ref[Any]], options: Options, form: Form[T]
    ) -> tuple[Sequence[RecordReply], list[T | None | Miss]]:
        """What the cache answers by itself. Raises ``CacheUnavailable``."""
        replies = await self._asked(refs, read_mode(options), options.max_age)
        known = form.at(self._link.now())
        if len(refs) == 1:
            return replies, [known(refs[0], replies[0])]
        return replies, await mapped(known, refs, replies)

    async def _asked(
        self, refs: Sequence[Ref[Any]], mode: ReadMode, max_age: float | None
    ) -> Sequence[RecordReply]:
        passed_over = self._policies.passed_over
        if passed_over.isdisjoint({ref.model for ref in refs}):
            return await self._link.read(refs, mode=mode, max_age=max_age)
        kept = [ref.model not in passed_over for ref in refs]
        wanted = [ref for ref, keeps in zip(refs, kept, strict=True) if keeps]
        replies = await self._link.read(wanted, mode=mode, max_age=max_age) if wanted else []
        left = iter(replies)
        return [next(left) if keeps else BUSY for keeps in kept]

    async def _completed(
        self, call: Call[T], options: Options, deadline: Deadline, form: Form[T]
    ) -> Call[T]:
        """The call with the answers the cache does not have. Raises what the store raises."""
        if options.cache == "only":
            raise unknown(call)
        call.cached = frozenset(range(len(call.refs))) - call.open().keys()
        await self._lease_unreadable(call, form)
        for turn in range(ROUNDS):
            if turn == ROUNDS - 1 or self._goes_below(call):
                await self._fetch(call, remaining(options, deadline), form)
                break
            with until(deadline, "read"):
                await self._wait(call, form, patient=deadline.at is None)
            if has_misses(call.answers):
                await self._ask_again(call, list(call.open()), "use", form, options.max_age)
            if not has_misses(call.answers):
                break
        return call

    async def _still_holds(self, call: Call[Stored[Any]]) -> bool:
        """Whether what the cache said at first is so still, now that the rest was read at once."""
        if not call.cached or call.moments > 1:
            return False
        places = sorted(call.cached)
        try:
            again = await self._link.read([call.refs[place] for place in places], mode="peek")
        except CacheUnavailable:
            return False
        return all(map(is_same, (call.replies[place] for place in places), again))

    def _goes_below(self, call: Call[Any]) -> bool:
        """Whether there is anything that others do not answer.

        Then all that is missing is read, rather than waited for, so that it is of one moment.
        """
        return not all(
            isinstance(miss, Waiting)
            and (miss.lease not in call.polled or (call.refs[place], miss.lease) in self._flights)
            for place, miss in call.open().items()
        )

    async def _lease_unreadable(self, call: Call[T], form: Form[T]) -> None:
        """Ask for the leases of entries that are there but of no use, so as to replace them."""
        places = [n for n, miss in call.open().items() if isinstance(miss, Unreadable)]
        if places:
            await self._ask_again(call, places, "refresh", form)

    async def _ask_again(
        self,
        call: Call[T],
        places: Sequence[int],
        mode: ReadMode,
        form: Form[T],
        max_age: float | None = None,
    ) -> None:
        refs = [call.refs[place] for place in places]
        try:
            again: Sequence[RecordReply] = await self._link.read(refs, mode=mode, max_age=max_age)
        except CacheUnavailable:
            again = [BUSY] * len(refs)
        known = form.at(self._link.now())
        for place, ref, reply in zip(places, refs, again, strict=True):
            call.answers[place] = known(ref, reply)
        if not set(places) <= call.open().keys():
            call.moments += 1

    async def _fetch(self, call: Call[T], options: Options, form: Form[T]) -> None:
        """Read below what is missing, and keep what this call holds the lease of."""
        misses = call.open()
        asked = {call.refs[place]: miss for place, miss in misses.items()}
        snapshot = await self._fetched(asked, options)
        left = dict(zip(asked, snapshot.items, strict=True))
        for place in misses:
            ref = call.refs[place]
            stored = left[ref]
            call.answers[place] = None if stored is None else form.made(ref, stored)
            if len(asked) < len(misses):
                # It may be asked for once more.
                left[ref] = own_copy(ref, stored)
        call.moments += 1
        call.billed += snapshot.billed
        if len(misses) == len(call.answers):
            call.as_of = snapshot.as_of

    async def _fetched(self, asked: Mapping[Ref[Any], Miss], options: Options) -> Snapshot[Record]:
        refs = list(asked)
        leases = [(ref, miss.token) for ref, miss in asked.items() if isinstance(miss, Leased)]
        # Only for "use" all stores tell as of when something is absent.
        options = replace(options, cache="use" if leases else "bypass")
        fills = [given_back(lease) for lease in leases]
        with self._flight(asked, is_bounded=options.timeout is not None) as flight:
            try:
                snapshot = await self._below.read(refs, options)
                found = dict(zip(refs, snapshot.items, strict=True))
                flight.answers = found
                flight.landed.set()
                fills = await mapped(
                    lambda lease: fill_of(lease, found[lease[0]], snapshot.as_of, self._policies),
                    leases,
                )
            finally:
                if fills:
                    await self._fill(fills)
        return snapshot

    @contextmanager
    def _flight(self, asked: Mapping[Ref[Any], Miss], *, is_bounded: bool) -> Iterator[Flight]:
        """A flight for who is told to wait for a lease that is held, here or elsewhere.

        As long as it is held nobody writes, so that the answer is good for all who are told so.
        """
        flight = Flight()
        keys = [(ref, lease) for ref, miss in asked.items() if (lease := lease_of(miss))]
        own = [key for key in keys if self._flights.setdefault(key, flight) is flight]
        try:
            yield flight
        except Unavailable as error:
            flight.failure = None if is_bounded else error
            raise
        finally:
            flight.landed.set()
            for key in own:
                del self._flights[key]

    async def _fill(self, fills: Sequence[RecordFill]) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._link.fill(fills)
            except CacheUnavailable:
                # Counted where it was met; the lease ends by itself.
                return

    async def _wait(self, call: Call[T], form: Form[T], *, patient: bool) -> None:
        """Wait for the flights of this process and take their answers; for others, a moment.

        Who is `patient`, as nobody set a deadline, takes their failures, too: with a store that
        hangs, it would else wait for one deadline of the store after the other.
        """
        # All are looked up before any is waited for: they may end meanwhile.
        flights: dict[int, Flight] = {}
        elsewhere: set[str] = set()
        for place, miss in call.open().items():
            if flight := self._flights.get((call.refs[place], lease_of(miss))):
                flights[place] = flight
            else:
                elsewhere.add(lease_of(miss))
        for place, flight in flights.items():
            await flight.landed.wait()
            if patient and flight.failure is not None:
                failure = flight.failure
                raise type(failure)(str(failure), operation=failure.operation) from failure
            if flight.answers is not None:
                ref = call.refs[place]
                stored = own_copy(ref, flight.answers[ref])
                call.answers[place] = None if stored is None else form.made(ref, stored)
        call.moments += len({id(flight) for flight in flights.values() if flight.answers})
        if elsewhere:
            call.polled |= elsewhere
            await anyio.sleep(POLL)
