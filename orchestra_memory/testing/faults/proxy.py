"""A TCP proxy that refuses, cuts, holds up, delays and narrows, each way apart, while it runs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Final, Self, TypeAlias

LOOPBACK: Final = "127.0.0.1"
CHUNK: Final = 64 * 1024
"""Bytes read at once."""
UNDER_WAY: Final = 256
"""Pieces under way on one connection in one direction; the sender waits beyond that."""
SLICES_PER_SECOND: Final = 50
"""How finely a narrow direction is served."""

Pieces: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"
"""What is under way, and when it arrives by the loop's clock; empty bytes are the end."""


class Direction:
    """What becomes of the bytes that pass one way, on all connections, those that are open too.

    ``delay`` is how many seconds later each piece arrives; order is kept, and pieces do not wait
    for each other. ``rate`` is how many bytes pass each second on one connection, endless by
    default. Set both at any time. ``passed`` counts bytes, ``cuts`` what `cut_after` has cut.
    """

    def __init__(self) -> None:
        self.delay: float = 0.0
        self.rate: float = inf
        self.passed: int = 0
        self.cuts: int = 0
        self._left: deque[int] = deque()
        self._open = asyncio.Event()
        self._open.set()

    def __repr__(self) -> str:
        held = "" if self._open.is_set() else ", held"
        return f"<Direction {self.passed} bytes, {self.delay} s late{held}>"

    def hold(self) -> None:
        """Let nothing arrive, and lose nothing, until `release`: a black hole."""
        self._open.clear()

    def release(self) -> None:
        """Let arrive what was held, and what follows."""
        self._open.set()

    def cut_after(self, *sizes: int) -> None:
        """Close a connection in mid-message: once so many bytes have passed from now on.

        Further sizes count from the cut before them. 0 cuts before the next byte: what was asked
        for may have been done, but its answer is lost. None at all takes cuts back.
        """
        self._left = deque(sizes)

    def heal(self) -> None:
        """As at first, but for the counts."""
        self.delay, self.rate = 0.0, inf
        self.cut_after()
        self.release()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what is read until its end, for the proxy; an ``OSError`` group says it broke."""
        pieces: Pieces = asyncio.Queue(UNDER_WAY)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(reader, pieces))
            tasks.create_task(self._give(pieces, writer))

    async def _take(self, reader: asyncio.StreamReader, pieces: Pieces) -> None:
        data = b"?"
        while data:
            data = await reader.read(CHUNK)
            await pieces.put((asyncio.get_running_loop().time() + self.delay, data))

    async def _give(self, pieces: Pieces, writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await pieces.get()
            late = due - asyncio.get_running_loop().time()
            if late > 0:
                await asyncio.sleep(late)
            await self._open.wait()
            if not data:
                writer.write_eof()
                return
            await self._pass(data, writer)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            size = len(data) if self.rate == inf else max(1, int(self.rate / SLICES_PER_SECOND))
            some, data = data[:size], data[size:]
            some, cut = self._before_cut(some)
            self.passed += len(some)
            writer.write(some)
            await writer.drain()
            if cut:
                self.cuts += 1
                raise ConnectionAbortedError("cut as it was told")
            if self.rate < inf:
                await asyncio.sleep(len(some) / self.rate)

    def _before_cut(self, data: bytes) -> tuple[bytes, bool]:
        """What of it passes, and whether the connection is to be cut then."""
        cut = bool(self._left) and self._left[0] <= len(data)
        if cut:
            data = data[: self._left.popleft()]
        elif self._left:
            self._left[0] -= len(data)
        return data, cut


class FaultProxy:
    """Stands before the server at ``host`` and ``port``; clients connect to its own ``port``.

    Use it as ``async with FaultProxy(host, port) as proxy``. ``requests`` are the bytes to the
    server, ``answers`` those from it. ``connections`` counts how many were made in all.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = LOOPBACK
        self.port: int = 0
        self.requests: Direction = Direction()
        self.answers: Direction = Direction()
        self.connections: int = 0
        self._server = (host, port)
        self._reserved: socket.socket | None = None
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    def __repr__(self) -> str:
        state = "listening" if self._listening else "refusing"
        return f"<FaultProxy {state} on {self.host}:{self.port}, {len(self._tasks)} connections>"

    async def __aenter__(self) -> Self:
        self._reserved = _bound(0)
        self.port = self._reserved.getsockname()[1]
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        self.drop()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._reserved is not None:
            self._reserved.close()

    def refuse(self) -> None:
        """Refuse new connections, as where nothing listens; those that are open stay."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def accept(self) -> None:
        """Take new connections again."""
        if self._listening is None:
            listener = _bound(self.port)
            self._listening = await asyncio.start_server(self._connected, sock=listener)

    def drop(self) -> None:
        """Reset all open connections; what was under way on them is lost."""
        for writer in self._ends:
            _reset(writer)

    def hold(self) -> None:
        """Let nothing arrive in either direction: connections stay open, and nobody answers."""
        self.requests.hold()
        self.answers.hold()

    async def heal(self) -> None:
        """End all faults; what was held arrives now."""
        self.requests.heal()
        self.answers.heal()
        await self.accept()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._ends.add(writer)
        task = asyncio.create_task(self._joined(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._server)
        except OSError:
            self._ends.discard(writer)
            _reset(writer)
            return
        self._ends.add(back)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.requests.carry(reader, back))
                tasks.create_task(self.answers.carry(there, writer))
        except* OSError:
            # One end has gone, or was cut off, and so has the other.
            pass
        finally:
            for end in (writer, back):
                self._ends.discard(end)
                end.close()


def _bound(port: int) -> socket.socket:
    """A socket that reserves the port, be it listened on or not."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Several of them, so that the port stays ours while it refuses.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, so that the other end sees a reset rather than an orderly end."""
    with suppress(OSError):
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
