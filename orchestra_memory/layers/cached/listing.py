"""Lists, counts and sums of a scope: from its window and its records' own entries, else below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ...backends.rows import position_of
from ...codec.cursor import encode_cursor
from ...errors import CacheUnavailable, CorruptRecord, SchemaTooNew, Unavailable
from ...operations import Measure, Options, Page, Ref, Totals
from ...queries import MAX_PAGE_SIZE, Query
from ...record import Record
from ...resilience.deadline import Deadline, remaining
from ...slices import mapped, sliced
from ...values import utc_now
from ..sourced import document_of, row_of
from .answers import read_mode
from .below import Below, until
from .filling import contents_of, may_fill
from .reading import POLL, Reader
from .replies import Waiting, Window
from .scopes import Scope, scope_of
from .scripts import GIVEN_BACK, WindowFilling
from .steps import Leased, RecordFill, WindowFill
from .windows import answer_from, held, plan_for_totals, plans, shows_all, totals_from

if TYPE_CHECKING:
    from .link import Link, ReadMode
    from .policy import Policies

R = TypeVar("R", bound=Record)

ROUNDS: Final = 2
"""How often a reader asks for a window that others fill, before it goes below itself."""


@dataclass(slots=True)
class ListFlight:
    """A query under way below, whose answer others wait for.

    They are given its ``window``, ``None`` if it fails, rather than its page: what is deleted or
    patched voids no lease of a window, so that they have to look at the records themselves.
    """

    window: Window | None = None
    landed: anyio.Event = field(default_factory=anyio.Event)


def window_of(fill: WindowFill | None) -> Window | None:
    """The window as it would be found when it is filled so."""
    if fill is None:
        return None
    filling = fill.filling
    return Window(filling.version, 0, filling.complete, filling.bound, tuple(filling.members))


def one_more(query: Query[R]) -> Query[R]:
    """The query with one more record than its page holds, so as to know later that more follow.

    Without it, the window could not answer this very query: a page tells whether it is the last.
    """
    if query.limit is not None and query.limit <= query.page_size:
        return query
    return query.with_(page_size=min(query.page_size + 1, MAX_PAGE_SIZE))


def cut_to(query: Query[R], page: Page[R]) -> Page[R]:
    """The query's own page, of one that holds a record more."""
    items = page.items[: query.page_size]
    if len(items) == len(page.items):
        return page
    ref = Ref(query.model, items[-1].record.key, query.namespace)
    end = position_of(query, row_of(ref, items[-1]), len(items))
    return replace(page, items=items, cursor=encode_cursor(query, end))


def window_mode(query: Query[Any], scope: Scope, options: Options) -> ReadMode | None:
    """How the window is asked for, ``None`` if not at all.

    It is leased only where what the query finds below may fill it.
    """
    mode = read_mode(options)
    if may_fill(query) and (query.order_by == scope.order or shows_all(query, scope)):
        return mode
    return None if mode == "refresh" else "peek"


