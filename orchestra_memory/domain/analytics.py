"""Figures about agents, what happens between them, and what is stored; counted by the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from ..models import GLOBAL_CONFIG, SHIPPED, AgentState, AgentStatus, CoordinationEvent, SystemState
from ..operations import Ref, Totals
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from ..values import utc_now
from . import issued_counts as issued
from .alerts import DEFAULTS, AlertReport, Thresholds, Vitals, fired
from .buckets import Buckets, Half, Timeline
from .counting import TIMEOUT, Asked, Counting
from .figures import (
    AgentFigures,
    ErrorFigures,
    ErrorReport,
    EventFigures,
    Outcomes,
    PairFigures,
    Report,
    StorageReport,
    SystemReport,
)
from .performance import CARRIED, ENDS, SECONDS, TIMED, ratio
from .shards import SHARDS, all_shards, checked_shards

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
KINDS: Final = 100
"""Types and kinds that are told of."""
_RESULTS: Final = (True, False, None)


class Analytics:
    """Figures about what is in `memory`.

    The store counts: what is asked costs about one read for each 1,000 records that match, and a
    read for each row; ``billed`` in every answer says how much. ``shards`` is what events are
    spread over, as `Coordination` has it. ``thresholds`` are for :meth:`alerts`. ``timeout`` is how
    many seconds the store has for each question, 60 by default, after which Firestore gives up by
    itself; its emulator, which has no indexes, may need more for many records.

    All methods raise ``Unavailable`` in an outage rather than tell a part.
    """

    def __init__(
        self,
        memory: MemoryManager,
        *,
        shards: int = SHARDS,
        thresholds: Thresholds = DEFAULTS,
        timeout: float = TIMEOUT,
    ) -> None:
        self._memory = memory
        self._timeout = timeout
        self._events = partial(issued.events_in, shards=all_shards(checked_shards(shards)))
        self._thresholds = thresholds

    def __repr__(self) -> str:
        return f"<Analytics in {self._memory!r}>"

    async def agent(self, agent_type: str, agent_id: str) -> Report[AgentFigures]:
        """How well one agent does, over all its sessions: one row."""
        counting = self._counting()
        rows = await _agents(counting, [(agent_type, agent_id)])
        return Report(rows, complete=True, billed=counting.billed)

    async def agents(self, agent_type: str, *, limit: int = 100) -> Report[AgentFigures]:
        """How well each agent of a type does, ordered by id, at most `limit` of them."""
        counting = self._counting()
        next_ = _next_in(AgentState, "agent_id", agent_type=agent_type)
        ids = await counting.values(next_, most=limit)
        rows = await _agents(counting, [(agent_type, each) for each in ids.found])
        return Report(rows, ids.complete, counting.billed)

    async def agent_types(self) -> Report[AgentFigures]:
        """How well all agents of each type do together, of at most 100 types."""
        counting = self._counting()
        types = await counting.values(_next_in(AgentState, "agent_type"), most=KINDS)
        rows = await _agents(counting, [(each, None) for each in types.found])
        return Report(rows, types.complete, counting.billed)

    async def coordination(
        self, *, start: datetime | None = None, end: datetime | None = None
    ) -> Report[EventFigures]:
        """What came of the events of each type; from `start` up to but without `end`, if given.

        Times are aware, and those that the events tell.
        """
        counting = self._counting()
        types = await counting.values(_next_in(CoordinationEvent, "event_type"), most=KINDS)
        outcomes = await self._outcomes(
            counting, start, end, [{"event_type": each} for each in types.found]
        )
        happened = [
            (each, found) for each, found in zip(types.found, outcomes, strict=True) if found.total
        ]
        asked: list[Asked] = [
            (self._events(start, end, {"event_type": each}), (issued.DURATION,), found.total)
            for each, found in happened
        ]
        means = [totals[issued.DURATION.name] for totals in await counting.totals(asked)]
        rows = tuple(
            EventFigures(each, found, mean)
            for (each, found), mean in zip(happened, means, strict=True)
        )
        return Report(rows, types.complete, counting.billed)

    async def pairs(
        self,
        source_agent_id: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> Report[PairFigures]:
        """What came of the events between each two agents, at most `limit` pairs.

        They are ordered by the ids; with `source_agent_id` only those from that agent. Pairs of
        which nothing is told in the time asked for are left out.
        """
        counting = self._counting()
        pairs, complete = await _pairs(counting, source_agent_id, limit)
        outcomes = await self._outcomes(
            counting,
            start,
            end,
            [{"source_agent_id": source, "target_agent_id": target} for source, target in pairs],
        )
        rows = [
            PairFigures(*pair, found)
            for pair, found in zip(pairs, outcomes, strict=True)
            if found.total
        ]
        return Report(tuple(rows), complete, counting.billed)

    async def errors(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        every: timedelta = HOUR,
    ) -> ErrorReport:
        """Errors by kind and time, the most frequent kind first; of at most 100 kinds.

        `end` is now by default and `start` a day before that, both aware times; the buckets are
        `every` hour. Kinds without errors in that time are left out. Raises ``InvalidQuery`` for
        more than 1,000 buckets.
        """
        end = utc_now() if end is None else end
        time = Timeline(end - DAY if start is None else start, end, every)
        counting = self._counting()
        kinds = await counting.values(_next_in(CoordinationEvent, "error_kind"), most=KINDS)
        failed = self._events(time.start, time.end, {"success": False})
        by_kind = [self._events(time.start, time.end, {"error_kind": each}) for each in kinds.found]
        total, *totals = await counting.counts([failed, *by_kind])
        buckets = Buckets(totals, len(time))
        while halves := buckets.halves():
            queries = [self._half(time, kinds.found, half) for half in halves]
            buckets.tell(await counting.counts(queries))
        rows = [
            ErrorFigures(kind, number, tuple(counts))
            for kind, number, counts in zip(kinds.found, totals, buckets.counts, strict=True)
            if number
        ]
        rows.sort(key=lambda row: -row.total)
        return ErrorReport(
            time.starts, time.end, total, tuple(rows), kinds.complete, counting.billed
        )

    async def system(self) -> SystemReport:
        """The counters of the system, and agents by status."""
        counting = self._counting()
        state = await self._state(counting)
        counts = await counting.counts(issued.states_with(status=each) for each in AgentStatus)
        agents = {str(each): count for each, count in zip(AgentStatus, counts, strict=True)}
        return SystemReport(state, agents, counting.billed)

    async def storage(self, models: Iterable[type[Record]] = SHIPPED) -> StorageReport:
        """How many records of these types there are; name your own, too."""
        counting = self._counting()
        models = list(models)
        counts = await counting.counts(Query(model) for model in models)
        names = [spec_of(model).collection for model in models]
        return StorageReport(dict(zip(names, counts, strict=True)), counting.billed)

    async def alerts(self, thresholds: Thresholds | None = None) -> AlertReport:
        """Which figures are beyond their thresholds now."""
        limits = self._thresholds if thresholds is None else thresholds
        counting = self._counting()
        (outcomes,) = await self._outcomes(counting, utc_now() - limits.window, None, [{}])
        (failed,) = await counting.counts([issued.states_with(status=AgentStatus.ERROR)])
        state = await self._state(counting)
        stopped = (state.emergency_reason or "no reason given") if state.emergency_stop else None
        vitals = Vitals(outcomes, failed, stopped)
        return AlertReport(fired(vitals, limits), vitals, counting.billed)

    def _counting(self) -> Counting:
        return Counting(self._memory, timeout=self._timeout)

    async def _outcomes(
        self,
        counting: Counting,
        start: datetime | None,
        end: datetime | None,
        groups: Sequence[dict[str, str]],
    ) -> list[Outcomes]:
        """What came of the events in each group. Together the counts see each event once."""
        counts = await counting.counts(
            self._events(start, end, {**group, "success": result})
            for group in groups
            for result in _RESULTS
        )
        size = len(_RESULTS)
        return [Outcomes(*counts[n : n + size]) for n in range(0, len(counts), size)]

    def _half(self, time: Timeline, kinds: Sequence[str], half: Half) -> Query[CoordinationEvent]:
        return self._events(
            time.edge(half.first), time.edge(half.middle), {"error_kind": kinds[half.row]}
        )

    async def _state(self, counting: Counting) -> SystemState:
        ref = Ref(SystemState, GLOBAL_CONFIG)
        snapshot = await self._memory.read([ref], options=counting.options)
        counting.billed += snapshot.billed
        return snapshot.records[0] or SystemState()


async def _agents(
    counting: Counting, agents: Sequence[tuple[str, str | None]]
) -> tuple[AgentFigures, ...]:
    states = [issued.states_counted(agent_type=kind, agent_id=each) for kind, each in agents]
    errors = [issued.errors_of(agent_type=kind, agent_id=each) for kind, each in agents]
    counts = await counting.counts([*states, *errors])
    sizes, failures = counts[: len(agents)], counts[len(agents) :]
    asked: list[Asked] = [
        (query, issued.TASK_SUMS, size) for query, size in zip(states, sizes, strict=True) if size
    ]
    totals = iter(await counting.totals(asked))
    return tuple(
        _agent(agent, size, next(totals) if size else None, failed)
        for agent, size, failed in zip(agents, sizes, failures, strict=True)
    )


def _agent(
    agent: tuple[str, str | None], states: int, totals: Totals | None, errors: int
) -> AgentFigures:
    def own(figure: str) -> float:
        if totals is None:
            return 0
        return (totals[figure] or 0) - (totals[f"{CARRIED}.{figure}"] or 0)

    completed, failed = int(own(ENDS["completed"])), int(own(ENDS["failed"]))
    mean = ratio(own(SECONDS), own(TIMED))
    return AgentFigures(*agent, states, completed, failed, mean, errors)


def _next_in(model: type[Record], field: str, **equal: str) -> Callable[[str], Query[Any]]:
    return lambda behind: issued.next_value(model, field, behind, **equal)


async def _pairs(
    counting: Counting, source: str | None, limit: int
) -> tuple[list[tuple[str, str]], bool]:
    """Pairs of agents between which something happened, and whether these are all."""
    pairs: list[tuple[str, str]] = []
    sources = _sources(counting) if source is None else _only(source)
    async with aclosing(sources):
        async for each in sources:
            next_ = _next_in(CoordinationEvent, "target_agent_id", source_agent_id=each)
            targets = await counting.values(next_, most=limit - len(pairs))
            pairs += [(each, target) for target in targets.found]
            if not targets.complete:
                return pairs, False
    return pairs, True


async def _sources(counting: Counting) -> AsyncGenerator[str]:
    next_, behind = _next_in(CoordinationEvent, "source_agent_id"), ""
    while (found := await counting.value(next_(behind))) is not None:
        behind = found
        yield found


async def _only(source: str) -> AsyncGenerator[str]:
    yield source
