"""Processes that begin at once: forked from one that has imported everything already.

``python -m tests.outage.nursery <descriptor>`` is that one. What it is asked on its socket, one at
a time, is JSON: ``["fork", module, job]``, sent along with what is to be standard input, output and
error, is answered by the process id; ``["reap", pid]``, of one that has ended, by its exit code.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import ExitStack, closing
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..children import LONGEST_LINE, ROOT

MESSAGE = 4096
STANDARD = (0, 1, 2)
PRELOADED = (
    "tests.outage.worker",
    "orchestra_memory.backends.firestore.memory",
    "orchestra_memory.layers.cached.memory",
    "orchestra_memory.layers.fallback.memory",
    "orchestra_memory.layers.guarded",
)


class Nursery:
    """Starts processes for a `Child`, in a tenth of the time; use it in ``async with``."""

    def __init__(self) -> None:
        self._line, self._far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._asking = asyncio.Lock()
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        with self._far_end:
            descriptor = self._far_end.fileno()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(descriptor)),
                cwd=ROOT,
                stdin=DEVNULL,
                pass_fds=[descriptor],
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._line.close()
        if self._process is not None:
            await self._process.wait()

    async def launch(self, module: str, job: Path, errors: BinaryIO | None) -> Newborn:
        """The ``main`` of a module begins with the name of a file."""
        theirs, ours = os.pipe()
        hears, tells = os.pipe()
        with ExitStack() as closed:
            for descriptor in (theirs, tells):
                closed.callback(os.close, descriptor)
            standard = [theirs, tells, errors.fileno() if errors else sys.stderr.fileno()]
            pid = await self._ask("fork", module, str(job), descriptors=standard)
        return Newborn(self, pid, os.fdopen(ours, "wb", buffering=0), await _reader(hears))

    async def reap(self, pid: int) -> int:
        """The exit code of a process that has ended."""
        return await self._ask("reap", pid)

    async def _ask(self, *question: str | int, descriptors: list[int] | None = None) -> int:
        async with self._asking:
            text = json.dumps(question).encode()
            socket.send_fds(self._line, [text], descriptors or [])
            answer = await asyncio.get_running_loop().sock_recv(self._line, MESSAGE)
        return int(json.loads(answer))


class Input:
    """What a process reads."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def write(self, data: bytes, /) -> None:
        if self._pipe.closed:
            raise BrokenPipeError("it has ended")
        self._pipe.write(data)

    def close(self) -> None:
        self._pipe.close()


class Newborn:
    """A process of a nursery, to be used as one that asyncio has started."""

    def __init__(
        self, nursery: Nursery, pid: int, stdin: BinaryIO, stdout: asyncio.StreamReader
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = Input(stdin)
        self.stdout = stdout
        self._nursery = nursery
        self._ending = asyncio.create_task(self._ended())

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.shield(self._ending)

    async def _ended(self) -> int:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        descriptor = os.pidfd_open(self.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self.stdin.close()
        self.returncode = await self._nursery.reap(self.pid)
        return self.returncode


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


def newborn(line: socket.socket) -> list[str] | None:
    """In each process that is asked for, its module and job; ``None`` when nobody is left to ask.

    Nothing may run in threads here, or have opened what cannot be shared.
    """
    while True:
        text, descriptors, _, _ = socket.recv_fds(line, MESSAGE, len(STANDARD))
        if not text:
            return None
        what, *about = json.loads(text)
        if what == "reap":
            _, status = os.waitpid(int(about[0]), 0)
            line.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if not pid:
            for descriptor, standard in zip(descriptors, STANDARD, strict=True):
                os.dup2(descriptor, standard)
        for descriptor in descriptors:
            os.close(descriptor)
        if not pid:
            return about
        line.send(json.dumps(pid).encode())


def tend(descriptor: int) -> None:
    for name in PRELOADED:
        import_module(name)
    # What is collected is copied, where processes share it.
    gc.freeze()
    with closing(socket.socket(fileno=descriptor)) as line:
        born = newborn(line)
    if born is not None:
        module, job = born
        random.seed()
        import_module(module).main(job)


if __name__ == "__main__":
    tend(int(sys.argv[1]))
