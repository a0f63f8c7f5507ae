"""``orchestra-memory demo``: remember, close, open again, and everything is there."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import groupby
from typing import Final

import anyio
from rich.console import Console
from rich.markup import escape

from ..domain.conversations import Conversations
from ..errors import ConfigurationError
from ..health import Health
from ..models import SHIPPED, MemoryItem
from ..operations import Put, Ref, Stored
from ..plan import DATABASE_FILE, Plan
from ..protocol import MemoryManager
from ..record import Record
from ..settings import AppEnv, Settings
from ..stack import open_memory
from ..transfer.entries import ChatOptions, Entry
from ..transfer.sources import read
from ..urls import LocalUrl, SqliteUrl
from . import demo_agents as script
from .ask import counts_in
from .opening import plan_of, refuse_silence, settings_of
from .output import console, emit, fields_of, item_table, new_table, print_table
from .verb import Target

NAMESPACE: Final = "demo"
SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Found:
    """What was there after the memory had been closed and opened again."""

    counts: dict[str, int]
    history: tuple[Stored[MemoryItem], ...]
    nearest: tuple[Stored[MemoryItem], ...]
    health: Health


@dataclass(slots=True)
class Tally:
    """How many records the demo wrote, and how many an earlier run had left."""

    stored: int = 0
    there: int = 0

    def __str__(self) -> str:
        if not self.there:
            return f"{self.stored} records stored"
        if not self.stored:
            return f"all {self.there} records were there already, from an earlier run"
        return f"{self.stored} records stored, {self.there} were there already"


def run(target: Target, *, no_cache: bool) -> None:
    served = settings_of(target)
    target, plan = _demo_target(target)
    refuse_silence(plan, served, no_cache=no_cache)
    stage = Stage(quiet=target.as_json)
    tally, found = anyio.run(_play, target, plan, stage)
    if target.as_json:
        emit(_summary(plan, tally, found))
    else:
        _show(stage, found)
        stage.commands(_commands(target, plan))


def _demo_target(target: Target) -> tuple[Target, Plan]:
    """A namespace of its own, and the embedded store unless the command line names another."""
    target = replace(target, namespace=target.namespace or NAMESPACE)
    if target.url is None:
        home = settings_of(target).home.expanduser()
        target = replace(target, url=str(SqliteUrl(str(home / DATABASE_FILE))))
    plan = plan_of(target, _settings(target), no_cache=True)
    if isinstance(plan.store, LocalUrl):
        raise ConfigurationError(
            "the demo closes its memory and opens it again, and local: keeps nothing; drop --url"
        )
    return target, plan


def _settings(target: Target) -> Settings:
    # Wherever it is shown, it needs neither the cache nor the rest of what production has.
    return Settings(app_env=AppEnv.DEVELOPMENT, namespace=target.namespace)


def _opened(target: Target) -> AbstractAsyncContextManager[MemoryManager]:
    return open_memory(target.url, cache="none", fallback=False, settings=_settings(target))


class Stage:
    """What the audience sees, step by step."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._number = 0
        self.console: Console = console()

    def step(self, title: str) -> None:
        self._number += 1
        self.say(f"\n[bold cyan]{self._number}[/]  [bold]{title}[/]")

    def say(self, text: str) -> None:
        if not self._quiet:
            self.console.print(text, soft_wrap=True)

    def commands(self, lines: Iterable[str]) -> None:
        self.say("\n[bold]Try next[/]\n")
        for line in lines:
            self.console.print(f"  {line}", soft_wrap=True, markup=False, style="green")


async def _play(target: Target, plan: Plan, stage: Stage) -> tuple[Tally, Found]:
    tally = Tally()
    stage.step("A memory, in one file")
    started = time.perf_counter()
    async with _opened(target) as memory:
        elapsed = (time.perf_counter() - started) * 1000
        place = escape(f"{_place(plan)}, namespace {target.namespace}")
        stage.say(f"   {place}, open in {elapsed:.0f} ms")
        await _listen(memory, stage, tally)
        await _work(memory, stage, tally)
    stage.step("Close it")
    stage.say(f"   {tally}")
    stage.step("Open it again: everything is there")
    async with _opened(target) as memory:
        return tally, await _look(memory)


def _place(plan: Plan) -> str:
    return plan.store.path if isinstance(plan.store, SqliteUrl) else str(plan.store)


