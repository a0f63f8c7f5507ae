"""Verbs about what happened between agents: list, show, timeline, tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import Final

import anyio

from ..domain.coordination import Coordination
from ..domain.families import Branch
from ..errors import OrchestraMemoryError
from ..models import CoordinationEvent
from ..operations import Page
from .agents import NoSuchAgent
from .ask import Window, time_of
from .opening import opened
from .output import clean, emit, fields_of, is_terminal, note, show_facts
from .pages import show_page
from .verb import Target

COLUMNS: Final = ("time (UTC)", "type", "source", "target", "ok", "seconds", "id")
WIDE: Final = 120
"""Characters of a line that has room for ids."""


class NoSuchEvent(OrchestraMemoryError):
    """No event is stored under this id."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which events, as the options say it."""

    event_type: str | None
    source: str | None
    target: str | None


def list_(target: Target, chosen: Chosen, window: Window) -> None:
    start, end = time_of(window.since, "--since"), time_of(window.until, "--until")

    async def ask() -> Page[CoordinationEvent]:
        async with opened(target) as memory:
            return await Coordination(memory).recent(
                event_type=chosen.event_type,
                source_agent_id=chosen.source,
                target_agent_id=chosen.target,
                start=start,
                end=end,
                page_size=window.limit,
                after=window.after,
            )

    _show_page(target, anyio.run(ask))


def timeline(target: Target, task: str, *, limit: int, after: str | None) -> None:
    async def ask() -> Page[CoordinationEvent]:
        async with opened(target) as memory:
            return await Coordination(memory).timeline(task, page_size=limit, after=after)

    _show_page(target, anyio.run(ask))


def _show_page(target: Target, page: Page[CoordinationEvent]) -> None:
    # In a narrow window the ids would leave no room for what happened.
    narrow = is_terminal() and get_terminal_size().columns < WIDE
    columns = COLUMNS[:-1] if narrow else COLUMNS
    show_page(target, page, columns, lambda event: _line(event)[: len(columns)])
    if narrow and page.items and not target.as_json:
        note("ids are told in a wider window, in a pipe and by --json")


def _line(event: CoordinationEvent) -> Sequence[object]:
    seconds = event.duration_seconds
    return (
        f"{event.timestamp:%Y-%m-%d %H:%M:%S}",
        str(event.event_type),
        _agent(event.source_agent_type, event.source_agent_id),
        _agent(event.target_agent_type, event.target_agent_id),
        event.success,
        None if seconds is None else round(seconds, 3),
        event.event_id,
    )


def _agent(agent_type: str | None, agent_id: str | None) -> str | None:
    return None if agent_id is None else " ".join(filter(None, (agent_type, agent_id)))


def show(target: Target, event_id: str) -> None:
    async def ask() -> CoordinationEvent | None:
        async with opened(target) as memory:
            return await memory.get(CoordinationEvent, event_id)

    event = anyio.run(ask)
    if event is None:
        raise NoSuchEvent(
            "there is no such event in this namespace; orchestra-memory coordination list has them"
        )
    if target.as_json:
        emit(fields_of(event))
        return
    facts = dict(zip(COLUMNS, _line(event), strict=True))
    show_facts(
        {
            **facts,
            "committed": event.committed_at,
            "task": event.task_context.get("task_id"),
            "error kind": event.error_kind,
            "error": event.error_message,
        }
    )


def tree(target: Target, key: str) -> None:
    async def ask() -> Branch | None:
        async with opened(target) as memory:
            return await Coordination(memory).tree(key)

    branch = anyio.run(ask)
    if branch is None:
        raise NoSuchAgent(
            "there is no such agent in this namespace; orchestra-memory agents list --all has them"
        )
    for depth, each in branch:
        status = "gone" if each.state is None else str(each.state.status)
        if target.as_json:
            emit({"key": each.key, "depth": depth, "status": status})
        else:
            print(clean(f"{'  ' * depth}{each.key}  {status}"))
