"""Writes to one document under way at once, whose answers come in another order than they have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from orchestra_memory import Delete, LocalMemory, Patch, Put, Receipt, Record, Ref, Unavailable
from orchestra_memory.layers.fallback.reading import Reader
from orchestra_memory.layers.fallback.standby import Standby
from orchestra_memory.operations import DEFAULT, Op, Options

from .replaying import Process
from .stages import as_run


class Log(Record, collection="late_logs"):
    """``count`` is as many as there are ``names``."""

    id: str = "a"
    count: int = 0
    names: list[str] = Field(default_factory=list[str])


A = Ref(Log, "a")


def one_more(name: str) -> Patch:
    return Patch(A, increment={"count": 1}, add={"names": [name]})


class Held(LocalMemory):
    """Commits at once, and answers the first write of a log only when another one was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.other = asyncio.Event()
        self.first: str | None = None

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        receipt = await super().write(ops, options=options)
        if isinstance(ops[0], Patch):
            name = str(ops[0].add["names"])
            if self.first is None:
                self.first = name
                await self.other.wait()
            else:
                self.other.set()
        return receipt


@pytest.mark.anyio
async def test_a_read_in_an_outage_never_lacks_a_write_that_was_acknowledged_late() -> None:
    store = Held()
    process = Process(store)
    process.healthy = True
    await process.write(Put(Log()))
    await asyncio.gather(process.write(one_more("first")), process.write(one_more("second")))
    process.life.faults.append("fail")
    await process.write(one_more("queued"))
    process.life.faults.extend(["fail"] * 2)
    reader = Reader(process.link, process.queue, process.standby)
    # Of what two patches made in an order that nobody was told, nothing is known.
    with pytest.raises(Unavailable, match="nothing is known of 1"):
        await reader.read([A], DEFAULT)
    process.life.faults.clear()
    (found,) = await reader.read([A], DEFAULT)
    assert found is not None
    assert found.record.names == ["first", "second", "queued"]


LATE = [Put(Log(names=["late"])), one_more("late"), Delete(A)]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.anyio
async def test_a_write_told_after_a_later_patch_leaves_nothing_known(late: Op) -> None:
    store, standby = LocalMemory(), Standby()
    standby.wrote([Put(Log())], await store.write([Put(Log())]))
    before = await store.write([late])
    after = Patch(A, set={"count": 7}, or_create=Log())
    standby.wrote([after], await store.write([after]))
    standby.wrote([late], before)
    assert standby.get(A) is None


@pytest.mark.anyio
async def test_what_a_reader_saw_of_a_whole_write_is_not_applied_again() -> None:
    store, standby = LocalMemory(), Standby()
    await store.put(Log())
    twice = [one_more("x"), one_more("y")]
    receipt = await store.write(twice)
    (found,) = await store.read([A])
    assert found is not None
    standby.saw(A, found)
    standby.wrote(twice, receipt)
    known = standby.get(A)
    assert known is not None
    assert known.row.document["count"] == 2


steps = st.lists(
    st.tuples(st.sampled_from(("put", "patch", "patch", "delete", "foreign", "tell", "read")),
              st.integers(0, 3)),
    max_size=20,
)  # fmt: skip


@given(steps=steps)
@settings(max_examples=300, deadline=None)
def test_a_copy_has_all_that_was_told_in_whatever_order(steps: Any) -> None:
    async def work() -> None:
        store, standby = LocalMemory(), Standby()
        committed: list[tuple[str, Op]] = []
        untold: list[tuple[Op, Receipt]] = []
        told: set[int] = set()
        for number, (what, which) in enumerate(steps):
            if what == "tell" and untold:
                op, receipt = untold.pop(which % len(untold))
                standby.wrote([op], receipt)
                told.add(id(op))
            elif what == "read":
                began = standby.moment
                snapshot = await store.read([A])
                standby.saw_read([A], snapshot.items, as_of=snapshot.as_of, began=began)
            elif what in {"put", "patch", "delete", "foreign"}:
                op = change(what, f"n{number}")
                receipt = await store.write([op])
                committed.append((what, op))
                if what != "foreign":
                    untold.append((op, receipt))
            check(standby, committed, told)

    as_run(work)


def change(what: str, name: str) -> Op:
    new = Log(names=[name], count=1)
    if what == "patch":
        return Patch(A, increment={"count": 1}, add={"names": [name]}, or_create=Log())
    return Delete(A) if what == "delete" else Put(new)


def check(standby: Standby, committed: Sequence[tuple[str, Op]], told: set[int]) -> None:
    """What is known has each write that was told, unless a later one that replaced all is seen."""
    known = standby.get(A)
    if known is None:
        return
    names, count = known.row.document["names"], known.row.document["count"]
    assert len(names) == count == len(set(names))
    last = max((n for n, (_, op) in enumerate(committed) if name_of(op) in names), default=-1)
    base = max(
        (n for n, (what, _) in enumerate(committed[: last + 1]) if what != "patch"), default=-1
    )
    for place, (what, op) in enumerate(committed):
        if id(op) in told and place > base:
            assert what == "patch"
            assert name_of(op) in names


def name_of(op: Op) -> str | None:
    match op:
        case Put():
            return op.record.names[0]  # type: ignore[attr-defined, no-any-return]
        case Patch():
            return str(next(iter(op.add["names"])))
        case Delete():
            return None
