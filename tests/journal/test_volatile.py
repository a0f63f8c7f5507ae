"""The journal in memory agrees with the one on the disk, but that it has nothing to adopt."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import JournalFull
from orchestra_memory.resilience.journal import (
    Adoption,
    Bounds,
    Draft,
    Event,
    Journal,
    VolatileJournal,
)

from .parts import MEMORY, Clock, bodies, document, draft, opened

KEYS = ("a", "b")
BOUNDS = Bounds(max_entries=12, max_bytes=8_000, max_age=100.0)

picks = st.integers(1, 15)
groups = st.sampled_from((None, "one", "two"))
steps = st.one_of(
    st.tuples(
        st.just("append"),
        st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 2_000)), max_size=4),
        groups,
    ),
    st.tuples(st.just("bind"), st.lists(picks, max_size=3), st.sampled_from(("one", "three"))),
    st.tuples(st.just("settle"), st.lists(picks, max_size=4)),
    st.tuples(st.just("dead_letter"), picks, st.just("a reason")),
    st.tuples(st.just("revive"), picks),
    st.tuples(st.just("wait"), st.sampled_from((-10, 10, 60))),
)


class Both:
    """The same steps on a journal on the disk and on one in memory."""

    def __init__(self, disk: Journal, memory: VolatileJournal, clock: Clock) -> None:
        self.disk, self.memory, self.clock = disk, memory, clock
        self.serial = 0

    async def do(self, step: tuple[Any, ...]) -> None:
        verb, *rest = step
        if verb == "wait":
            self.clock.move(seconds=rest[0])
            return
        arguments, named = self._arguments(verb, rest)
        outcomes: list[object] = []
        for journal in (self.disk, self.memory):
            try:
                outcomes.append(await getattr(journal, verb)(*arguments, **named))
            except JournalFull as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]

    def _arguments(self, verb: str, rest: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        if verb != "append":
            return rest, {}
        pairs, batch = rest
        drafts = [Draft(document(key), b"x" * size, id=self._id()) for key, size in pairs]
        return [drafts], {"batch": batch}

    def _id(self) -> str:
        self.serial += 1
        return f"{self.serial}"

    async def compare(self) -> None:
        disk, memory = self.disk, self.memory
        assert await disk.pending() == await memory.pending()
        assert await disk.dead_letters() == await memory.dead_letters()
        for key in map(document, KEYS):
            assert await disk.pending_for(key) == await memory.pending_for(key)
            assert disk.holds(key) == memory.holds(key)
        assert [memory.waits(number) for number in range(16)] == [
            disk.waits(number) for number in range(16)
        ]
        assert [memory.held(number) for number in range(16)] == [
            disk.held(number) for number in range(16)
        ]
        assert summary(disk) == summary(memory)


def summary(journal: Journal | VolatileJournal) -> tuple[object, ...]:
    status = journal.status()
    return (
        status.target,
        status.holder,
        status.entries,
        status.dead_letters,
        status.damaged,
        status.bytes,
        status.share,
        status.oldest,
        status.dead,
    )


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(steps, max_size=25))
def test_any_steps_have_the_same_outcome_in_memory_as_on_the_disk(drawn):
    async def run() -> None:
        clock, told_by_disk, told_by_memory = Clock(), [], []
        with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
            memory = VolatileJournal(
                target="t", bounds=BOUNDS, clock=clock, hooks=[told_by_memory.append]
            )
            where = Path(directory)
            opening = opened(where, target="t", bounds=BOUNDS, clock=clock, events=told_by_disk)
            async with opening as disk:
                both = Both(disk, memory, clock)
                for step in drawn:
                    await both.do(step)
                    await both.compare()
                await asyncio.sleep(0)
        assert told_by_disk == told_by_memory

    asyncio.run(run())


@pytest.mark.anyio
async def test_it_says_that_it_is_in_memory():
    journal = VolatileJournal()
    status = journal.status()
    assert (journal.medium, status.medium, status.path) == ("ephemeral", "ephemeral", None)
    assert await journal.adopt() == Adoption()


@pytest.mark.anyio
async def test_it_warns_before_it_is_full():
    events: list[Event] = []
    journal = VolatileJournal(bounds=Bounds(max_entries=5), hooks=[events.append])
    await journal.append([draft(str(number)) for number in range(4)])
    await asyncio.sleep(0)
    assert [type(event).__name__ for event in events] == ["FillingUp"]
    with pytest.raises(JournalFull, match="max_entries"):
        await journal.append([draft(), draft()])
    assert bodies(await journal.pending()) == ["0", "1", "2", "3"]
