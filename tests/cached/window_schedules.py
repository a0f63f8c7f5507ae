"""Readers and writers of the window of one scope, for `schedules.explore`.

The scope has a few records, each with a place by which it is ordered. The cache of the records
themselves is explored apart: here a record is read as it is when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from orchestra_memory.layers.cached.model import Entry, Reading
from orchestra_memory.layers.cached.replies import LEASED, Intended, Window
from orchestra_memory.layers.cached.scripts import Action, Change, Drop, WindowFilling
from tests.cached.schedules import (
    DONE,
    LONG,
    NOW,
    History,
    Scripts,
    State,
    Version,
    World,
    Writing,
)

Page: TypeAlias = tuple[tuple[int, int], ...]
"""Places and records, in order."""

LENGTH = 2
"""Members of a window at most, and of the page that fills it."""


def written(*places: int | None) -> tuple[History, ...]:
    """The history of records that lie at these places, or are not there yet."""
    return tuple((Version(1, place),) for place in places)


def window(places: Mapping[int, int], *, complete: bool) -> Entry:
    """A window with these records at their places, as filled at first."""
    bound = b"" if complete else _sort(max(places.values()))
    return Entry(
        floor=1,
        state="L",
        filled_at=NOW,
        complete=complete,
        bound=bound,
        ends=LONG * 1_000,
        members=frozenset((str(record), _sort(place)) for record, place in places.items()),
        expires=LONG * 1_000,
    )


def _sort(place: int) -> bytes:
    return b"%d" % place


def page_of(places: Sequence[int | None], length: int) -> Page:
    """The first records in order."""
    present = sorted((place, record) for record, place in enumerate(places) if place is not None)
    return tuple(present[:length])


@dataclass(frozen=True)
class Lister:
    """Asks for a page of the scope: the window, then its records, or else the primary."""

    length: int = LENGTH

    @property
    def first(self) -> State:
        return State("look")

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        state = world.processes[me]
        match state.step:
            case "look":
                yield from self._look(world, me, scripts)
            case "records":
                yield self._read(world, me)
            case "primary":
                yield self._ask(world, me)
            case _:
                yield from self._fill(world, me, scripts)

    def _look(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        began = world.acknowledged if world.cut else world.seen
        entry, reply = scripts.read_window(world.entry, NOW, Reading(f"reader {me}"))
        looked = world._replace(entry=entry)
        if isinstance(reply, Window):
            yield looked.moved(me, State("records", (began, reply)))
        else:
            yield looked.moved(me, State("primary", (began, reply == LEASED)))
        if world.faults.losses:
            for reached in (world, looked):
                yield reached.lost().moved(me, State("primary", (began, False)))

    def _read(self, world: World, me: int) -> World:
        began, told = world.processes[me].memory
        assert isinstance(told, Window)
        members = {int(record) for record, _ in told.members}
        page = self._page(world, told, members)
        if page is None:
            return world.moved(me, State("primary", (began, False)))
        listed = _listed(world, page, self.length, began)  # type: ignore[arg-type]
        return _saw(listed, members).moved(me, DONE)

    def _page(self, world: World, told: Window, members: Set[int]) -> Page | None:
        """What the window answers, if it can: each record counts where it lies now."""
        places = [
            history[-1].place if record in members else None
            for record, history in enumerate(world.history)
        ]
        if told.complete:
            return page_of(places, self.length)
        within = [
            place if place is None or _sort(place) <= told.bound else None for place in places
        ]
        page = page_of(within, self.length)
        return page if len(page) == self.length else None

    def _ask(self, world: World, me: int) -> World:
        began, leased = world.processes[me].memory
        length = LENGTH if leased else self.length
        places = [history[-1].place for history in world.history]
        page = page_of(places, length)
        complete = len(page_of(places, length + 1)) <= length
        listed = _listed(world, page, length, began)  # type: ignore[arg-type]
        after = _saw(listed, range(len(world.history)))
        filling = State("fill", (world.clock, page, complete))
        return after.moved(me, filling if leased else DONE)

    def _fill(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        version, page, complete = world.processes[me].memory
        assert isinstance(version, int)
        assert isinstance(page, tuple)
        members = tuple((str(record), _sort(place)) for place, record in page)
        bound = b"" if complete else members[-1][1]
        filling = WindowFilling(version, bool(complete), bound, LONG, members)
        entry, _ = scripts.fill_window(world.entry, NOW, f"reader {me}", filling)
        yield world._replace(entry=entry).moved(me, DONE)
        if world.faults.losses:
            yield world.lost().moved(me, DONE)


def _saw(world: World, records: Iterable[int]) -> World:
    """A reader looked at these records as they are now."""
    seen = list(world.seen)
    for record in records:
        seen[record] = max(seen[record], world.history[record][-1].number)
    return world._replace(seen=tuple(seen))


def _listed(world: World, page: Page, length: int, began: tuple[int, ...]) -> World:
    """A reader got this page: is there a state of each record, no older than promised, for it?

    Pages are read record by record: each may be of another moment since the reader began.
    """
    possible = [
        [version for version in history if version.number >= number]
        for history, number in zip(world.history, began, strict=True)
    ]
    for versions in product(*possible):
        if page_of([version.place for version in versions], length) == page:
            return world
    listed = {record for _, record in page}
    for record, versions in enumerate(possible):
        if record in listed and all(version.place is None for version in versions):
            return world._replace(violation="deleted record revived")
    return world._replace(violation="record missed")


@dataclass(frozen=True)
class Placer(Writing):
    """Puts a record at a place of the scope: a new one, or one that lies elsewhere in it."""

    record: int = 0
    place: int = 0

    def committed(self, world: World, told: Intended | None) -> tuple[World, State]:
        number = world.clock + 1
        state = State("publish", (number, told))
        return _with_version(world, self.record, Version(number, self.place)), state

    def action(self, state: State) -> Action:
        floor, told = state.memory
        assert isinstance(floor, int)
        if not isinstance(told, Intended) or not told.ready:
            return Drop(floor)
        sort = _sort(self.place)
        within = told.complete or sort <= told.bound
        member = str(self.record), sort if within else b""
        return Change(floor, told.sequence, (member,))

    def refusal(self, state: State) -> Action:
        told = state.memory[0]
        return Change(0, told.sequence, ()) if isinstance(told, Intended) else Drop(0)

    def dropped(self, state: State) -> Action:
        floor = state.memory[0]
        assert isinstance(floor, int)
        return Drop(floor)

    def acknowledged(self, world: World, state: State) -> World:
        number = state.memory[0]
        assert isinstance(number, int)
        return _promised(world, self.record, number)


@dataclass(frozen=True)
class Remover:
    """Deletes a record, or moves it to another scope, and tells this one's window nothing."""

    record: int = 0

    @property
    def first(self) -> State:
        return State("delete")

    def steps(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        number = world.clock + 1
        if world.processes[me].step == "delete":
            after = _with_version(world, self.record, Version(number, None))
            yield after.moved(me, State("acknowledge", (number,)))
        else:
            deleted = world.processes[me].memory[0]
            assert isinstance(deleted, int)
            yield _promised(world, self.record, deleted).moved(me, DONE)


def _with_version(world: World, record: int, version: Version) -> World:
    history = list(world.history)
    history[record] = (*history[record], version)
    return world._replace(history=tuple(history), clock=version.number)


def _promised(world: World, record: int, number: int) -> World:
    acknowledged, seen = list(world.acknowledged), list(world.seen)
    acknowledged[record] = max(acknowledged[record], number)
    seen[record] = max(seen[record], number)
    return world._replace(acknowledged=tuple(acknowledged), seen=tuple(seen))
