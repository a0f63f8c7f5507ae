"""Requests by hand: several at once, several records in one."""

import anyio
import pytest

from benchmarks.gathering import BATCH, chunks, gathered


def test_chunks_hold_all_records_once_in_their_order():
    records = list(range(2 * BATCH + 1))
    found = chunks(records)
    assert [len(chunk) for chunk in found] == [BATCH, BATCH, 1]
    assert [record for chunk in found for record in chunk] == records


@pytest.mark.anyio
async def test_no_more_are_under_way_than_may_be_and_answers_keep_their_order():
    running, most = 0, 0

    async def answered(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001 * (number % 3))
        running -= 1
        return number

    assert await gathered(map(answered, range(20)), 4) == list(range(20))
    assert most == 4
