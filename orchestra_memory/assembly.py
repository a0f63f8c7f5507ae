"""The parts of a plan, one around the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from .errors import ConfigurationError
from .moments import Freezable
from .opening import cache_name, opened_redis, opened_store
from .operations import Revision
from .plan import Plan
from .protocol import MemoryManager
from .settings import AppEnv, Fallback, Settings
from .urls import FirestoreUrl, LocalUrl, SqliteUrl

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .domain.privacy import Forget
    from .layers.cached.memory import CachedMemory
    from .layers.fallback.memory import FallbackMemory
    from .layers.guarded import GuardedMemory
    from .layers.metered import MeteredMemory
    from .resilience.journal import Journal, VolatileJournal

CONFIRM: Final = 0.25
"""Seconds for a look at the store after a missed deadline, before it is taken for gone."""


class Still:
    """The bare store as of a moment, metered and with a deadline like the one that goes on."""

    def __init__(self, store: MemoryManager, meter: MeteredMemory, settings: Settings) -> None:
        self._store = store
        self._meter = meter
        self._settings = settings

    @asynccontextmanager
    async def frozen(self, as_of: Revision | None = None) -> AsyncIterator[MemoryManager]:
        from .layers.guarded import GuardedMemory
        from .layers.metered import MeteredMemory

        # Every store that can be opened here can stand still.
        assert isinstance(self._store, Freezable)
        async with self._store.frozen(as_of) as still:
            metered = MeteredMemory(still)
            try:
                yield GuardedMemory(metered, timeout=self._settings.timeout)
            finally:
                self._meter.add(metered.cost())


@dataclass(frozen=True, slots=True)
class Assembly:
    """What calls go to, what lies within it, and the names of all parts, outermost first.

    ``forgetting`` has those parts forget a user that keep copies of their own.
    """

    outmost: MemoryManager
    meter: MeteredMemory
    store: Still
    parts: tuple[str, ...]
    forgetting: tuple[Forget, ...] = ()


def import_parts(plan: Plan) -> None:
    """Import what this plan needs; blocks."""
    modules = {
        "layers.guarded": True,
        "layers.metered": True,
        "backends.firestore.memory": isinstance(plan.store, FirestoreUrl),
        "backends.firestore.client": isinstance(plan.store, FirestoreUrl),
        "backends.sqlite.memory": isinstance(plan.store, SqliteUrl),
        "layers.cached.connect": plan.cache is not None,
        "layers.cached.memory": plan.cache is not None,
        "layers.fallback.memory": plan.fallback is not Fallback.NONE,
    }
    for module, is_needed in modules.items():
        if is_needed:
            import_module(f".{module}", __package__)


class _Layers:
    """Layers put around a store, one after the other."""

    def __init__(self, store: MemoryManager, name: str) -> None:
        self.outmost = store
        self.names = [name]

    def put(self, layer: MemoryManager, name: str) -> None:
        self.outmost = layer
        self.names.insert(0, name)


async def assembled(plan: Plan, settings: Settings, opened: AsyncExitStack) -> Assembly:
    """The parts of this plan; what has to be closed is closed with `opened`.

    Raises ``ConfigurationError`` for what cannot be opened as the settings say.
    """
    from .layers.metered import MeteredMemory

    redis = None if plan.cache is None else await opened_redis(plan.cache, settings, opened)
    layers = _Layers(*await opened_store(plan.store, settings, opened))
    store, meter = layers.outmost, MeteredMemory(layers.outmost)
    layers.put(meter, "MeteredMemory")
    guard, cached, known_by = None, None, ""
    forgetting: list[Forget] = []
    if plan.fallback is not Fallback.NONE or not isinstance(plan.store, LocalUrl):
        guard = _guarded(meter, plan, settings)
        layers.put(guard, f"GuardedMemory {settings.timeout:g} s")
    if plan.fallback is not Fallback.NONE or redis is not None:
        known_by = await cache_name(plan.store, settings)
    if redis is not None:
        cached = _cached(layers.outmost, redis, known_by, settings)
        await opened.enter_async_context(cached)
        forgetting.append(_forgets(redis, known_by))
        layers.put(cached, f"CachedMemory {plan.cache} {settings.cache_mode}")
    if guard is not None and plan.fallback is not Fallback.NONE:
        journal = await _opened_journal(plan, known_by, settings, opened)
        fallback = _fallback(layers.outmost, journal, guard, cached, settings)
        await opened.enter_async_context(fallback)
        # What waits goes to the store first, and by way of the cache.
        forgetting.insert(0, fallback.forget_user)
        layers.put(fallback, f"FallbackMemory {_named(plan, journal)}")
    still = Still(store, meter, settings)
    return Assembly(layers.outmost, meter, still, (*layers.names,), (*forgetting,))


def _guarded(store: MemoryManager, plan: Plan, settings: Settings) -> GuardedMemory:
    from .layers.guarded import GuardedMemory
    from .resilience.breaker import Breaker, BreakerSettings

    # Without a fallback nobody would close it again.
    breaks = plan.fallback is not Fallback.NONE
    breaker = Breaker(BreakerSettings(confirm=CONFIRM)) if breaks else None
    return GuardedMemory(store, timeout=settings.timeout, breaker=breaker)


def _cached(inner: MemoryManager, redis: Redis, known_by: str, settings: Settings) -> CachedMemory:
    from .layers.cached.memory import CachedMemory
    from .layers.cached.policy import CachePolicy
    from .layers.fallback.markers import Marker

    return CachedMemory(
        inner,
        redis,
        store=known_by,
        ttl=settings.cache_ttl,
        mode=settings.cache_mode,
        timeout=settings.cache_timeout,
        # Nobody reads a marker but the replay, and that past the cache.
        policies={Marker: CachePolicy(records=False, windows=False)},
    )


def _forgets(redis: Redis, known_by: str) -> Forget:
    """Has the cache of a store forget a user."""
    from .layers.cached.keys import Keyspace
    from .layers.cached.tending import Tending

    tending = Tending(redis, Keyspace(known_by))

    async def forget(user_id: str, namespace: str | None) -> dict[str, int]:
        return {"cache": await tending.drop_user(namespace, user_id)}

    return forget


async def _opened_journal(
    plan: Plan, known_by: str, settings: Settings, opened: AsyncExitStack
) -> Journal | VolatileJournal:
    from .resilience.journal import Journal, VolatileJournal
    from .resilience.journal.logged import log_event

    if plan.journal is None:
        return VolatileJournal(target=known_by)
    opening = Journal.open(
        plan.journal, target=known_by, medium=settings.journal_medium, hooks=[log_event]
    )
    journal = await opened.enter_async_context(opening)
    is_meant = settings.app_env is not AppEnv.PRODUCTION or settings.min_durability is not None
    if journal.medium == "ephemeral" and not is_meant:
        raise ConfigurationError(
            f"APP_ENV=production, but the journal in {plan.journal} does not outlive this machine, "
            "nor do the writes of an outage; set ORCHESTRA_JOURNAL_DIR to a persistent disk (and "
            "ORCHESTRA_JOURNAL_MEDIUM=persistent if this is one), or say what is meant: "
            "ORCHESTRA_MIN_DURABILITY=volatile takes the risk, committed refuses such writes"
        )
    return journal


def _fallback(
    primary: MemoryManager,
    journal: Journal | VolatileJournal,
    guard: GuardedMemory,
    cached: CachedMemory | None,
    settings: Settings,
) -> FallbackMemory:
    from .layers.fallback.memory import FallbackMemory

    return FallbackMemory(
        primary,
        journal=journal,
        guard=guard,
        min_durability=settings.min_durability,
        drain=settings.drain,
        bypassed=lambda: cached is not None and cached.status().state != "closed",
    )


def _named(plan: Plan, journal: Journal | VolatileJournal) -> str:
    return "volatile" if plan.journal is None else f"{plan.journal} {journal.medium}"
