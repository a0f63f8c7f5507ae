"""Every order of the steps of a few processes that share one cache, tried on the scripts' model.

A world is a value: what the cache and the primary hold, how far each process is, and what was
promised so far. From each world lead as many steps as there are processes, faults and outcomes.
Equal worlds are explored once, but every way to reach an end counts as a schedule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import NamedTuple, Protocol, TypeAlias

from orchestra_memory.layers.cached import model
from orchestra_memory.layers.cached.model import NOTHING, Entry, Reading
from orchestra_memory.layers.cached.replies import (
    Filled,
    Intended,
    Published,
    RecordReply,
    WindowReply,
)
from orchestra_memory.layers.cached.scripts import Action, Filling, WindowFilling

NOW = 1_000
"""Time stands still: what expires does so by a step of its own."""
LONG = 1_000_000


@dataclass(frozen=True)
class Scripts:
    """The steps under test; the defaults are those of the model."""

    read: Callable[[Entry, int, Reading], tuple[Entry, RecordReply]] = model.read
    fill: Callable[[Entry, int, str, Filling], tuple[Entry, Filled]] = model.fill
    read_window: Callable[[Entry, int, Reading], tuple[Entry, WindowReply]] = model.read_window
    fill_window: Callable[[Entry, int, str, WindowFilling], tuple[Entry, Filled]] = (
        model.fill_window
    )
    intend: Callable[[Entry, int, str, int, int], tuple[Entry, Intended]] = model.intend
    publish: Callable[[Entry, int, str, int, Action], tuple[Entry, Published]] = model.publish

    def remembered(self) -> Scripts:
        """The same steps, each worked out once of what it is given: worlds have them in common."""
        return Scripts(**{each.name: cache(getattr(self, each.name)) for each in fields(self)})


class Version(NamedTuple):
    """A state of one record: the commit that made it, and its place, ``None`` once deleted."""

    number: int
    place: int | None = 0


History: TypeAlias = tuple[Version, ...]


class Faults(NamedTuple):
    """How often each may still happen in one schedule."""

    evictions: int = 0
    expiries: int = 0
    losses: int = 0
    crashes: int = 0


NONE = Faults()


class State(NamedTuple):
    """How far a process is: the next step, and what it remembers."""

    step: str
    memory: tuple[object, ...] = ()


DONE = State("done")


class World(NamedTuple):
    """All there is. ``history``, ``acknowledged`` and ``seen`` have one item a record.

    ``acknowledged`` and ``seen`` are numbers of versions: what was promised, and the newest that
    any reader got. ``cut`` is set once a write goes without its fence, be it that the fence was
    never placed or that it was lost before the commit: then another's read may go behind what was
    seen, never behind what is acknowledged.
    """

    entry: Entry
    history: tuple[History, ...]
    acknowledged: tuple[int, ...]
    seen: tuple[int, ...]
    clock: int
    processes: tuple[State, ...]
    faults: Faults
    late: frozenset[str] = frozenset()
    cut: bool = False
    violation: str = ""

    def moved(self, me: int, state: State) -> World:
        """The world with one process further."""
        return self._replace(processes=(*self.processes[:me], state, *self.processes[me + 1 :]))

    def lost(self) -> World:
        """The world with one loss less to come."""
        return self._replace(faults=self.faults._replace(losses=self.faults.losses - 1))


class Process(Protocol):
    """Something with steps of its own."""

    @property
    def first(self) -> State: ...

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        """The worlds after its next step, one for each outcome."""
        ...


@dataclass(frozen=True)
class Scenario:
    """Who runs beside whom, from which states of the cache, with which faults."""

    processes: Sequence[Process]
    entries: Sequence[Entry]
    history: tuple[History, ...]
    faults: Faults = NONE

    def starts(self) -> Iterator[World]:
        newest = tuple(each[-1].number for each in self.history)
        for entry in self.entries:
            yield World(
                entry=entry,
                history=self.history,
                acknowledged=newest,
                seen=newest,
                clock=max(newest),
                processes=tuple(each.first for each in self.processes),
                faults=self.faults,
            )


@dataclass
class Explored:
    """How many schedules there are, and how many of them break which promise."""

    schedules: int = 0
    worlds: int = 0
    violations: dict[str, int] = field(default_factory=dict)


def explore(scenario: Scenario, scripts: Scripts | None = None) -> Explored:
    """All schedules. One that breaks a promise ends there."""
    found = Explored()
    known: dict[World, dict[str, int]] = {}
    steps = (scripts or Scripts()).remembered()
    for start in scenario.starts():
        for ending, count in _endings(start, scenario, steps, known).items():
            found.schedules += count
            if ending:
                found.violations[ending] = found.violations.get(ending, 0) + count
    found.worlds = len(known)
    return found


def _endings(
    world: World, scenario: Scenario, scripts: Scripts, known: dict[World, dict[str, int]]
) -> dict[str, int]:
    """How many schedules from here end with which violation, or with none."""
    if world.violation:
        return {world.violation: 1}
    counted = known.get(world)
    if counted is not None:
        return counted
    endings: dict[str, int] = {}
    for after in _after(world, scenario, scripts):
        for ending, count in _endings(after, scenario, scripts, known).items():
            endings[ending] = endings.get(ending, 0) + count
    known[world] = endings or {"": 1}
    return known[world]


def _after(world: World, scenario: Scenario, scripts: Scripts) -> Iterator[World]:
    if all(state == DONE for state in world.processes):
        return
    for me, process in enumerate(scenario.processes):
        if world.processes[me] != DONE:
            yield from process.steps(world, me, scripts)
    yield from _evicted(world)
    yield from _expired(world)
    for token in world.late:
        entry, _ = scripts.intend(world.entry, NOW, token, LONG, LONG)
        yield world._replace(entry=entry, late=world.late - {token})


def _evicted(world: World) -> Iterator[World]:
    """The key goes; a flush and a new epoch are the same to all who ask for it."""
    faults, fences = world.faults, world.entry.intents
    if faults.evictions and world.entry != NOTHING:
        yield world._replace(
            entry=NOTHING,
            faults=faults._replace(evictions=faults.evictions - 1),
            cut=world.cut or any(_uncommitted(world, token) for token, _ in fences),
        )


def _expired(world: World) -> Iterator[World]:
    """A fence or a lease outlasts its time."""
    entry, faults = world.entry, world.faults
    if not faults.expiries:
        return
    fewer = faults._replace(expiries=faults.expiries - 1)
    for token, expiry in entry.intents:
        if expiry > NOW:
            intents = entry.intents - {(token, expiry)} | {(token, 0)}
            cut = world.cut or _uncommitted(world, token)
            yield world._replace(entry=replace(entry, intents=intents), faults=fewer, cut=cut)
    if entry.leased(NOW):
        yield world._replace(entry=replace(entry, lease_ends=0), faults=fewer)


def _uncommitted(world: World, token: str) -> bool:
    """Whether the write behind this fence is still to come."""
    return world.processes[int(token)].step == "commit"


@dataclass(frozen=True)
class Writing:
    """What all writers do alike: intend, commit, publish.

    ``strict`` refuses to write without a fence. ``crashes`` says whether this one may crash, or be
    refused, where the scenario allows for that: before its commit, and, if ``lands``, after it.
    """

    strict: bool = True
    crashes: bool = True
    lands: bool = True

    @property
    def first(self) -> State:
        return State("intend")

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        state = world.processes[me]
        match state.step:
            case "intend":
                yield from self._intend(world, me, scripts)
            case "commit":
                yield from self._commit(world, me)
            case "refused":
                yield self._told(world, me, scripts, self.refusal(state), DONE)
            case "publish":
                yield from self._publish(world, me, scripts)
            case "again":
                yield self._told(world, me, scripts, self.action(state), DONE)
            case _:
                healed = self._told(world, me, scripts, self.dropped(state), DONE)
                yield self.acknowledged(healed, state)

    def committed(self, world: World, told: Intended | None) -> tuple[World, State]:
        """The world with the commit in it, and what is to be published."""
        raise NotImplementedError

    def action(self, state: State) -> Action:
        """What a writer in this state publishes."""
        raise NotImplementedError

    def refusal(self, state: State) -> Action:
        """What it publishes when the primary refused the write."""
        raise NotImplementedError

    def dropped(self, state: State) -> Action:
        """What is published for it once Redis is back."""
        raise NotImplementedError

    def acknowledged(self, world: World, state: State) -> World:
        """The world with the write promised."""
        raise NotImplementedError

    def _intend(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        token = str(me)
        entry, told = scripts.intend(world.entry, NOW, token, LONG, LONG)
        fenced = world._replace(entry=entry)
        yield fenced.moved(me, State("commit", (told,)))
        if world.faults.losses:
            unfenced = DONE if self.strict else State("commit", (None,))
            for reached in (world, fenced, world._replace(late=world.late | {token})):
                yield reached.lost()._replace(cut=world.cut or not self.strict).moved(me, unfenced)

    def _commit(self, world: World, me: int) -> Iterator[World]:
        told = world.processes[me].memory[0]
        after, state = self.committed(world, told if isinstance(told, Intended) else None)
        yield after.moved(me, state)
        if self.crashes and world.faults.crashes:
            fewer = world.faults._replace(crashes=world.faults.crashes - 1)
            yield world._replace(faults=fewer).moved(me, DONE)
            yield world._replace(faults=fewer).moved(me, State("refused", (told,)))
            if self.lands:
                yield after._replace(faults=fewer).moved(me, DONE)

    def _publish(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        state = world.processes[me]
        told = self._told(world, me, scripts, self.action(state), DONE)
        yield self.acknowledged(told, state)
        if world.faults.losses:
            yield self.acknowledged(told, state).lost()
            if world.cut:  # the receipt says that others do not know yet
                yield world.lost().moved(me, state._replace(step="heal"))
            else:
                yield self.acknowledged(world, state).lost().moved(me, DONE)
                yield self.acknowledged(world, state).lost().moved(me, state._replace(step="again"))

    def _told(self, world: World, me: int, scripts: Scripts, action: Action, state: State) -> World:
        entry, _ = scripts.publish(world.entry, NOW, str(me), LONG, action)
        return world._replace(entry=entry).moved(me, state)
