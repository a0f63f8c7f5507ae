"""Tasks, the ways to do them, and one turn of a way: timed, then compared."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, TypeAlias

from orchestra_memory import MeteredMemory

from ..compare import WrongData
from ..measure import timed
from ..order import rotated
from ..result import Report
from .turns import Turn

Question: TypeAlias = Any
Answer: TypeAlias = Any

WARM_UP: Final = 0
"""The number of the round that is not counted."""


def _as_is(answer: Answer) -> Answer:
    return answer


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer a task's questions, ``at_most`` so many in a turn.

    ``ask`` is what is timed; ``finish`` makes of what it returns what is compared. ``kind`` says
    whose way it is, and ``meter`` counts what the store bills for it.
    """

    name: str
    kind: str
    ask: Callable[[Question], Awaitable[Answer]]
    at_most: int | None = None
    finish: Callable[[Answer], Answer] = _as_is
    meter: MeteredMemory | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """The same questions for all ways, by round, and what each must be answered with.

    ``records`` is how many records one answer has.
    """

    name: str
    ways: Sequence[Way]
    questions: Callable[[int], Sequence[Question]]
    expected: Callable[[Question], Answer]
    records: int = 1


@dataclass(slots=True)
class Bench:
    """Runs tasks, and keeps what was measured. ``compared`` counts records."""

    report: Report
    turns: list[Turn] = field(default_factory=list[Turn])
    compared: int = 0

    async def run(self, task: Task, rounds: int) -> None:
        """A round to warm up, then so many that count; the ways take turns at being the first."""
        self.report(f"{task.name}: {rounds} rounds")
        for number in range(rounds + 1):
            questions = task.questions(number)
            for way in rotated(task.ways, number):
                turn = await self._turn(task, way, number, questions[: way.at_most])
                if number != WARM_UP:
                    self.turns.append(turn)

    async def _turn(self, task: Task, way: Way, number: int, questions: Sequence[Question]) -> Turn:
        before = billed(way.meter)
        (answers, times), cost = await timed(asked(way.ask, questions), None)
        after = billed(way.meter)
        check(f"{task.name}, {way.name}", task, questions, map(way.finish, answers))
        self.compared += task.records * len(questions)
        return Turn(
            task.name,
            way.name,
            way.kind,
            number,
            len(questions),
            cost.seconds,
            cost.client_cpu,
            median(times),
            None if before is None or after is None else after - before,
        )


async def asked(
    ask: Callable[[Question], Awaitable[Answer]], questions: Sequence[Question]
) -> tuple[list[Answer], list[float]]:
    """The answers to questions asked one after another, and the seconds that each took."""
    answers: list[Answer] = []
    times: list[float] = []
    clock = time.perf_counter
    for question in questions:
        began = clock()
        answers.append(await ask(question))
        times.append(clock() - began)
    return answers, times


def check(what: str, task: Task, questions: Sequence[Question], answers: Iterable[Answer]) -> None:
    """Raises ``WrongData``, naming `what`, unless each answer is the one expected."""
    for question, answer in zip(questions, answers, strict=True):
        if answer != task.expected(question):
            raise WrongData(f"{what}: not answered with what was stored")


def billed(meter: MeteredMemory | None) -> int | None:
    """The reads that a store has billed so far."""
    return None if meter is None else meter.cost().total.reads
