"""``orchestra-memory analytics``: figures as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from math import isfinite
from typing import Any, Final, TypeVar

import anyio
import typer

from ..domain.analytics import Analytics
from ..domain.figures import ErrorReport, Outcomes, Report
from ..operations import Billed
from .ask import time_of
from .imports import import_all, models_with
from .opening import opened
from .output import cell, emit, fields_of, is_terminal, note, show_facts, show_table
from .verb import Target

T = TypeVar("T")
TOLD: Final = ("ok", "failed", "untold", "success")


def agents(target: Target, agent_type: str | None, agent: str | None, *, limit: int) -> None:
    if agent is not None and agent_type is None:
        raise typer.BadParameter("--agent needs the TYPE of the agent")

    async def ask(figures: Analytics) -> Report[Any]:
        if agent_type is None:
            return await figures.agent_types()
        if agent is None:
            return await figures.agents(agent_type, limit=limit)
        return await figures.agent(agent_type, agent)

    report = _asked(target, ask)
    rows = [{**asdict(row), "success_rate": row.success_rate} for row in report.rows]
    columns = ("type", "agent", "states", "done", "failed", "mean s", "errors", "success")
    _show(target, report, rows, columns, ((*_but_last(row), _percent(row)) for row in rows))


def coordination(target: Target, since: str | None, until: str | None) -> None:
    start, end = time_of(since, "--since"), time_of(until, "--until")
    report = _asked(target, lambda figures: figures.coordination(start=start, end=end))
    rows = [
        {"event_type": row.event_type, **_told(row.outcomes), "mean_seconds": row.mean_seconds}
        for row in report.rows
    ]
    lines = [(row["event_type"], *_cells(row), row["mean_seconds"]) for row in rows]
    _show(target, report, rows, ("type", *TOLD, "mean s"), lines)


def pairs(
    target: Target, source: str | None, span: tuple[str | None, str | None], *, limit: int
) -> None:
    start, end = time_of(span[0], "--since"), time_of(span[1], "--until")
    report = _asked(
        target, lambda figures: figures.pairs(source, start=start, end=end, limit=limit)
    )
    rows = [
        {"source": row.source_agent_id, "target": row.target_agent_id, **_told(row.outcomes)}
        for row in report.rows
    ]
    lines = [(row["source"], row["target"], *_cells(row)) for row in rows]
    _show(target, report, rows, ("source", "target", *TOLD), lines)


def errors(target: Target, since: str | None, until: str | None, hours: float) -> None:
    if not (isfinite(hours) and hours > 0):
        raise typer.BadParameter("--every: a number of hours above 0")
    start, end = time_of(since, "--since"), time_of(until, "--until")
    every = timedelta(hours=hours)
    report = _asked(target, lambda figures: figures.errors(start=start, end=end, every=every))
    if target.as_json:
        emit(_error_facts(report))
        return
    columns = ("from (UTC)", *(row.kind for row in report.kinds))
    counts = zip(*(row.counts for row in report.kinds), strict=True)
    lines = [
        (start, *numbers)
        for start, numbers in zip(report.starts, counts, strict=False)
        if any(numbers)
    ]
    if lines:
        show_table(columns, lines if is_terminal() else [columns, *lines])
    note(f"{report.total:,} errors until {cell(report.end)}; {_cost(report.billed)}")
    _tell_more(report.complete)


def system(target: Target) -> None:
    report = _asked(target, Analytics.system)
    facts = fields_of(report.state)
    if target.as_json:
        emit({"state": facts, "agents": dict(report.agents), "reads": report.billed.reads})
        return
    counters = ("active_sessions", "total_agents_spawned", "current_agent_count", "emergency_stop")
    shown = {name: facts[name] for name in counters}
    show_facts(shown | {f"agents {status}": number for status, number in report.agents.items()})
    note(_cost(report.billed))


def storage(target: Target, imports: tuple[str, ...]) -> None:
    import_all(imports)
    report = _asked(target, lambda figures: figures.storage(models_with(imports)))
    if target.as_json:
        emit({"records": dict(report.records), "reads": report.billed.reads})
        return
    show_facts({**report.records, "all": report.total})
    note(_cost(report.billed))


def _asked(target: Target, ask: Callable[[Analytics], Awaitable[T]]) -> T:
    async def run() -> T:
        async with opened(target) as memory:
            return await ask(memory.analytics)

    return anyio.run(run)


def _show(
    target: Target,
    report: Report[Any],
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    lines: Iterable[Sequence[object]],
) -> None:
    if target.as_json:
        emit({"rows": list(rows), "complete": report.complete, "reads": report.billed.reads})
        return
    show_table(columns, lines)
    note(_cost(report.billed))
    _tell_more(report.complete)


def _told(outcomes: Outcomes) -> dict[str, object]:
    return {**asdict(outcomes), "success_rate": outcomes.success_rate}


def _cells(row: Mapping[str, object]) -> tuple[object, ...]:
    return row["succeeded"], row["failed"], row["untold"], _percent(row)


def _percent(row: Mapping[str, object]) -> str:
    rate = row["success_rate"]
    return f"{rate:.1%}" if isinstance(rate, float) else "-"


def _but_last(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row.values())[:-1]


def _error_facts(report: ErrorReport) -> dict[str, object]:
    return {
        "starts": list(report.starts),
        "end": report.end,
        "total": report.total,
        "kinds": [asdict(row) for row in report.kinds],
        "complete": report.complete,
        "reads": report.billed.reads,
    }


def _tell_more(complete: bool) -> None:
    if not complete:
        note("there are more than these; raise --limit where the verb has one")


def _cost(billed: Billed) -> str:
    return f"billed: {billed.reads:,} reads"
