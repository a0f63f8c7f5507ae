"""What happens between agents: told as it happens, asked for afterwards, and followed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any, Final, Unpack

import anyio

from ..errors import InvalidRecord, OrchestraMemoryError
from ..models import AgentState, CoordinationEvent, CoordinationEventType, random_id
from ..operations import Op, Page
from ..protocol import MemoryManager
from ..values import JsonMap
from . import coordination_events as events
from . import families, issued, last_words
from .agent_changes import key_of_agent
from .coordination_events import source, target, told
from .families import Branch
from .following import Following
from .issued import Window
from .shards import SHARDS, all_shards, checked_shards, shard_of
from .system import addition, error_counter

log: Final = logging.getLogger("orchestra_memory.coordination")


class Coordination:
    """The events between agents in `memory`.

    An agent is given as its state, or as the key of that: ``AgentState.key_of(type, id, session)``.
    Events are spread over so many ``shards``, 8 by default and at most 30; Firestore takes about
    500 events a second in each. The number may be raised later, but not lowered: what lies beyond
    it would not be found. ``counted`` has spawns, ends and errors counted in the system's state by
    the same commit; where agents come and go many times a second that one document is what slows
    them down, and ``False`` leaves it alone.

    Raises ``ConfigurationError`` for another number of shards.
    """

    def __init__(
        self, memory: MemoryManager, *, shards: int = SHARDS, counted: bool = True
    ) -> None:
        self._memory = memory
        self._shards = checked_shards(shards)
        self._counted = counted

    def __repr__(self) -> str:
        return f"<Coordination shards={self._shards} in {self._memory!r}>"

    async def record(self, event: CoordinationEvent) -> CoordinationEvent:
        """Store an event that was made elsewhere, and return it as stored. Safe to repeat."""
        event = event.evolve(shard=shard_of(event.event_id, self._shards))
        await self._memory.put(event)
        return event

    async def spawn(
        self,
        child: AgentState,
        *,
        parent: AgentState | str | None = None,
        task_context: JsonMap | None = None,
        context: JsonMap | None = None,
    ) -> AgentState:
        """Store a new agent, its place in its parent's list and the event, and return its state.

        All that is one atomic write, and nothing is read before it. What is stored under the
        child's key is replaced. Raises ``Conflict`` if the parent is not stored.
        """
        child = events.spawned(child, parent)
        event = self._event(
            events.SPAWN,
            **source(parent),
            **target(child),
            task_context=task_context,
            context=context,
            success=True,
        )
        ops = events.spawning(event, child, parent)
        await self._write(ops, total_agents_spawned=1, current_agent_count=1)
        return child

    async def terminate(
        self,
        agent: AgentState | str,
        *,
        by: AgentState | str | None = None,
        context: JsonMap | None = None,
    ) -> CoordinationEvent:
        """Note that an agent has ended, in its state and as an event; one atomic write.

        `by` is who ended it, if another did. Each call counts, so call it once for each agent.
        Raises ``Conflict`` if the agent is not stored.
        """
        event = self._event(
            events.TERMINATION, **source(by), **target(agent), context=context, success=True
        )
        await self._write(events.terminating(event, agent), current_agent_count=-1)
        return event

    async def fail(
        self,
        agent: AgentState | str,
        error: BaseException | str,
        *,
        task_context: JsonMap | None = None,
        context: JsonMap | None = None,
    ) -> CoordinationEvent:
        """Note that an agent has failed, in its state and as an event; one atomic write.

        ``error_kind`` is the exception's type, ``"error"`` for a text; of its message the first
        2,000 characters are kept. If ``task_context`` has a ``task_id``, that task has failed.
        Raises ``Conflict`` if the agent is not stored.
        """
        event = self._event(
            events.ERROR,
            **source(agent),
            **told(error),
            task_context=task_context,
            context=context,
        )
        counters = {error_counter(event.error_kind or ""): 1}
        await self._write(events.failing(event, agent), **counters)
        return event

    def handoff(
        self,
        giver: AgentState | str,
        taker: AgentState | str,
        *,
        task_context: JsonMap | None = None,
        context: JsonMap | None = None,
    ) -> AbstractAsyncContextManager[JsonMap]:
        """Hand work from one agent to another inside ``async with``.

        At the end one event is stored, with ``duration_seconds`` and ``success``; an exception that
        leaves the block makes it a failure with ``error_kind`` and ``error_message``, and goes on
        to the caller. What the block yields is the event's ``context``, to be added to.

        Raises ``InvalidRecord`` before the block for a context that no store takes, and after it
        for one that became so; the event is stored without what the block added, then.
        """
        who = {**source(giver), **target(taker)}
        return self._act(events.HANDOFF, context, **who, task_context=task_context)

    def collaborate(
        self,
        agent: AgentState | str,
        partner: AgentState | str,
        *,
        task_context: JsonMap | None = None,
        context: JsonMap | None = None,
    ) -> AbstractAsyncContextManager[JsonMap]:
        """Two agents work together inside ``async with``; recorded as :meth:`handoff` is."""
        who = {**source(agent), **target(partner)}
        return self._act(events.COLLABORATION, context, **who, task_context=task_context)

    async def recent(
        self,
        *,
        event_type: CoordinationEventType | str | None = None,
        source_agent_id: str | None = None,
        target_agent_id: str | None = None,
        **window: Unpack[Window],
    ) -> Page[CoordinationEvent]:
        """A page of the events, newest first; of one type, agent or span of time if given.

        ``start`` and ``end`` are aware times, the end not included. ``page_size`` is 50 by default,
        ``limit`` the number over all pages; ``after`` takes the ``cursor`` of the page before.
        """
        query = issued.events(
            shards=all_shards(self._shards),
            event_type=event_type,
            source_agent_id=source_agent_id,
            target_agent_id=target_agent_id,
            **window,
        )
        return await self._memory.find(query)

    async def timeline(self, task_id: str, **window: Unpack[Window]) -> Page[CoordinationEvent]:
        """A page of what happened about a task, oldest first, paged as by :meth:`recent`.

        These are the events whose ``task_context`` has this ``task_id``.
        """
        return await self._memory.find(issued.events_of_task(task_id=task_id, **window))

    async def tree(self, agent: AgentState | str) -> Branch | None:
        """The agent and all it spawned, and what those spawned; ``None`` if it is not stored.

        Iterating over the answer gives each agent with how deep it lies. Costs a read for each,
        in one round trip for each generation.
        """
        return await families.tree(self._memory, key_of_agent(agent))

    def follow(
        self,
        consumer: str,
        *,
        since: datetime | None = None,
        every: float = 1.0,
        overlap: float = 10.0,
        wait: bool = True,
    ) -> Following:
        """The events in the order in which the store gets them, from where `consumer` left off.

        To be used as ``async with`` and, inside it, ``async for``. An event counts as handled when
        the next one is asked for, or when the block ends without an error; where that is, is stored
        under the consumer's name, at most a second later and at the end. So every event comes at
        least once, and again only to a process that goes on for one that died.

        A new consumer begins with events committed from `since`, an aware time; with all by
        default. `every` so many seconds the store is asked again; with ``wait=False`` the loop ends
        at the last event there is. `overlap` is for how many seconds back it looks for events that
        show up late. What an outage held back comes when the store has it.

        Raises ``Conflict`` when another process follows under the same name.
        """
        return Following(
            self._memory,
            consumer,
            shards=all_shards(self._shards),
            since=since,
            every=every,
            overlap=overlap,
            wait=wait,
        )

    def _event(
        self,
        event_type: CoordinationEventType,
        *,
        context: JsonMap | None = None,
        **fields: Any,  # noqa: ANN401 -- fields of the event
    ) -> CoordinationEvent:
        event_id = random_id()
        return CoordinationEvent(
            event_id=event_id,
            event_type=event_type,
            shard=shard_of(event_id, self._shards),
            context=context or {},
            **{name: value for name, value in fields.items() if value is not None},
        )

    async def _write(self, ops: Iterable[Op], **counters: int) -> None:
        counts = [addition(counters)] if self._counted else []
        await self._memory.write([*ops, *counts])

    @asynccontextmanager
    async def _act(
        self,
        event_type: CoordinationEventType,
        context: JsonMap | None,
        **fields: Any,  # noqa: ANN401 -- fields of the event
    ) -> AsyncGenerator[JsonMap]:
        # Made before the work, so that what no store takes is refused before it.
        act = self._event(event_type, context=context, **fields)
        notes: JsonMap = dict(context or {})
        began = monotonic()
        try:
            yield notes
        except (Exception, anyio.get_cancelled_exc_class()) as error:
            await self._note(act.evolve(duration_seconds=monotonic() - began, **told(error)), notes)
            raise
        act = act.evolve(duration_seconds=monotonic() - began, success=True)
        try:
            await self._end(act, notes)
        except anyio.get_cancelled_exc_class():
            # The work was done, and storing that again is safe.
            await self._note(act, notes)
            raise

    async def _note(self, act: CoordinationEvent, notes: JsonMap) -> None:
        """Store an act whose own error must reach the caller, whatever happens here."""
        with anyio.move_on_after(last_words.SECONDS, shield=True):
            try:
                await self._end(act, notes)
            except OrchestraMemoryError as error:
                log.warning(
                    "a failed act between agents was not recorded as it was: %s",
                    type(error).__name__,
                )

    async def _end(self, act: CoordinationEvent, notes: JsonMap) -> None:
        """Store an act with its notes; without them where no store takes these, which is raised."""
        try:
            await self._memory.put(act.evolve(context=notes))
        except InvalidRecord:
            await self._memory.put(act)
            raise
