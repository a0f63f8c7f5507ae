"""Records with scopes of every kind, and a store with a window beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import Field

from orchestra_memory import (
    Average,
    Count,
    Delete,
    JsonLike,
    JsonMap,
    LocalMemory,
    Page,
    Patch,
    Put,
    Query,
    Record,
    Ref,
    Stored,
    Sum,
    UtcDatetime,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached.entries import payload_of_read, row_in
from orchestra_memory.layers.cached.filling import change_for, contents_of
from orchestra_memory.layers.cached.policy import CachePolicy
from orchestra_memory.layers.cached.replies import Intended, Window
from orchestra_memory.layers.cached.scopes import (
    Scope,
    matters_to_windows,
    scope_of,
    scopes_of,
    sort_text,
)
from orchestra_memory.layers.cached.windows import (
    held,
    page_from,
    plans,
)
from orchestra_memory.layers.sourced import SourcedRow, document_of, row_of

NOW = datetime(2026, 5, 5, tzinfo=UTC)
POLICY = CachePolicy()
MOST = 6
MEASURES = (Count(), Sum("total", "rank"), Average("mean", "rank"), Sum("levels", "data.level"))


class Turn(
    Record,
    collection="turns",
    scopes=["user", ("user", "session")],
    indexes=[("user", "-at"), ("session", "user", "rank", "-at"), ("user", "session", "-at")],
):
    """Ordered by time in one scope, and both ways in the other, but for its shorter index."""

    id: str
    user: str
    session: str | None = None
    at: UtcDatetime
    rank: int = 0
    data: JsonMap = Field(default_factory=dict[str, JsonLike])
    expiration: UtcDatetime | None = None


class Task(
    Record,
    collection="tasks",
    scopes=["user", ("user", "session")],
    indexes=[("user", "rank", "-at"), ("user", "session", "data.level")],
):
    """Ordered both ways at once, and by what a record may lack."""

    id: str
    user: str
    session: str | None = None
    at: UtcDatetime
    rank: int = 0
    data: JsonMap = Field(default_factory=dict[str, JsonLike])
    expiration: UtcDatetime | None = None


class Fact(Record, collection="facts", scopes=["user", ("session", "user")]):
    """In no order but that of ids."""

    id: str
    user: str
    session: str | None = None
    at: UtcDatetime
    rank: int = 0
    data: JsonMap = Field(default_factory=dict[str, JsonLike])
    expiration: UtcDatetime | None = None


MODELS = (Turn, Task, Fact)
KEYS = ("a", "b", "c", "d", "e", "f", "g", "x/y", "~", "\0", "é" * 750, "/" * 1_400)
times = st.integers(0, 4).map(lambda days: NOW + timedelta(days=days))
models = st.sampled_from(MODELS)
keys = st.sampled_from(KEYS)
fields = st.fixed_dictionaries(
    {"user": st.sampled_from(("u", "u", "u", "v")), "at": times},
    optional={
        "session": st.sampled_from((None, "s", "s", "t", "")),
        "rank": st.integers(-2, 2),
        "data": st.dictionaries(
            st.sampled_from(("level", "level", "level", "name")),
            st.sampled_from((None, True, 1, 2.5, "a", "\0\1", [1], NOW, b"b", float("nan"))),
            max_size=1,
        ),
        "expiration": st.none() | times,
    },
)


@dataclass(frozen=True)
class Change:
    """Put what has these fields, delete, or patch by them."""

    kind: str
    key: str
    fields: dict[str, Any]


changes = st.lists(
    st.builds(Change, st.sampled_from(("put", "put", "put", "delete", "patch")), keys, fields),
    max_size=12,
)
CONDITIONS = st.one_of(
    st.tuples(st.just("rank"), st.sampled_from(("==", ">", "<=", "!=")), st.integers(-1, 1)),
    st.tuples(st.just("at"), st.sampled_from(("==", ">=", "<")), times),
    st.tuples(st.just("data.level"), st.sampled_from(("==", ">")), st.sampled_from((1, "a"))),
    st.tuples(st.just("rank"), st.just("in"), st.just([0, 1])),
    st.tuples(st.just("user"), st.just("=="), st.sampled_from("uv")),
)
ORDERS = st.sampled_from(
    [(), ("-at",), ("-at",), ("at",), ("rank", "-at"), ("rank",), ("data.level",), ("-at", "rank")]
)
SIZES = st.sampled_from((1, 2, 3, 5, 100))
LIMITS = st.sampled_from((None, None, 1, 2, 4, 7))


def scoped(model: type[Any], scope: dict[str, str], **rest: Any) -> Query[Any]:
    more = rest.pop("more", ())
    return Query(model, where=[*((n, "==", v) for n, v in scope.items()), *more], **rest)


scopes = st.sampled_from(({"user": "u"}, {"user": "u"}, {"user": "u", "session": "s"}))
rests = st.fixed_dictionaries(
    {
        "more": st.just([]) | st.lists(CONDITIONS, max_size=1),
        "order_by": st.just(None) | ORDERS,
        "page_size": SIZES,
        "limit": LIMITS,
    }
)
fillers = st.fixed_dictionaries(
    {
        "order_by": st.just(None) | st.just(None) | ORDERS,
        "page_size": st.sampled_from((2, 3, 100)),
        "limit": st.sampled_from((None, 2, 3, 20)),
    }
)


class Store:
    """A store with the window of one scope beside it, kept as the cache keeps it."""

    def __init__(self, model: type[Any], scope: dict[str, str]) -> None:
        self.now = NOW
        self.model = model
        self.local = LocalMemory(clock=lambda: self.now)
        found = scope_of(scoped(model, scope))
        assert found is not None
        self.scope: Scope = found
        self.window: Window | None = None

    def ref(self, key: str) -> Ref[Any]:
        return Ref(self.model, key)

    def query(self, rest: dict[str, Any]) -> Query[Any]:
        """Over the scope; in its window's order, if in none other."""
        order = rest["order_by"]
        if order is None:
            order = ["-" * order.descending + order.field for order in self.scope.order]
        scope = dict(zip(self.scope.fields, self.scope.values, strict=True))
        return scoped(self.model, scope, **{**rest, "order_by": order})

    async def stored(self, key: str) -> Stored[Any] | None:
        """What is stored, be it expired or not."""
        query = Query(self.model, include_expired=True, page_size=1_000)
        page: Page[Any] = await self.local.find(query)
        return next((item for item in page.items if item.record.key == key), None)

    async def do(self, change: Change) -> None:
        ref, old = self.ref(change.key), await self.stored(change.key)
        if change.kind == "delete":
            await self.local.write([Delete(ref)])
        elif change.kind == "put":
            record = self.model(id=change.key, **change.fields)
            await self.local.write([Put(record)])
            self.moved(record)
        elif old is not None:
            named = {n: v for n, v in change.fields.items() if n not in {"user", "session"}}
            patch = Patch(ref, set=named)
            await self.local.write([patch])
            new = await self.stored(change.key)
            assert new is not None
            if matters_to_windows(patch):
                self.moved(new.record)

    def moved(self, record: Record) -> None:
        window = self.window
        if window is None or self.scope not in scopes_of(self.ref(record.key), encode(record)):
            return
        intended = Intended(0, True, window.complete, window.bound, len(window.members))
        changes = change_for(
            self.scope, intended, {record.key: sort_text(self.scope, encode(record))}, MOST
        )
        if changes is None:
            self.window = None
            return
        members = dict(window.members) | dict(changes)
        left = tuple((key, sort) for key, sort in members.items() if sort)
        self.window = replace(window, members=left)

    async def fill(self, query: Query[Any]) -> None:
        page = await self.local.find(query)
        documents = [document_of(item.record) for item in page.items]
        contents = contents_of(query, page, documents, MOST)
        self.window = contents and Window(0, 0, contents.complete, contents.bound, contents.members)

    async def rows(self, refs: list[Ref[Any]]) -> list[SourcedRow]:
        """Half of them from entries, the rest as read below."""
        rows: list[SourcedRow | None] = []
        for place, ref in enumerate(refs):
            stored = await self.stored(ref.key)
            if stored is not None and place % 2:
                rows.append(row_of(ref, stored))
            elif stored is not None:
                payload = payload_of_read(ref, stored, POLICY)
                assert payload is not None
                rows.append(row_in(ref, payload, 1.0))
        return [row for row in rows if row is not None]

    async def page(self, query: Query[Any]) -> Page[Any] | None:
        """What the window answers."""
        known = self.window and held(self.scope, self.window)
        for plan in plans(query, known) if known else ():
            page = page_from(query, plan, await self.rows(plan.refs), self.now)
            if page is not None:
                return page
        return None


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def turns(count: int, **rest: Any) -> list[Change]:
    return [
        Change("put", KEYS[n], {"user": "u", "at": NOW + timedelta(days=n), **rest})
        for n in range(count)
    ]


async def filled(changes: list[Change], **by: Any) -> Store:
    store = Store(Turn, {"user": "u"})
    for change in changes:
        await store.do(change)
    await store.fill(scoped(Turn, {"user": "u"}, **by))
    assert store.window is not None
    return store


def history(**rest: Any) -> Query[Any]:
    return scoped(Turn, {"user": "u"}, order_by="-at", **rest)


async def keys_of(store: Store, query: Query[Any]) -> list[str] | None:
    page = await store.page(query)
    return page and [record.key for record in page.records]
