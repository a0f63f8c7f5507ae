"""Verbs that look: history, search, count, health."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import anyio
import typer

from ..domain.conversations import Conversations
from ..health import Health, Status
from ..models import SHIPPED, MemoryItem
from ..operations import Count, Page, Stored
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from .codes import Code
from .opening import opened
from .output import (
    clean,
    emit,
    fields_of,
    is_terminal,
    item_line,
    item_table,
    new_table,
    note,
    print_table,
    rows,
)
from .pages import note_rest
from .verb import Target


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of a user's items; ``None`` leaves a filter out."""

    session_id: str | None
    item_type: str | None
    persona: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """When, how many, and behind which cursor."""

    since: str | None
    until: str | None
    limit: int
    after: str | None


@dataclass(frozen=True, slots=True)
class Nearest:
    """What to be near to: a JSON list, or a file with one."""

    vector: str | None
    limit: int
    metric: Literal["cosine", "euclidean", "dot_product"]


def history(target: Target, user: str, filters: Filters, window: Window) -> None:
    start, end = time_of(window.since, "--since"), time_of(window.until, "--until")

    async def ask() -> Page[MemoryItem]:
        async with opened(target) as memory:
            return await Conversations(memory).history(
                user,
                session_id=filters.session_id,
                item_type=filters.item_type,
                persona=filters.persona,
                start=start,
                end=end,
                page_size=window.limit,
                after=window.after,
            )

    page = anyio.run(ask)
    _show_items(target, page.items, sessions=filters.session_id is None)
    note_rest(page)


def search(target: Target, user: str, filters: Filters, nearest: Nearest) -> None:
    if nearest.vector is None and filters.persona is None:
        raise typer.BadParameter("give --vector, --persona or both")
    vector = None if nearest.vector is None else vector_of(nearest.vector)

    async def ask() -> Page[MemoryItem]:
        async with opened(target) as memory:
            return await Conversations(memory).search(
                user,
                embedding=vector,
                limit=nearest.limit,
                metric=nearest.metric,
                session_id=filters.session_id,
                item_type=filters.item_type,
                persona=filters.persona,
            )

    page = anyio.run(ask)
    _show_items(target, page.items, sessions=True)
    if not page.items:
        note("nothing found")


def _show_items(target: Target, items: Iterable[Stored[MemoryItem]], *, sessions: bool) -> None:
    if target.as_json:
        for found in items:
            distance = {} if found.distance is None else {"distance": found.distance}
            emit({**fields_of(found.record), **distance})
    elif is_terminal():
        if records := [found.record for found in items]:
            print_table(item_table(records, sessions=sessions))
    else:
        for found in items:
            print(item_line(found.record))


def vector_of(text: str) -> list[float]:
    """A vector given as a JSON list, or as the name of a file with one."""
    try:
        given = text if text.lstrip().startswith("[") else Path(text).read_text(encoding="utf-8")
        numbers = cast("object", json.loads(given))
    except OSError as error:
        raise typer.BadParameter(f"--vector: cannot read the file: {error.strerror}") from None
    except ValueError:
        raise typer.BadParameter("--vector: not a JSON list of numbers") from None
    if not isinstance(numbers, list):
        raise typer.BadParameter("--vector: not a JSON list of numbers")
    return cast("list[float]", numbers)


def time_of(text: str | None, option: str) -> datetime | None:
    """A time in ISO 8601; in UTC where it tells no zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option}: not a time such as 2026-01-31T08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def count(target: Target, user: str | None) -> None:
    counted = [model for model in SHIPPED if user is None or "user_id" in model.model_fields]
    show_counts(target, anyio.run(_counts, target, counted, user))


async def _counts(
    target: Target, models: Iterable[type[Record]], user: str | None
) -> dict[str, int]:
    async with opened(target) as memory:
        return await counts_in(memory, models, user)


async def counts_in(
    memory: MemoryManager, models: Iterable[type[Record]], user: str | None = None
) -> dict[str, int]:
    """How many records of each type there are, by collection."""
    where = {} if user is None else {"user_id": user}
    counts: dict[str, int] = {}
    for model in models:
        totals = await memory.aggregate(Query(model, where=where), [Count()])
        counts[spec_of(model).collection] = int(totals["count"] or 0)
    return counts


def show_counts(target: Target, counts: dict[str, int]) -> None:
    if target.as_json:
        emit(counts)
    elif is_terminal():
        table = new_table("collection", "records")
        table.columns[1].justify = "right"
        for name, number in counts.items():
            table.add_row(name, f"{number:,}")
        print_table(table)
    else:
        print(*rows(counts), sep="\n")


def health(target: Target) -> None:
    async def ask() -> Health:
        async with opened(target) as memory:
            return await memory.health()

    found = anyio.run(ask)
    if target.as_json:
        emit(found.as_dict())
    else:
        print(*_health_lines(found), sep="\n")
    codes = {Status.OK: Code.OK, Status.DEGRADED: Code.PROBLEMS, Status.DOWN: Code.UNAVAILABLE}
    sys.stdout.flush()
    raise typer.Exit(codes[found.status])


def _health_lines(found: Health, depth: int = 0) -> list[str]:
    latency = "" if found.latency is None else f"  {found.latency * 1000:.1f} ms"
    detail = f"  {clean(found.detail)}" if found.detail else ""
    line = f"{'  ' * depth}{found.component}: {found.status.value}{latency}{detail}"
    return [line, *(line for part in found.parts for line in _health_lines(part, depth + 1))]
