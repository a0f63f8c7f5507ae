"""A TCP proxy that cuts connections in mid-answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 16 * 1024
PAUSE = 0.2
"""Seconds before a cut, in which the client can take in what has passed."""


class CuttingProxy:
    """Passes bytes to a server and back, and cuts connections where it is told to."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._left: deque[int] = deque()
        self._passed = 0
        self.host = ""
        self.made = 0

    def cut_after(self, *answered: int) -> None:
        """Cut once so many bytes of answers have passed from now on, and so on after each cut."""
        self._left = deque(answered)
        self._passed = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._server.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        questions = asyncio.create_task(_carry(reader, back))
        try:
            with suppress(OSError):
                while (data := await there.read(CHUNK)) and await self._answer(data, writer):
                    pass
        finally:
            questions.cancel()
            await asyncio.gather(questions, return_exceptions=True)
            back.transport.abort()
            writer.close()

    async def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Pass the data on, or what of it comes before a cut; whether the connection remains."""
        cut = bool(self._left) and self._passed + len(data) >= self._left[0]
        if cut:
            data = data[: self._left.popleft() - self._passed]
        self._passed += len(data)
        writer.write(data)
        await writer.drain()
        if cut:
            self._passed, self.made = 0, self.made + 1
            await asyncio.sleep(PAUSE)
        return not cut


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def cutting(server: str) -> AsyncIterator[CuttingProxy]:
    """A proxy on a free port in front of the server at this address."""
    proxy = CuttingProxy(server)
    listening = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    address, port = listening.sockets[0].getsockname()
    proxy.host = f"{address}:{port}"
    try:
        yield proxy
    finally:
        listening.close()
