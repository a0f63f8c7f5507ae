"""The tasks an embedded store is measured with, and what each must answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeAlias

from orchestra_memory import MemoryItem

from .compare import WrongData, by_id
from .embedded_sides import PAGE, Side
from .records import SEED, Job, sessions

SESSION: Final = 500
"""Records of one session."""
GET_MANY: Final = 400
"""Records read in one call."""
AT_ONCE: Final = 64
"""Records put one by one, but at the same time."""
CALLS: Final = 100
"""Calls in one turn, where a call is short."""

Answer: TypeAlias = Any
"""Records, or a number; equal to what was expected or not."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a side, what it must answer, and how many records that is, a count being one."""

    run: Callable[[Side], Awaitable[Answer]]
    expected: Answer
    records: int
    ordered: bool = True

    def is_answered_by(self, answer: Answer) -> bool:
        if self.ordered:
            return bool(answer == self.expected)
        return by_id(answer) == by_id(self.expected)


@dataclass(frozen=True, slots=True)
class Task:
    """Calls made one after another in one turn. ``searches`` all records where no index helps."""

    name: str
    calls: Sequence[Call]
    searches: bool = False

    @property
    def records(self) -> int:
        return sum(call.records for call in self.calls)

    def shortened(self, calls: int) -> Task:
        return Task(self.name, self.calls[:calls], self.searches)


@dataclass(frozen=True, slots=True)
class Data:
    """What is stored at first, session by session; then one by one; then at the same time."""

    stored: Sequence[Job]
    single: Job
    gathered: Job

    @property
    def records(self) -> list[MemoryItem]:
        return [record for job in self.stored for record in job]


def sample(records: int) -> Data:
    """`records` in sessions of 500, the last one perhaps smaller, and a few hundred more."""
    *stored, later = sessions(-(-records // SESSION) + 1, SESSION)
    stored[-1] = stored[-1][: records - SESSION * (len(stored) - 1)]
    return Data(stored, later[:CALLS], later[CALLS : CALLS + 4 * AT_ONCE])


def tasks_for(data: Data) -> list[Task]:
    """In the order in which they must be run: the first fills the store."""
    source = Random(SEED)
    records = data.records
    return [
        Task("put_many", [_put_many(records)]),
        Task("get", [_get(record) for record in source.choices(records, k=CALLS)]),
        Task(f"get_many of {GET_MANY}", [_get_many(source, records) for _ in range(5)]),
        Task(f"history, page of {PAGE}", _of_sessions(source, data, _history), searches=True),
        Task("scan of a session", _of_sessions(source, data, _session)[:20], searches=True),
        Task("count of a session", _of_sessions(source, data, _count), searches=True),
        Task("count of all", [_count_all(records)] * 5, searches=True),
        Task("scan of all", [_everything(records)]),
        Task("put", [_put(record) for record in data.single]),
        Task(f"put, {AT_ONCE} at once", [_put_gathered(group) for group in _groups(data.gathered)]),
    ]


def _groups(records: Job) -> list[Job]:
    return [records[start : start + AT_ONCE] for start in range(0, len(records), AT_ONCE)]


def _put_many(records: Job) -> Call:
    return Call(lambda side: side.put_many(records), None, len(records))


def _get(record: MemoryItem) -> Call:
    return Call(lambda side: side.get(record.id), record, 1)


def _get_many(source: Random, records: Job) -> Call:
    chosen = source.sample(records, k=min(GET_MANY, len(records)))
    keys = [record.id for record in chosen]
    return Call(lambda side: side.get_many(keys), chosen, len(chosen))


def _of_sessions(source: Random, data: Data, make: Callable[[Job], Call]) -> list[Call]:
    return [make(job) for job in source.choices(data.stored, k=CALLS)]


def _history(job: Job) -> Call:
    user, session = _names(job)
    newest = list(reversed(job))[:PAGE]
    return Call(lambda side: side.history(user, session), newest, len(newest))


def _session(job: Job) -> Call:
    user, session = _names(job)
    return Call(lambda side: side.session(user, session), list(reversed(job)), len(job))


def _count(job: Job) -> Call:
    user, session = _names(job)
    return Call(lambda side: side.count(user, session), len(job), 1)


def _count_all(records: Job) -> Call:
    return Call(lambda side: side.count_all(), len(records), 1)


def _everything(records: Job) -> Call:
    return Call(lambda side: side.everything(), records, len(records), ordered=False)


def _put(record: MemoryItem) -> Call:
    return Call(lambda side: side.put(record), None, 1)


def _put_gathered(records: Job) -> Call:
    async def run(side: Side) -> None:
        await asyncio.gather(*map(side.put, records))

    return Call(run, None, len(records))


def _names(job: Job) -> tuple[str, str]:
    return job[0].user_id, job[0].session_id or ""


def check(what: str, task: Task, answers: Sequence[Answer]) -> int:
    """How many records were compared. Raises ``WrongData``, naming `what`, if an answer differs."""
    for call, answer in zip(task.calls, answers, strict=True):
        if not call.is_answered_by(answer):
            raise WrongData(f"{what}: {call.records:,} records did not come back as they were")
    return sum(call.records for call in task.calls if call.expected is not None)
