"""What a process did itself is no version of somebody else's, however it comes to learn of it."""

from __future__ import annotations

import pytest

from orchestra_memory import Delete, Patch, Put, Ref
from orchestra_memory.layers.fallback.standby import BULK
from orchestra_memory.operations import Op

from .replaying import Doc, Process, Recorded, kept

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")
NOTED = Patch(A, set={"note": "ours"})
LAST = [Put(Doc(id="a", text="last")), Delete(A)]


async def process(*, known: bool = True) -> Process:
    made = Process(Recorded())
    await made.store.put(Doc(id="a", text="known", seen={"y": 1, "x": [2.5]}))
    if known:
        (found,) = await made.store.read([A])
        made.standby.saw(A, found)
    return made


async def in_doubt(made: Process, *ops: Op, fault: str = "lose") -> None:
    """Written while the store answered, but no answer came; ``late`` is not there yet."""
    made.healthy = True
    made.life.faults.append(fault)
    await made.write(*ops)
    made.healthy = False


async def versions(made: Process) -> list[str]:
    return [f"{each.side} {each.reason}" for each in await kept(made.store)]


@pytest.mark.parametrize("last", LAST)
async def test_a_patch_in_doubt_that_was_applied_is_nobody_elses_version(last: Op) -> None:
    made = await process()
    await in_doubt(made, NOTED)
    await made.write(last)
    await made.drain_all()
    doc = await made.store.get(Doc, "a")
    assert (doc and doc.text) == (None if isinstance(last, Delete) else "last")
    assert await versions(made) == []


async def test_a_patch_in_doubt_is_known_for_applied_by_the_next_process_too() -> None:
    made = await process()
    await in_doubt(made, NOTED)
    await made.write(LAST[0])
    await made.restart()
    await made.drain_all()
    assert await versions(made) == []


async def test_what_others_changed_beside_a_patch_in_doubt_is_kept() -> None:
    made = await process()
    await in_doubt(made, NOTED)
    await made.store.write([Patch(A, set={"remote": "theirs"})])
    await made.write(LAST[0])
    await made.drain_all()
    assert await versions(made) == ["remote overwritten"]


async def test_an_increment_is_not_taken_for_applied_because_another_one_was() -> None:
    made = await process()
    one_more = Patch(A, increment={"count": 1})
    await in_doubt(made, one_more, fault="late")
    await made.store.write([one_more])
    await made.drain_all()
    doc = await made.store.get(Doc, "a")
    assert doc is not None
    assert doc.count == 2


async def test_what_is_written_after_its_own_effect_was_found_knows_it() -> None:
    made = await process(known=False)
    await in_doubt(made, Put(Doc(id="a", text="ours")), Put(Doc(id="b", text="ours")))
    await made.drain_all()
    await made.write(LAST[0])
    await made.drain_all()
    assert await versions(made) == []


async def test_however_much_was_replayed_it_is_known_in_the_next_outage() -> None:
    made = await process()
    refs = [Ref(Doc, f"n{number}") for number in range(BULK + 1)]
    for ref in refs:
        await made.write(Put(Doc(id=ref.key, text="ours")))
    await made.drain_all()
    assert all(made.standby.get(ref) is not None for ref in refs)
    for ref in refs:
        await made.write(Put(Doc(id=ref.key, text="again")))
    await made.drain_all()
    assert await versions(made) == []
