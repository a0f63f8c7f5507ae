"""`python -m benchmarks.proxy HOST:PORT MILLISECONDS`: a long way to a server.

What passes is late by so much in each direction, in order, and as wide as the machine lets it be.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final, TypeAlias

CHUNK: Final = 1 << 20
"""Bytes read at once."""

Late: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"
"""What is under way, and when it arrives; empty bytes are the end."""


class Proxy:
    """Listens on a free port and connects each client to the server, ``delay`` seconds away."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        self._host = host
        self._port = port
        self._delay = delay

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=CHUNK)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port, limit=CHUNK)
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        finally:
            writer.close()
            back.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late: Late = asyncio.Queue()
        await asyncio.gather(self._take(reader, late), _give(late, writer))

    async def _take(self, reader: asyncio.StreamReader, late: Late) -> None:
        data = b"?"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            late.put_nowait((asyncio.get_running_loop().time() + self._delay, data))


async def _give(late: Late, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while True:
            due, data = await late.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


async def main(server: str, milliseconds: str) -> None:
    """Serve until stdin closes."""
    host, _, port = server.rpartition(":")
    listening = await Proxy(host, int(port), float(milliseconds) / 1e3).listen()
    print("{}:{}".format(*listening.sockets[0].getsockname()), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listening.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
