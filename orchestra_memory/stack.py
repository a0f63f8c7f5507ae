"""``open_memory()``: the only place that knows every part."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from .assembly import assembled, import_parts
from .health import Health
from .moments import Freezable, FrozenView
from .operations import (
    DEFAULT,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Revision,
    Snapshot,
    Totals,
)
from .plan import Arguments, Plan, plan_for
from .protocol import MemoryManager
from .queries import Query
from .record import Record
from .settings import Fallback, Settings

if TYPE_CHECKING:
    from .costs import Cost
    from .domain.agent_data import AgentDataStore
    from .domain.agents import Agents
    from .domain.analytics import Analytics
    from .domain.conversations import Conversations
    from .domain.coordination import Coordination
    from .domain.privacy import Forget, Privacy
    from .domain.records import Records
    from .domain.sessions import Sessions
    from .domain.system import System
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
        store: Freezable,
        settings: Settings,
        description: Description,
        namespace: str | None = None,
        forgetting: Sequence[Forget] = (),
    ) -> None:
        self._inner = inner
        self._meter = meter
        self._store = store
        self._settings = settings
        self._description = description
        self._namespace = namespace
        self._forgetting = forgetting

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
    def agents(self) -> Agents:
        """The states of agents, and what they have learned."""
        from .domain.agents import Agents

        return Agents(self)

    @cached_property
    def analytics(self) -> Analytics:
        """Figures about agents, what happens between them, and what is stored."""
        from .domain.alerts import Thresholds
        from .domain.analytics import Analytics

        thresholds = Thresholds(
            window=timedelta(seconds=self._settings.alert_window),
            errors=self._settings.alert_errors,
            failure_rate=self._settings.alert_failure_rate,
            least_events=self._settings.alert_least_events,
            failed_agents=self._settings.alert_failed_agents,
        )
        return Analytics(self, thresholds=thresholds)

    @cached_property
    def privacy(self) -> Privacy:
        """Everything of one user: counted, written out, and erased."""
        from .domain.privacy import Privacy

        return Privacy(self, namespace=self._namespace, forgetting=self._forgetting)

    @cached_property
    def records(self) -> Records:
        """Memory records."""
        from .domain.records import Records

        return Records(self)

    def frozen(self, as_of: Revision | None = None) -> AbstractAsyncContextManager[MemoryManager]:
        """The records of the store itself as of one moment, for ``async with``; read-only.

        Nothing that is written meanwhile is seen, nor what waits in a journal. The moment is now,
        or `as_of`, on the store's clock; see :class:`~orchestra_memory.moments.Freezable`.
        """
        return self._store.frozen(as_of)

    @cached_property
    def coordination(self) -> Coordination:
        """What happens between agents: spawns, handoffs, errors."""
        from .domain.coordination import Coordination

        return Coordination(self)

    @cached_property
    def system(self) -> System:
        """The state of the whole system, and its emergency stop."""
        from .domain.system import System

        return System(self)

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
            inner,
            meter=self._meter,
            store=FrozenView(self._store, namespace, options),
            settings=self._settings,
            description=self._description,
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

    At the end, writes of an outage that still wait are brought to the store for at most
    ``ORCHESTRA_DRAIN`` seconds; the rest stays in the journal for the next process.

    Raises ``ConfigurationError``, before anything is opened, when the settings do not make a
    complete memory, and where what they name cannot be opened as they say.
    """
    if settings is None:
        settings = await anyio.to_thread.run_sync(Settings)
    plan = plan_for(settings, Arguments(url, cache, journal, fallback))
    # Drivers take long to import: not on the event loop.
    await anyio.to_thread.run_sync(import_parts, plan, abandon_on_cancel=True)
    async with AsyncExitStack() as opened:
        assembly = await assembled(plan, settings, opened)
        memory = Memory(
            _bound(assembly.outmost, plan, settings),
            meter=assembly.meter,
            store=FrozenView(assembly.store, plan.store.namespace, {}),
            settings=settings,
            description=Description(assembly.parts, plan.reasons),
            namespace=plan.store.namespace,
            forgetting=assembly.forgetting,
        )
        log.info("memory open: %s", memory.describe())
        yield memory


def _bound(memory: MemoryManager, plan: Plan, settings: Settings) -> MemoryManager:
    """The memory, every call in its namespace and as durable as the settings demand."""
    # A fallback knows it already: said here, it would be the caller's own word for each call.
    demanded = settings.min_durability if plan.fallback is Fallback.NONE else None
    options = {} if demanded is None else {"min_durability": demanded}
    if plan.store.namespace is None and not options:
        return memory
    return memory.with_options(namespace=plan.store.namespace, **options)
