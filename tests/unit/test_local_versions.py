"""A receipt of the in-process store tells the time of its own commit, whoever else writes."""

import anyio
import pytest

from orchestra_memory import LocalMemory, Receipt, SystemState

pytestmark = pytest.mark.anyio


async def test_versions_of_writes_at_the_same_time_are_their_own():
    memory = LocalMemory()
    receipts: list[Receipt] = []

    async def put(number: int) -> None:
        receipts.append(await memory.put(SystemState(id=f"s{number}")))

    async with anyio.create_task_group() as writers:
        for number in range(10):
            writers.start_soon(put, number)
    assert [receipt.version for receipt in receipts] == [r.revisions[0] for r in receipts]
    assert len({receipt.version for receipt in receipts}) == 10


async def test_a_write_of_nothing_tells_the_present_time():
    memory = LocalMemory()
    receipt = await memory.put(SystemState())
    assert (await memory.write([])).version == receipt.version