async def _listen(memory: MemoryManager, stage: Stage, tally: Tally) -> None:
    items = list(conversation())
    sessions = [list(group) for _, group in groupby(items, key=lambda item: item.session_id)]
    stage.step("A conversation worth remembering")
    stage.say(f"   Maya plans a concert: {len(items)} messages in {len(sessions)} sessions")
    await remember(memory, [*items, *map(script.session_of, sessions)], tally)


async def _work(memory: MemoryManager, stage: Stage, tally: Tally) -> None:
    stage.step("Agents read it, all at once, and take notes")
    async with anyio.create_task_group() as tasks:
        for agent in script.AGENTS:
            tasks.start_soon(_take_notes, memory, agent, stage, tally)


async def _take_notes(
    memory: MemoryManager, agent: script.Agent, stage: Stage, tally: Tally
) -> None:
    for note in agent.items():
        await remember(memory, [note], tally)
        stage.say(f"   [magenta]{agent.name:<10}[/] {note.text_content}")
    await remember(memory, [agent.state()], tally)


async def remember(memory: MemoryManager, records: Sequence[Record], tally: Tally) -> None:
    """Store what an earlier run has not stored yet."""
    known = await memory.read([Ref(type(record), record.key) for record in records])
    fresh = [record for record, stored in zip(records, known, strict=True) if stored is None]
    if fresh:
        await memory.write([Put(record) for record in fresh])
    tally.stored += len(fresh)
    tally.there += len(records) - len(fresh)


def conversation() -> Iterator[MemoryItem]:
    """The messages of the demo, as an import makes them."""
    content = files("orchestra_memory.cli").joinpath("demo_conversation.json").read_bytes()
    reading = read(content.splitlines(), ChatOptions())
    for unit in reading.units:
        for found in reading.parse(unit):
            if isinstance(found, Entry) and isinstance(found.record, MemoryItem):
                yield found.record


async def _look(memory: MemoryManager) -> Found:
    conversations = Conversations(memory)
    history = await conversations.history(script.USER, item_type="conversation", page_size=SHOWN)
    nearest = await conversations.search(
        script.USER, embedding=script.QUESTION_VECTOR, limit=3, item_type=script.NOTE
    )
    counts = await counts_in(memory, SHIPPED)
    return Found(counts, history.items, nearest.items, await memory.health())


def _show(stage: Stage, found: Found) -> None:
    kept = [f"{number} in {name}" for name, number in found.counts.items() if number]
    stage.say(f"   {', '.join(kept)}")
    stage.step("The end of the conversation, newest first")
    print_table(item_table([item.record for item in found.history], sessions=False))
    stage.step(f"A search by vector: {script.QUESTION}")
    table = new_table("distance", "agent", "note")
    table.columns[2].max_width = None
    for item in found.nearest:
        away = f"{item.distance:.3f}" if item.distance is not None else ""
        table.add_row(away, item.record.persona_active, item.record.text_content)
    print_table(table)
    stage.step("Its health")
    text = json.dumps(found.health.as_dict(), indent=2)
    stage.console.print("".join(f"   {line}\n" for line in text.splitlines()), end="", markup=False)


def _commands(target: Target, plan: Plan) -> list[str]:
    where = ["--namespace", str(target.namespace), *_url_option(target, plan)]
    verbs = [
        ["history", script.USER, "--limit", "5"],
        ["search", script.USER, "--vector", "[0,0,1,0]"],
        ["count", "--user", script.USER],
        ["export", "-", "--user", script.USER],
    ]
    return [shlex.join(["orchestra-memory", *verb, *where]) for verb in verbs] + [
        "orchestra-memory doctor"
    ]


def _url_option(target: Target, plan: Plan) -> list[str]:
    """Nothing where the settings lead to the same store by themselves."""
    plain = replace(target, url=None)
    try:
        same = plan_of(plain, settings_of(plain)).store == plan.store
    except ConfigurationError:
        same = False
    return [] if same or target.url is None else ["--url", target.url]


def _summary(plan: Plan, tally: Tally, found: Found) -> dict[str, object]:
    return {
        "store": str(plan.store),
        "stored": tally.stored,
        "there_already": tally.there,
        "counts": found.counts,
        "history": [fields_of(item.record) for item in found.history],
        "nearest": [fields_of(item.record) for item in found.nearest],
        "health": found.health.as_dict(),
    }
