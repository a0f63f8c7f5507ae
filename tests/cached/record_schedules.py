"""Readers and writers of one record, for `schedules.explore`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orchestra_memory.layers.cached.model import NOTHING, Entry, Reading
from orchestra_memory.layers.cached.replies import LEASED, Absent, Found, Intended, RecordReply
from orchestra_memory.layers.cached.scripts import Action, Drop, Filling, KeepAbsent, KeepLive, Mode
from tests.cached.schedules import DONE, LONG, NOW, Scripts, State, Version, World, Writing

LIVE = ((Version(1),),)
"""The history of a record that was written once."""
FILLED = Entry(floor=1, state="L", payload=b"1", filled_at=NOW, expires=LONG)
COLD_AND_WARM = (NOTHING, FILLED)


@dataclass(frozen=True)
class Reader:
    """Asks the cache, then the primary, and fills; and so on, ``times`` over."""

    mode: Mode = "use"
    times: int = 1

    @property
    def first(self) -> State:
        return State("look", (self.times,))

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        state = world.processes[me]
        match state.step:
            case "look":
                yield from self._look(world, me, scripts)
            case "primary":
                yield from self._ask(world, me)
            case _:
                yield from self._fill(world, me, scripts)

    def _look(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        (left,) = world.processes[me].memory
        began = (world.acknowledged[0], world.seen[0])
        entry, reply = scripts.read(world.entry, NOW, Reading(f"reader {me}", self.mode))
        looked = world._replace(entry=entry)
        if isinstance(reply, Found | Absent):
            yield _answered(looked, *_content(reply), began).moved(me, _next(left))
        else:
            yield looked.moved(me, State("primary", (left, began, reply == LEASED)))
        if world.faults.losses:
            for reached in (world, looked):
                yield reached.lost().moved(me, State("primary", (left, began, False)))

    def _ask(self, world: World, me: int) -> Iterator[World]:
        left, began, leased = world.processes[me].memory
        newest = world.history[0][-1]
        live = newest.place is not None
        number = newest.number if live else world.clock
        after = _answered(world, number, live, began)  # type: ignore[arg-type]
        yield after.moved(me, State("fill", (left, number, live)) if leased else _next(left))

    def _fill(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        left, number, live = world.processes[me].memory
        assert isinstance(number, int)
        filling = Filling(number, str(number).encode() if live else None, LONG)
        entry, _ = scripts.fill(world.entry, NOW, f"reader {me}", filling)
        yield world._replace(entry=entry).moved(me, _next(left))
        if world.faults.losses:
            yield world.lost().moved(me, _next(left))
            given_back, _ = scripts.fill(world.entry, NOW, f"reader {me}", Filling(0, b"", LONG))
            yield world._replace(entry=given_back).lost().moved(me, _next(left))


def _next(left: object) -> State:
    assert isinstance(left, int)
    return State("look", (left - 1,)) if left > 1 else DONE


def _content(reply: RecordReply) -> tuple[int, bool]:
    if isinstance(reply, Found):
        return int(reply.payload), True
    assert isinstance(reply, Absent)
    return reply.version, False


def _answered(world: World, number: int, live: bool, began: tuple[int, int]) -> World:
    """A reader got this, having begun when so much was acknowledged and seen."""
    acknowledged, seen = began
    version = max(each for each in world.history[0] if each.number <= number)
    if (version.place is not None) != live:
        return world._replace(violation="deleted record revived" if live else "record missed")
    if version.number < acknowledged:
        return world._replace(violation="deleted record revived" if live else "older")
    if version.number < seen and not world.cut:
        return world._replace(violation="went back")
    return world._replace(seen=(max(world.seen[0], version.number),))


@dataclass(frozen=True)
class Ghost:
    """Intends to write, and is never heard of again."""

    @property
    def first(self) -> State:
        return State("intend")

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        entry, _ = scripts.intend(world.entry, NOW, str(me), LONG, LONG)
        yield world._replace(entry=entry).moved(me, DONE)


@dataclass(frozen=True)
class Writer(Writing):
    """Puts (``same``: what is there already), patches or deletes the record."""

    kind: Literal["put", "same", "patch", "delete"] = "put"

    def committed(self, world: World, told: Intended | None) -> tuple[World, State]:
        newest, number = world.history[0][-1], world.clock + 1
        live = newest.place is not None
        if self.kind == "patch" and not live:
            return world, State("refused", (told,))
        if self.kind == "same" and live:
            return world._replace(clock=number), State("publish", (newest.number, newest.number))
        after = world._replace(clock=number)
        if self.kind == "delete" and not live:
            return after, State("publish", (number, newest.number))
        version = Version(number, None if self.kind == "delete" else 0)
        after = after._replace(history=((*world.history[0], version),))
        return after, State("publish", (number, number))

    def action(self, state: State) -> Action:
        floor = _number(state, 0)
        if self.kind == "patch":
            return Drop(floor)
        if self.kind == "delete":
            return KeepAbsent(floor, LONG)
        return KeepLive(floor, str(floor).encode(), LONG)

    def refusal(self, state: State) -> Action:
        return Drop(0)

    def dropped(self, state: State) -> Action:
        return Drop(_number(state, 0))

    def acknowledged(self, world: World, state: State) -> World:
        return world._replace(acknowledged=(max(world.acknowledged[0], _number(state, 1)),))


def _number(state: State, place: int) -> int:
    number = state.memory[place]
    assert isinstance(number, int)
    return number
