"""A journal is bounded, warns in time, and refuses before it writes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import ConfigurationError, JournalFull
from orchestra_memory.resilience.journal import Bounds, Event, FillingUp, Journal
from orchestra_memory.resilience.journal.bounds import Held, Ledger

from .parts import TARGET, Clock, bodies, document, draft, opened


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bounds", "named"),
    [(Bounds(max_entries=3), "max_entries"), (Bounds(max_bytes=1_000), "max_bytes")],
)
async def test_a_full_journal_refuses_all_of_an_append_and_writes_none_of_it(
    tmp_path, bounds, named
):
    async with opened(tmp_path, bounds=bounds) as journal:
        numbers = await journal.append([draft("1" * 200), draft("2" * 200)])
        before = journal.status()
        with pytest.raises(JournalFull, match=named):
            await journal.append([draft("3" * 200), draft("4" * 200)])
        assert journal.status() == before
        await journal.settle(numbers)
        await journal.append([draft("5" * 200), draft("6" * 200)])
        assert bodies(await journal.pending()) == ["5" * 200, "6" * 200]


@pytest.mark.anyio
async def test_appends_at_once_do_not_get_past_the_bound_together(tmp_path):
    async with opened(tmp_path, bounds=Bounds(max_entries=5)) as journal:
        outcomes = await asyncio.gather(
            *(journal.append([draft()]) for _ in range(8)), return_exceptions=True
        )
        refused = [each for each in outcomes if isinstance(each, JournalFull)]
        assert (len(refused), len(await journal.pending())) == (3, 5)


@pytest.mark.anyio
async def test_an_entry_that_waited_too_long_stops_further_ones(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock=clock) as journal:
        (number,) = await journal.append([draft("1")])
        clock.move(days=6.9)
        await journal.append([draft("2")])
        clock.move(days=0.2)
        with pytest.raises(JournalFull, match="max_age"):
            await journal.append([draft("3")])
        await journal.dead_letter(number, "nobody took it")
        await journal.append([draft("4")])


@pytest.mark.anyio
async def test_dead_letters_count_against_the_bounds(tmp_path):
    async with opened(tmp_path, bounds=Bounds(max_entries=1)) as journal:
        (number,) = await journal.append([draft()])
        await journal.dead_letter(number, "a reason")
        with pytest.raises(JournalFull):
            await journal.append([draft()])


@pytest.mark.anyio
async def test_hooks_are_warned_once_for_each_time_it_fills_up(tmp_path):
    events: list[Event] = []
    async with opened(tmp_path, events=events, bounds=Bounds(max_entries=10)) as journal:
        numbers = await journal.append([draft() for _ in range(7)])
        assert events == []
        numbers += await journal.append([draft()])
        numbers += await journal.append([draft()])
        assert [type(event) for event in events] == [FillingUp]
        assert isinstance(events[0], FillingUp)
        assert (events[0].share, events[0].entries) == (0.8, 8)
        await journal.settle(numbers)
        await journal.append([draft() for _ in range(8)])
        assert len(events) == 2


@pytest.mark.anyio
async def test_hooks_are_warned_of_an_entry_that_waits_for_long(tmp_path):
    clock, events = Clock(), list[Event]()
    async with opened(tmp_path, events=events, clock=clock) as journal:
        await journal.append([draft()])
        clock.move(days=5.5)
        await journal.append([draft()])
        assert events == []
        clock.move(days=0.2)
        await journal.append([draft()])
        assert [type(event) for event in events] == [FillingUp]


@pytest.mark.anyio
async def test_a_hook_that_raises_takes_no_acknowledgement_with_it(tmp_path):
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))

    def fail(_: Event) -> None:
        raise RuntimeError

    try:
        bounds = Bounds(max_entries=1)
        async with Journal.open(tmp_path, target=TARGET, hooks=[fail], bounds=bounds) as journal:
            assert len(await journal.append([draft()])) == 1
    finally:
        loop.set_exception_handler(None)
    assert [type(error) for error in seen] == [RuntimeError]


@pytest.mark.parametrize("name", ["max_bytes", "max_entries", "max_age"])
@pytest.mark.parametrize("value", [0, -1, "1", True])
def test_bounds_that_are_none_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=rf"Bounds\.{name}"):
        Bounds(**{name: value})


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("add", "add", "add dead", "remove", "bury", "revive", "damage")),
        st.integers(0, 40),
        st.sampled_from("abc"),
        st.integers(0, 5),
    ),
    max_size=60,
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(CHANGES)
def test_the_ledger_agrees_with_a_plain_list(changes):
    ledger, model = Ledger(Bounds()), {}
    for number, (change, picked, key, at) in enumerate(changes):
        if change.startswith("add"):
            held = Held(number, f"id {number}", document(key), at, 10)
            ledger.add(held, dead=change == "add dead")
            model[number] = (held, "dead" if change == "add dead" else "waits")
        elif change == "remove":
            ledger.remove([picked])
            model.pop(picked, None)
        elif picked in model:
            getattr(ledger, change)(picked)
            held, state = model[picked]
            after = {"bury": "dead", "revive": "waits", "damage": "damaged"}[change]
            model[picked] = (held, state if change == "revive" and state != "dead" else after)
    waits = sorted((held.at, n) for n, (held, state) in model.items() if state == "waits")
    assert sorted(map(ledger.place, ledger.waiting())) == waits
    assert ledger.oldest() == (waits[0][0] if waits else None)
    for state, numbers in (("dead", ledger.dead), ("damaged", ledger.damaged)):
        assert numbers == {n for n, (_, found) in model.items() if found == state}
    assert ledger.bytes == 10 * len(model)
    assert ledger.ids == {held.id for held, _ in model.values()}
    for key in "abc":
        mine = [number for _, number in waits if model[number][0].document == document(key)]
        assert ledger.waiting_for(document(key)) == mine
        assert ledger.holds(document(key)) == bool(mine)


def test_an_entry_that_waits_for_long_does_not_keep_what_was_settled_behind_it():
    ledger = Ledger(Bounds())
    ledger.add(Held(0, "0", document(), 0, 1))
    for number in range(1, 5_000):
        ledger.add(Held(number, str(number), document(), number, 1))
        ledger.remove([number])
    assert len(ledger._ages) < 2_000
    assert ledger.oldest() == 0
