"""A long way is late in each direction, and loses nothing."""

import asyncio
import os

import pytest

from benchmarks.process import serving

pytestmark = pytest.mark.anyio
MILLISECONDS = 20


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_what_passes_is_late_by_both_directions_and_keeps_its_order():
    sent, clock = os.urandom(5_000_000), asyncio.get_running_loop().time
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        near = "{}:{}".format(*server.sockets[0].getsockname())
        with serving("long_way", near, str(MILLISECONDS)) as way:
            host, _, port = way.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            began = clock()
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(1)
            assert clock() - began >= 2 * MILLISECONDS / 1e3
            assert await reader.read() == sent[1:]
            writer.close()
            await writer.wait_closed()
