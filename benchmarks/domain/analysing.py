"""Figures about many events: counted by the store, and by hand, counted there or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from google.cloud.firestore import AsyncClient, FieldFilter

from orchestra_memory import CoordinationEvent, Count, MemoryManager, Options, Query
from orchestra_memory.domain.analytics import Analytics

from .. import store
from ..compare import WrongData
from ..measure import timed
from ..order import there_and_back
from ..outage.turns import Turn, Turns, cpu, ratio
from ..records import FIRST
from ..result import Report
from ..summary import Spread
from . import stores
from .billing import ByRule, reads_of
from .samples import END, TYPES, events
from .tally import OF_TYPES, RESULTS, Figures, Tally, counted, rounded

BY_TYPE: Final = "outcomes by type, emulator"
ALL: Final = "by type, pair, and errors by hour, SQLite"
OURS: Final = "memory.analytics"
COUNTED: Final = "AsyncClient, the same aggregations"
BY_HAND: Final = "AsyncClient, a stream of all events"
PATIENCE: Final = 600.0
"""Seconds of one aggregation: the emulator has no index, and goes through all events for each."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Figures, and the reads they were billed."""

    figures: Figures
    reads: int


Way: TypeAlias = Callable[[], Coroutine[Any, Any, Answer]]


@dataclass(slots=True)
class Analyses:
    """All turns, and the reads that each way was billed for each task."""

    turns: Turns = field(default_factory=Turns)
    reads: dict[tuple[str, str], list[int]] = field(
        default_factory=dict[tuple[str, str], list[int]]
    )

    def add(self, turn: Turn, reads: int) -> None:
        self.turns.add(turn, compared=turn.records)
        self.reads.setdefault((turn.task, turn.way), []).append(reads)


async def measured(host: str, count: int, rounds: int, report: Report) -> Analyses:
    """Count `count` events in each way. Raises ``WrongData`` unless all come to the same."""
    found, tally = Analyses(), Tally()
    for event in events(count):
        tally.add(event.model_dump())
    report(f"{count:,} events counted in SQLite, {rounds} rounds")
    await _embedded(found, tally.figures, count, rounds)
    await _on_emulator(found, tally.of_types, host, count, rounds, report)
    return found


async def _embedded(found: Analyses, expected: Figures, count: int, rounds: int) -> None:
    """All reports, for what Firestore would bill; on the emulator they would take too long."""
    with TemporaryDirectory(prefix="analytics-") as folder:
        async with stores.opened(stores.in_folder(Path(folder))()) as memory:
            await memory.put_many(events(count))
            for number in range(1, rounds + 1):
                answer, cost = await timed(all_reports(ByRule(memory)), None)
                _check(answer, expected, ALL)
                found.add(Turn(ALL, OURS, number, count, cost), answer.reads)


async def _on_emulator(
    found: Analyses, expected: Figures, host: str, count: int, rounds: int, report: Report
) -> None:
    project = stores.new_project()
    async with (
        stores.opened(f"firestore://{project}?emulator={host}") as memory,
        store.opened(project, host) as client,
    ):
        await memory.put_many(events(count))
        # Nobody's turn: the emulator compiles its code meanwhile.
        patient = Options(timeout=PATIENCE)
        await memory.aggregate(Query(CoordinationEvent), [Count()], options=patient)
        ways: Mapping[str, Way] = {
            OURS: lambda: by_type(memory),
            COUNTED: lambda: counted_by_hand(client),
            BY_HAND: lambda: by_hand(client),
        }
        for number in range(1, rounds + 1):
            report(f"{count:,} events counted on the emulator, {number} of {rounds}")
            for way in there_and_back(tuple(ways), number):
                answer, cost = await timed(ways[way](), None)
                _check(answer, expected, way)
                found.add(Turn(BY_TYPE, way, number, count, cost), answer.reads)


def _check(answer: Answer, expected: Figures, what: str) -> None:
    if answer.figures != expected:
        raise WrongData(f"{what}: events were counted to other figures")


async def all_reports(memory: MemoryManager) -> Answer:
    """What came of the events by type and pair, and errors by kind and hour."""
    analytics = Analytics(memory)
    types = await analytics.coordination(start=FIRST, end=END)
    pairs = await analytics.pairs(start=FIRST, end=END)
    errors = await analytics.errors(start=FIRST, end=END)
    billed = types.billed + pairs.billed + errors.billed
    return Answer(counted(types, pairs, errors), billed.reads)


async def by_type(memory: MemoryManager) -> Answer:
    """What came of the events of each type, and how long they took."""
    types = await Analytics(memory, timeout=PATIENCE).coordination()
    return Answer(counted(types), types.billed.reads)


async def counted_by_hand(client: AsyncClient) -> Answer:
    """The same by the same aggregations, as many at once, of types that are known beforehand."""
    collection: Any = client.collection("coordination")
    counts: dict[str, tuple[int, int, int]] = {}
    means: dict[str, float | None] = {}
    reads = 0
    for kind in TYPES:
        of_kind = collection.where(filter=FieldFilter("event_type", "==", kind))
        of_results = [
            of_kind.where(filter=FieldFilter("success", "==", result)).count() for result in RESULTS
        ]
        asked = (*of_results, of_kind.avg("duration_seconds"))
        a, b, c, mean = await asyncio.gather(*map(_value, asked))
        counts[kind] = int(a), int(b), int(c)
        # The client makes a zero of no mean.
        means[kind] = rounded(mean or None)
        reads += sum(map(reads_of, (*counts[kind], sum(counts[kind]))))
    return Answer(Figures(counts, means), reads)


async def _value(asked: Any) -> float:
    ((result,),) = await asked.get(timeout=PATIENCE, retry=None)
    return float(result.value)


async def by_hand(client: AsyncClient) -> Answer:
    """The same from the fields that it takes of every event."""
    tally = Tally()
    async for snapshot in client.collection("coordination").select(OF_TYPES).stream():
        tally.add_outcome(snapshot.to_dict() or {})
    return Answer(tally.of_types, tally.events)


def figures(part: str, found: Analyses) -> Mapping[str, Spread]:
    """What promises are about, and how the store's counting compares with streaming."""
    ways = found.turns.tasks()[BY_TYPE]
    return {
        f"{part}.analytics.reads": Spread.of(found.reads[ALL, OURS]),
        f"{part}.analytics by type.reads": Spread.of(found.reads[BY_TYPE, OURS]),
        f"{part}.analytics by type.speed": ratio(ways, OURS, BY_HAND),
        f"{part}.analytics by type.cpu": ratio(ways, OURS, BY_HAND, cpu),
        f"{part}.analytics by type.speed/aggregations": ratio(ways, OURS, COUNTED),
    }
