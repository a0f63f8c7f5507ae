"""Verbs about the whole system: show, check, stop, resume, flag."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio
import typer

from ..domain.system import System
from ..models import GLOBAL_CONFIG, SystemState
from ..operations import Options
from ..protocol import MemoryManager
from .codes import Code
from .consent import Change, agreed
from .opening import opened, opened_to_write
from .output import emit, fields_of, note, show_facts, show_table
from .verb import Target

FRESH: Final = Options(cache="bypass")
Do = Callable[[System], Awaitable[None]]


def show(target: Target) -> None:
    state = anyio.run(_look, target)
    if target.as_json:
        emit(fields_of(state))
    else:
        _show(state)


async def _look(target: Target) -> SystemState:
    async with opened(target) as memory:
        return await _state(memory)


async def _state(memory: MemoryManager) -> SystemState:
    """As it is stored now; everything at its default if nothing was ever changed."""
    return await memory.get(SystemState, GLOBAL_CONFIG, options=FRESH) or SystemState()


def _show(state: SystemState) -> None:
    show_facts(
        {
            "stopped": state.emergency_stop,
            "reason": state.emergency_reason,
            "version": state.system_version or None,
            "agents spawned": state.total_agents_spawned,
            "agents now": state.current_agent_count,
            "sessions": state.active_sessions,
        }
    )
    _show_each("flag", "on", state.feature_flags)
    _show_each("error", "times", state.error_counts)


def _show_each(noun: str, figure: str, found: Mapping[str, object]) -> None:
    if found:
        print(f"{noun}s:")
        show_table([noun, figure], sorted(found.items()))


def check(target: Target) -> None:
    state = anyio.run(_look, target)
    if target.as_json:
        emit({"stopped": state.emergency_stop, "reason": state.emergency_reason})
    else:
        print("stopped" if state.emergency_stop else "may go on")
    if state.emergency_stop:
        sys.stdout.flush()
        note(state.emergency_reason or "no reason was given")
        raise typer.Exit(Code.PROBLEMS)


def stop(target: Target, reason: str, change: Change) -> None:
    _preview(target)
    agreed(target, "stop all who check the system before they work", change)
    _done(target, change, lambda system: system.emergency_stop(reason), "stopped")


def resume(target: Target, change: Change) -> None:
    _preview(target)
    agreed(target, "let all go on who were stopped", change)
    _done(target, change, lambda system: system.resume(), "resumed")


def flag(target: Target, name: str, on: bool, change: Change) -> None:
    word = "on" if on else "off"
    agreed(target, f"switch the flag {name} {word}", change)
    _done(target, change, lambda system: system.set_flag(name, on), f"{name} is {word}")


def _preview(target: Target) -> None:
    if not target.as_json:
        _show(anyio.run(_look, target))


def _done(target: Target, change: Change, do: Do, what: str) -> None:
    async def write() -> SystemState:
        async with opened_to_write(target, no_cache=change.no_cache) as memory:
            await do(System(memory))
            return await _state(memory)

    state = anyio.run(write)
    if target.as_json:
        emit({"done": what, "stopped": state.emergency_stop, "flags": state.feature_flags})
    else:
        print(what)
