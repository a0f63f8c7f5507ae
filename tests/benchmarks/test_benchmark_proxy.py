"""A long way is late and keeps the order."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest

from benchmarks.proxy import Proxy

pytestmark = pytest.mark.anyio
DELAY = 0.02


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def far_away(serve):
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        near = server.sockets[0].getsockname()
        async with await Proxy(*near, DELAY).listen() as proxy:
            reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
            yield reader, writer
            if not reader.at_eof():
                writer.write_eof()
                assert not await reader.read()
            writer.close()
            await writer.wait_closed()


async def test_an_answer_is_late_by_both_directions():
    async with far_away(echo) as (reader, writer):
        began = time.perf_counter()
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        assert time.perf_counter() - began >= 2 * DELAY


async def test_what_passes_keeps_its_order_and_nothing_is_lost():
    sent = os.urandom(5_000_000)
    async with far_away(echo) as (reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent


async def test_it_delays_but_does_not_wait_for_answers():
    async with far_away(echo) as (reader, writer):
        began = time.perf_counter()
        for _ in range(50):
            writer.write(b"x")
            await asyncio.sleep(0.001)
        await reader.readexactly(50)
        assert time.perf_counter() - began < 50 * 2 * DELAY


async def test_the_end_passes_too():
    async with far_away(echo) as (reader, writer):
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"last words"
