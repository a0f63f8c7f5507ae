"""A SQLite store at the other end of a network: what stands between can fail, and it can die.

``python -m tests.outage.remote <file> <port>`` serves it. A request is a length and a pickle of
``(deadline, verb, arguments)``, an answer a length and a pickle. Like a gRPC server, it does not
begin what is too late.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestra_memory import (
    DeadlineExceeded,
    Health,
    MemoryManager,
    Options,
    Page,
    Query,
    Receipt,
    Ref,
    Snapshot,
    SqliteMemory,
    Status,
    Totals,
    Unavailable,
)
from orchestra_memory.operations import DEFAULT, Measure, Op
from orchestra_memory.testing.faults import Service
from orchestra_memory.testing.probe import ask
from orchestra_memory.testing.redis_server import KIND as SOME_KIND
from orchestra_memory.testing.service import Address, Kind, Program

ROOT = Path(__file__).parents[2]
LENGTH = struct.Struct("!I")
LONGEST = 30.0
"""Seconds a call without a deadline may take."""


def framed(value: object) -> bytes:
    body = pickle.dumps(value)
    return LENGTH.pack(len(body)) + body


async def received(reader: asyncio.StreamReader) -> Any:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def shipped(error: Exception) -> tuple[type[Exception], tuple[Any, ...], dict[str, Any]]:
    """An error in parts, as many cannot be made anew from their arguments alone."""
    return type(error), error.args, vars(error)


def unpacked(parts: tuple[type[Exception], tuple[Any, ...], dict[str, Any]]) -> Exception:
    kind, args, attributes = parts
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class RemoteMemory(MemoryManager):
    """A store behind ``host`` and ``port``; one connection for each call that is under way."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        return await self._asked("read", options, tuple(refs))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._asked("write", options, tuple(ops))

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        return await self._asked("find", options, query)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._asked("aggregate", options, query, tuple(measures))

    async def health(self) -> Health:
        try:
            return await self._asked("health", replace(DEFAULT, timeout=1.0))
        except Unavailable as error:
            return Health("remote", Status.DOWN, str(error), answered=False)

    async def aclose(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _asked(self, verb: str, options: Options, *arguments: Any) -> Any:
        seconds = LONGEST if options.timeout is None else options.timeout
        request = framed((time.monotonic() + seconds, verb, arguments, options))
        is_sent = False
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                is_sent = True
                ok, answer = await self._exchanged(connection, request)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"no answer in {seconds:g} s", operation=verb, ambiguous=is_sent and verb == "write"
            ) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable(
                type(error).__name__, operation=verb, ambiguous=is_sent and verb == "write"
            ) from error
        if not ok:
            raise unpacked(answer)
        return answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address)

    async def _exchanged(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes
    ) -> Any:
        reader, writer = connection
        is_whole = False
        try:
            writer.write(request)
            await writer.drain()
            answer = await received(reader)
            is_whole = True
        finally:
            if is_whole:
                self._idle.append(connection)
            else:
                writer.close()
        return answer


class Served:
    """Answers what `RemoteMemory` asks."""

    def __init__(self, memory: MemoryManager) -> None:
        self._memory = memory

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                writer.write(framed(await self._answer(*await received(reader))))
                await writer.drain()
        writer.close()

    async def _answer(
        self, deadline: float, verb: str, arguments: tuple[Any, ...], options: Options
    ) -> tuple[bool, Any]:
        if time.monotonic() > deadline:
            return False, shipped(DeadlineExceeded("too late", operation=verb))
        call = getattr(self._memory, verb)
        try:
            if verb == "health":
                return True, await call()
            return True, await call(*arguments, options=options)
        except Exception as error:  # noqa: BLE001 -- it is told, whatever it is
            return False, shipped(error)


class StoreService(Service):
    """The server of a file: killed, it has kept what it committed."""

    def __init__(self, file: Path) -> None:
        command = (sys.executable, "-m", "tests.outage.remote", str(file), "{port}")
        program = Program(("env", f"PYTHONPATH={ROOT}", *command), "tests.outage.remote")
        super().__init__(
            Kind(
                name="SQLite",
                variable="",
                remedy="",
                container=SOME_KIND.container,
                parse=Address.parse,
                ready=is_ready,
                find_program=lambda: program,
            )
        )


def is_ready(address: Address) -> bool:
    return bool(ask(address, framed((time.monotonic() + 1, "health", (), DEFAULT))))


async def serve(file: str, port: int) -> None:
    async with SqliteMemory.open(file) as memory:
        server = await asyncio.start_server(Served(memory).connected, "127.0.0.1", port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
