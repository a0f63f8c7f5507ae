"""Processes of a test that run under load, tell what they do, and may be killed.

A child is a module, run with the name of a file that holds its job as JSON. It says ``ready`` as
its first line, and begins when it gets one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

from orchestra_memory.testing.faults import kill

ROOT = Path(__file__).parents[1]
START = 60.0
"""Seconds a process may take to start, on a machine that does much else."""
LONGEST_LINE = 1 << 20


class Told:
    """Events as lines of JSON, each in one piece; what is written outlives this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def add(self, do: str, **event: Any) -> None:
        os.write(self._descriptor, json.dumps({"do": do, **event}).encode() + b"\n")


def appending(path: str) -> Told:
    """To the end of this file."""
    return Told(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))


class Input(Protocol):
    """What a process reads; raises ``ConnectionError`` where it has died."""

    def write(self, data: bytes, /) -> object: ...


class Running(Protocol):
    """A process, as asyncio shows it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdin(self) -> Input | None: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    async def wait(self) -> int: ...


Launch: TypeAlias = Callable[[str, Path, BinaryIO | None], Awaitable[Running]]
"""Starts a module with a job; it complains to the file, if there is one."""


async def launched(module: str, job: Path, errors: BinaryIO | None) -> Running:
    """A new Python."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(job)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        limit=LONGEST_LINE,
    )


class Child:
    """One process.

    Lines after the first are given to ``hear``, the last of a killed one too. ``log`` is a file for
    what it complains of, which is shown by default. ``launch`` starts it.
    """

    def __init__(
        self,
        module: str,
        job: Path,
        hear: Callable[[bytes], object] = lambda _: None,
        *,
        log: Path | None = None,
        launch: Launch = launched,
    ) -> None:
        self._module = module
        self._job = job
        self._hear = hear
        self._log = log
        self._launch = launch
        self._process: Running | None = None
        self._hearing: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with ExitStack() as opened:
            errors = opened.enter_context(self._log.open("ab")) if self._log else None
            self._process = process = await self._launch(self._module, self._job, errors)
        assert process.stdout is not None
        async with asyncio.timeout(START):
            said = await process.stdout.readline()
        if said != b"ready\n":
            raise RuntimeError(f"{self._module} did not start")
        self._hearing = asyncio.create_task(self._hear_all(process.stdout))

    def say(self, line: str = "") -> None:
        """The first line lets it begin."""
        assert self._process is not None
        assert self._process.stdin is not None
        # It may have died.
        with suppress(ConnectionError):
            self._process.stdin.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """End it without notice, and hear all that it has said."""
        if self.pid is not None:
            kill(self.pid)
        await self.ended()

    async def ended(self) -> int | None:
        """Wait for its end; its exit code, ``None`` if it never ran."""
        if self._process is None:
            return None
        code = await self._process.wait()
        if self._hearing is not None:
            await self._hearing
        return code

    async def _hear_all(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self._hear(line)