class Lister:
    """Answers queries through the cache."""

    def __init__(self, below: Below, link: Link, reader: Reader, policies: Policies) -> None:
        self._below = below
        self._link = link
        self._reader = reader
        self._policies = policies
        self._flights: dict[tuple[Scope, str], ListFlight] = {}

    async def find(self, query: Query[R], options: Options) -> Page[R]:
        scope = self._scope(query, options)
        if scope is not None:
            deadline = Deadline.after(options.timeout)
            try:
                page = await self._found(query, scope, options, deadline)
            except CacheUnavailable:
                page = None
            if page is not None:
                return page
            options = remaining(options, deadline)
        if options.cache == "only":
            raise _unknown("find")
        return await self._below.find(query, options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], options: Options
    ) -> Totals:
        scope = self._scope(query, options)
        if scope is not None and options.cache != "refresh":
            deadline = Deadline.after(options.timeout)
            try:
                totals = await self._totals(query, scope, measures, options)
            except (CacheUnavailable, CorruptRecord, SchemaTooNew):
                totals = None
            if totals is not None:
                return totals
            options = remaining(options, deadline)
        if options.cache == "only":
            raise _unknown("aggregate")
        return await self._below.aggregate(query, measures, options)

    def _scope(self, query: Query[Any], options: Options) -> Scope | None:
        """The scope whose window may answer, if any may."""
        policy = self._policies.of(query.model)
        if options.cache == "bypass" or options.corrupt == "skip":
            return None
        return scope_of(query) if policy.windows and policy.records else None

    async def _found(
        self, query: Query[R], scope: Scope, options: Options, deadline: Deadline
    ) -> Page[R] | None:
        """The page, ``None`` where the query is to be asked below, without filling anything."""
        mode = window_mode(query, scope, options)
        if mode is None:
            return None
        for turn in range(ROUNDS):
            reply = await self._link.read_window(scope, mode=mode, max_age=options.max_age)
            if isinstance(reply, Window):
                page = await self._answered(query, scope, reply, options)
                if page is not None or mode != "use" or not self._can_hold(query):
                    return page
                reply = await self._link.read_window(scope, mode="refresh")
            if isinstance(reply, Leased) and mode != "peek":
                return await self._filling(query, scope, reply.token, remaining(options, deadline))
            if not isinstance(reply, Waiting) or mode == "peek":
                return None
            left = remaining(options, deadline)
            if turn and (scope, reply.lease) not in self._flights:
                return await self._shared(query, scope, reply.lease, left)
            with until(deadline, "find"):
                page = await self._waited(query, scope, reply.lease, left)
            if page is not None:
                return page
        return None

    async def _answered(
        self, query: Query[R], scope: Scope, window: Window, options: Options
    ) -> Page[R] | None:
        """The page, if the window and its records tell it."""
        kept = held(scope, window)
        try:
            for plan in plans(query, kept) if kept else ():
                rows, billed = await self._reader.rows(plan.refs, options)
                answer = answer_from(query, plan, rows, utc_now())
                if answer is not None:
                    async for row in sliced(answer.rows):
                        answer.add(row)
                    return answer.page(billed)
        except (CorruptRecord, SchemaTooNew):
            # The store tells which record it is, if it is still asked for at all.
            pass
        return None

    def _can_hold(self, query: Query[Any]) -> bool:
        """Whether a window filled anew could hold what the query finds."""
        size = query.page_size if query.limit is None else min(query.limit, query.page_size)
        return size <= self._policies.of(query.model).window

    async def _totals(
        self, query: Query[Any], scope: Scope, measures: Sequence[Measure], options: Options
    ) -> Totals | None:
        reply = await self._link.read_window(scope, mode="peek", max_age=options.max_age)
        kept = held(scope, reply) if isinstance(reply, Window) else None
        plan = plan_for_totals(query, kept) if kept else None
        if plan is None:
            return None
        rows, billed = await self._reader.rows(plan.refs, options)
        return totals_from(query, measures, rows, utc_now(), billed)

    async def _filling(
        self, query: Query[R], scope: Scope, token: str, options: Options
    ) -> Page[R]:
        """The page from below, of which the window is filled."""
        fill: WindowFill | None = None
        asked = one_more(query)
        with self._flight(scope, token) as flight:
            try:
                found = await self._below.find(asked, replace(options, cache="use"))
                fill = await self._fill_of(asked, scope, token, found)
                flight.window = window_of(fill)
                flight.landed.set()
            finally:
                await self._fill(scope, token, fill)
        return cut_to(query, found)

    async def _shared(self, query: Query[R], scope: Scope, lease: str, options: Options) -> Page[R]:
        """The page from below, for all of this process who wait for another's lease, too."""
        asked = one_more(query)
        with self._flight(scope, lease) as flight:
            found = await self._below.find(asked, replace(options, cache="use"))
            flight.window = window_of(await self._fill_of(asked, scope, lease, found))
        return cut_to(query, found)

    async def _fill_of(
        self, query: Query[R], scope: Scope, token: str, page: Page[R]
    ) -> WindowFill | None:
        """What to keep of the page, ``None`` for nothing."""
        if page.as_of is None or not page.complete:
            return None
        documents = await mapped(lambda item: document_of(item.record), page.items)
        # One more than pages may hold: whether it is there tells that the page before has a next.
        most = self._policies.of(scope.model).window + 1
        contents = contents_of(query, page, documents, most)
        if contents is None:
            return None
        filling = WindowFilling(
            page.as_of,
            contents.complete,
            contents.bound,
            self._policies.ttl(scope.model),
            contents.members,
        )
        return WindowFill(scope, token, filling)

    async def _fill(self, scope: Scope, token: str, fill: WindowFill | None) -> None:
        with anyio.CancelScope(shield=True):
            try:
                if fill is None:
                    await self._link.fill([RecordFill(scope, token, GIVEN_BACK)])
                else:
                    await self._link.fill_window(fill)
            except CacheUnavailable:
                # Counted where it was met; the lease ends by itself.
                return

    @contextmanager
    def _flight(self, scope: Scope, lease: str) -> Iterator[ListFlight]:
        flight = ListFlight()
        # Another may be under way for it: who holds a lease can learn so after who waits for it.
        is_joinable = self._flights.setdefault((scope, lease), flight) is flight
        try:
            yield flight
        finally:
            flight.landed.set()
            if is_joinable:
                del self._flights[scope, lease]

    async def _waited(
        self, query: Query[R], scope: Scope, lease: str, options: Options
    ) -> Page[R] | None:
        """What another reader of this process lets tell; for others, a moment is waited."""
        flight = self._flights.get((scope, lease))
        if flight is None:
            await anyio.sleep(POLL)
            return None
        await flight.landed.wait()
        window = flight.window
        return None if window is None else await self._answered(query, scope, window, options)


def _unknown(operation: str) -> Unavailable:
    return Unavailable(
        'the cache alone cannot answer this; without cache="only" the store is asked',
        operation=operation,
    )
