"""`python -m benchmarks.embedded`: SQLite and local memory beside ``sqlite3`` written by hand."""

from __future__ import annotations

import asyncio
import json
import platform
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import pydantic
import typer
from rich.console import Console

import orchestra_memory

from . import embedded_report
from .compare import compared
from .embedded_report import BY_HAND, Result, Turn
from .embedded_sides import Side, opened_by_hand, opened_local, opened_sqlite
from .embedded_tasks import Answer, Data, Task, check, sample, tasks_for
from .measure import timed, watched
from .order import rotated
from .result import Report
from .sheets import show
from .turns import Seen

SIDES: Final[Mapping[str, Callable[[Path], AbstractAsyncContextManager[Side]]]] = {
    "SQLite": opened_sqlite,
    "local": opened_local,
    BY_HAND: opened_by_hand,
}
LOCAL: Final = "local"
LOCAL_SEARCHES: Final = 5
"""Calls of local memory in a task for which it looks at every record, having no index."""
WARM_UP: Final = 1_000
IDLE_SECONDS: Final = 0.25
QUICK_RECORDS: Final = 5_000
WIDTH: Final = 150
"""Columns of the table where there is no terminal to ask."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many records each store holds, and in how many rounds it is timed, and watched."""

    records: int = 100_000
    rounds: int = 3
    watched: int = 1


def run(plan: Plan, report: Report, *, directory: Path | None = None) -> Result:
    """Measure all sides, in turns, on an event loop of its own.

    `directory` is where the files are made; the system's for temporary files by default. Raises
    ``WrongData`` if a store does not answer with what was given.
    """
    return asyncio.run(_Bench(report, directory).run(plan))


class _Bench:
    def __init__(self, report: Report, directory: Path | None) -> None:
        self._report = report
        self._directory = directory
        self._turns: list[Turn] = []
        self._idle: list[Seen] = []
        self._compared = 0

    async def run(self, plan: Plan) -> Result:
        self._report("warm-up")
        await self._round(0, sample(min(WARM_UP, plan.records)))
        self._turns.clear()
        data, rounds = sample(plan.records), plan.rounds + plan.watched
        for number in range(1, rounds + 1):
            self._report(f"{plan.records:,} records, round {number} of {rounds}")
            await self._round(number, data, watch=number > plan.rounds)
        lines = embedded_report.lines(self._turns)
        return Result(plan.records, lines, self._turns, self._idle, self._compared, packages())

    async def _round(self, number: int, data: Data, *, watch: bool = False) -> None:
        if watch:
            _, idle = await watched(asyncio.sleep(IDLE_SECONDS))
            self._idle.append(idle)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(dir=self._directory))
            sides = {
                name: await stack.enter_async_context(opened(Path(folder, f"{place}.db")))
                for place, (name, opened) in enumerate(SIDES.items())
            }
            for task in tasks_for(data):
                for name in rotated(list(sides), number):
                    turn = Turn(task.name, name, number, shortened(task, name).records)
                    await self._take(turn, shortened(task, name), sides[name], watch=watch)
            for name, side in sides.items():
                await self._check_puts(name, side, data)

    async def _take(self, turn: Turn, task: Task, side: Side, *, watch: bool) -> None:
        if watch:
            answers, seen = await watched(_answers(task, side))
            turn = replace(turn, seen=seen)
        else:
            answers, cost = await timed(_answers(task, side), None)
            turn = replace(turn, cost=cost)
        self._compared += check(f"{turn.side}, {task.name}", task, answers)
        self._turns.append(turn)

    async def _check_puts(self, name: str, side: Side, data: Data) -> None:
        put = [*data.single, *data.gathered]
        found = await side.get_many([record.id for record in put])
        given = [record for record in found if record is not None]
        self._compared += compared(f"{name}, put", [put], [given])


async def _answers(task: Task, side: Side) -> list[Answer]:
    return [await call.run(side) for call in task.calls]


def shortened(task: Task, side: str) -> Task:
    return task.shortened(LOCAL_SEARCHES) if task.searches and side == LOCAL else task


def packages() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "pydantic": pydantic.VERSION,
        "orchestra-memory": orchestra_memory.__version__,
    }


app = typer.Typer(add_completion=False)


@app.command()
def main(
    records: Annotated[int, typer.Option(min=1, help="Records in each store.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; a small one warms up.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few records, two rounds: to see that it works.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option(help="Where the files are made; default: temporary files'.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A file for the result, as JSON.")] = None,
) -> None:
    """Time SQLite and local memory beside plain sqlite3."""
    plan = Plan(QUICK_RECORDS, 2) if quick else Plan(records, rounds)
    log = Console(stderr=True, highlight=False)
    result = run(plan, log.print, directory=directory)
    show(embedded_report.sheet(result), width=WIDTH)
    if output is not None:
        output.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.embedded")
