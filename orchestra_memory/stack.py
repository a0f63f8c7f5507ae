"""``open_memory()``: the only place that knows every part."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from .errors import ConfigurationError
from .health import Health
from .operations import DEFAULT, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from .plan import Arguments, Plan, plan_for
from .protocol import MemoryManager
from .queries import Query
from .record import Record
from .settings import Fallback, Settings, revealed
from .urls import CacheUrl, FirestoreUrl, LocalUrl, SqliteUrl, StoreUrl

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .costs import Cost
    from .domain.agent_data import AgentDataStore
    from .domain.conversations import Conversations
    from .domain.records import Records
    from .domain.sessions import Sessions
    from .layers.metered import MeteredMemory

R = TypeVar("R", bound=Record)

log: logging.Logger = logging.getLogger("orchestra_memory")


@dataclass(frozen=True, slots=True)
class Description:
    """What a memory is made of: ``parts`` outermost first, ``reasons`` why, without secrets."""

    parts: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' > '.join(self.parts)} [{'; '.join(self.reasons)}]"


class Memory(MemoryManager):
    """What :func:`open_memory` yields: the composed store, and the services over it."""

    def __init__(
        self,
        inner: MemoryManager,
        *,
        meter: MeteredMemory,
        settings: Settings,
        description: Description,
    ) -> None:
        self._inner = inner
        self._meter = meter
        self._settings = settings
        self._description = description

    def __repr__(self) -> str:
        return f"<Memory {self._inner!r}>"

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        return self._settings

    def describe(self) -> Description:
        """Which parts, in order, and why."""
        return self._description

    def cost(self) -> Cost:
        """What the store billed since this was opened, by operation, for all views together.

        ``memory.cost() - before`` is what was billed in between. Embedded stores bill nothing; they
        count what the work would be billed on Firestore, nearly.
        """
        return self._meter.cost()

    @cached_property
    def conversations(self) -> Conversations:
        """What users and agents said: memory items."""
        from .domain.conversations import Conversations

        return Conversations(self, dimensions=self._settings.embedding_dimensions)

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of users."""
        from .domain.sessions import Sessions

        return Sessions(self)

    @cached_property
    def agent_data(self) -> AgentDataStore:
        """What agents keep for themselves."""
        from .domain.agent_data import AgentDataStore

        return AgentDataStore(self)

    @cached_property
    def records(self) -> Records:
        """Memory records."""
        from .domain.records import Records

        return Records(self)

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        return await self._inner.read(refs, options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._inner.write(ops, options=options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        return await self._inner.find(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._inner.aggregate(query, measures, options=options)

    async def health(self) -> Health:
        return await self._inner.health()

    def with_options(self, *, namespace: str | None = None, **options: Any) -> Memory:  # noqa: ANN401 -- as above
        inner = self._inner.with_options(namespace=namespace, **options)
        return Memory(
            inner, meter=self._meter, settings=self._settings, description=self._description
        )


@asynccontextmanager
async def open_memory(
    url: str | None = None,
    *,
    cache: str | None = None,
    journal: str | PathLike[str] | None = None,
    fallback: bool | None = None,
    settings: Settings | None = None,
) -> AsyncIterator[Memory]:
    """Compose a memory from settings and arguments; the arguments win. Use it in ``async with``.

    `url` names the store (``sqlite:///state.db``, ``firestore://project/database``, ``local:``),
    `cache` a Redis or ``"none"``, `journal` a directory that turns the outage fallback on.
    `settings` are read from the environment and ``.env`` unless given. What it opens it closes.

    Raises ``ConfigurationError``, before anything is opened, when the settings do not make a
    complete memory, or ask for a part that this version does not have.
    """
    if settings is None:
        settings = await anyio.to_thread.run_sync(Settings)
    plan = plan_for(settings, Arguments(url, cache, journal, fallback))
    refuse_missing_parts(plan)
    # Drivers take long to import: not on the event loop.
    await anyio.to_thread.run_sync(_import_parts, plan, abandon_on_cancel=True)
    async with AsyncExitStack() as opened:
        redis = await _opened_redis(plan.cache, settings, opened)
        store, inmost = await _opened_store(plan, settings, opened)
        meter, composed, parts = _layered(store, inmost, plan, settings)
        if redis is not None:
            composed = await _cached(composed, redis, plan, settings, opened)
            parts = (f"CachedMemory {plan.cache} {settings.cache_mode}", *parts)
        memory = Memory(
            _bound(composed, plan, settings),
            meter=meter,
            settings=settings,
            description=Description(parts, plan.reasons),
        )
        log.info("memory open: %s", memory.describe())
        yield memory


def refuse_missing_parts(plan: Plan) -> None:
    """A plan is kept in full or not at all: nothing is left out in silence."""
    if plan.fallback is not Fallback.NONE:
        raise ConfigurationError(
            "this version does not have every part asked for yet. It has no outage fallback and no "
            "journal: set ORCHESTRA_FALLBACK=none (or fallback=False) to go without, an outage "
            "then raises Unavailable"
        )


def _import_parts(plan: Plan) -> None:
    import_module(".layers.guarded", __package__)
    import_module(".layers.metered", __package__)
    if isinstance(plan.store, FirestoreUrl):
        import_module(".backends.firestore.memory", __package__)
        import_module(".backends.firestore.client", __package__)
    if isinstance(plan.store, SqliteUrl):
        import_module(".backends.sqlite.memory", __package__)
    if plan.cache is not None:
        import_module(".layers.cached.connect", __package__)
        import_module(".layers.cached.memory", __package__)


async def _opened_redis(
    url: CacheUrl | None, settings: Settings, opened: AsyncExitStack
) -> Redis | None:
    if url is None:
        return None
    from .layers.cached.connect import connect

    # Whoever waits for a connection in vain is told so before the time of the operation is over.
    patience = settings.cache_timeout * 0.8
    return await opened.enter_async_context(connect(url.url, patience=patience))


async def _cached(
    inner: MemoryManager, redis: Redis, plan: Plan, settings: Settings, opened: AsyncExitStack
) -> MemoryManager:
    from .layers.cached.memory import CachedMemory

    return await opened.enter_async_context(
        CachedMemory(
            inner,
            redis,
            store=await cache_name(plan.store, settings),
            ttl=settings.cache_ttl,
            mode=settings.cache_mode,
            timeout=settings.cache_timeout,
        )
    )


async def cache_name(store: StoreUrl, settings: Settings) -> str:
    """What the cache knows a store by: whoever opens the same store finds the same entries.

    The file of a SQLite store must be there.
    """
    match store:
        case LocalUrl():
            return f"local/{secrets.token_hex(8)}"
        case SqliteUrl(path):
            from .backends.sqlite.schema import store_id

            number = await anyio.to_thread.run_sync(store_id, Path(path))
            return f"sqlite/{await anyio.Path(path).resolve()}/{number}"
        case FirestoreUrl():
            emulator = f"/{store.emulator}" if store.emulator else ""
            names = f"/{settings.collections}" if settings.collections else ""
            return f"{store.project}/{store.database}{emulator}{names}"


async def _opened_store(
    plan: Plan, settings: Settings, opened: AsyncExitStack
) -> tuple[MemoryManager, str]:
    """The store, and its name."""
    match plan.store:
        case LocalUrl():
            from .backends.local import LocalMemory

            return LocalMemory(), "LocalMemory"
        case SqliteUrl(path):
            return await _opened_sqlite(path, opened), f"SqliteMemory {path}"
        case FirestoreUrl() as url:
            where = f" on the emulator at {url.emulator}" if url.emulator else ""
            name = f"FirestoreMemory {url.project}/{url.database}{where}"
            return await _opened_firestore(url, settings, opened), name


def _layered(
    store: MemoryManager, name: str, plan: Plan, settings: Settings
) -> tuple[MeteredMemory, MemoryManager, tuple[str, ...]]:
    """The meter, the store with what belongs around it, and the names of all, outermost first."""
    from .layers.guarded import GuardedMemory
    from .layers.metered import MeteredMemory

    meter = MeteredMemory(store)
    if isinstance(plan.store, LocalUrl):
        return meter, meter, ("MeteredMemory", name)
    guarded = GuardedMemory(meter, timeout=settings.timeout)
    return meter, guarded, (f"GuardedMemory {settings.timeout:g} s", "MeteredMemory", name)


async def _opened_sqlite(path: str, opened: AsyncExitStack) -> MemoryManager:
    from .backends.sqlite.memory import SqliteMemory

    directory = Path(path).parent
    try:
        await anyio.Path(directory).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"the directory of {path} cannot be made ({error.strerror}); set ORCHESTRA_HOME, or "
            "the URL, to a place this process may write to"
        ) from error
    return await opened.enter_async_context(SqliteMemory.open(path))


async def _opened_firestore(
    url: FirestoreUrl, settings: Settings, opened: AsyncExitStack
) -> MemoryManager:
    from .backends.firestore.client import connect
    from .backends.firestore.credentials import credential_source
    from .backends.firestore.memory import FirestoreMemory

    source = credential_source(
        key_json=revealed(settings.gcp_sa_key_json),
        key_path=settings.gcp_sa_key_path,
        application=settings.google_application_credentials,
    )
    # A plan is complete.
    assert url.project is not None
    assert url.database is not None
    client = await opened.enter_async_context(
        connect(url.project, url.database, emulator=url.emulator, credentials=source)
    )
    store = FirestoreMemory(client, collections=settings.collections, ramp=settings.ramp)
    opened.push_async_callback(store.aclose)
    return store


def _bound(store: MemoryManager, plan: Plan, settings: Settings) -> MemoryManager:
    """The store, every call in its namespace and as durable as the settings demand."""
    if plan.store.namespace is None and settings.min_durability is None:
        return store
    if settings.min_durability is None:
        return store.with_options(namespace=plan.store.namespace)
    return store.with_options(
        namespace=plan.store.namespace, min_durability=settings.min_durability
    )
