"""A program that is told to end, in a process of its own."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.testing.emulator import Emulator
from orchestra_memory.testing.faults import FaultProxy

pytestmark = pytest.mark.anyio

PROGRAM = """
import asyncio
import signal
import sys

from orchestra_memory import MemoryItem, open_memory


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with open_memory(sys.argv[1], journal="journal") as memory:
        for key in sys.argv[2:]:
            receipt = await memory.put(MemoryItem(id=key, user_id="u"))
            print(receipt.durability, flush=True)
        await asyncio.Event().wait()


try:
    asyncio.run(main())
except asyncio.CancelledError:
    print("ended", flush=True)
"""


@pytest.fixture
async def proxy(firestore_emulator: Emulator) -> AsyncIterator[FaultProxy]:
    host, _, port = firestore_emulator.host.rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        yield proxy


class Program:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def end(self) -> int:
        async with asyncio.timeout(60):
            return await self._process.wait()


@asynccontextmanager
async def program(url: str, *keys: str, **variables: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, *keys,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "ORCHESTRA_TIMEOUT": "1", **variables},
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def journal_files() -> list[anyio.Path]:
    return [path async for path in anyio.Path("journal").glob("journal-*.db")]


async def is_stored(emulator: Emulator, project: str, key: str) -> bool:
    settings = om.Settings(timeout=30)
    url = f"firestore://{project}?emulator={emulator.host}"
    async with om.open_memory(url, settings=settings) as memory:
        return await memory.get(om.MemoryItem, key) is not None


async def test_what_would_be_lost_reaches_a_store_that_comes_back_in_time(
    proxy: FaultProxy, firestore_emulator: Emulator, firestore_project: str
) -> None:
    proxy.refuse()
    url = f"firestore://{firestore_project}?emulator=127.0.0.1:{proxy.port}"
    variables = {"ORCHESTRA_JOURNAL_MEDIUM": "ephemeral", "ORCHESTRA_DRAIN": "40"}
    async with program(url, "waits", **variables) as child:
        assert await child.says() == "volatile"
        child.terminate()
        await asyncio.sleep(0.3)
        await proxy.accept()
        assert await child.says() == "ended"
        assert await child.end() == 0
    assert await is_stored(firestore_emulator, firestore_project, "waits")


async def test_what_is_in_the_journal_is_left_to_the_next_process(
    proxy: FaultProxy, firestore_emulator: Emulator, firestore_project: str
) -> None:
    proxy.refuse()
    url = f"firestore://{firestore_project}?emulator=127.0.0.1:{proxy.port}"
    variables = {"ORCHESTRA_JOURNAL_MEDIUM": "persistent", "ORCHESTRA_DRAIN": "40"}
    async with program(url, "waits", **variables) as child:
        assert await child.says() == "journaled"
        told = time.monotonic()
        child.terminate()
        assert await child.says() == "ended"
        assert await child.end() == 0
        assert time.monotonic() - told < 20
    assert len(await journal_files()) == 1
    await proxy.accept()
    async with program(url, "another", **variables) as child:
        assert await child.says() == "committed"
        with anyio.fail_after(30):
            while not await is_stored(firestore_emulator, firestore_project, "waits"):  # noqa: ASYNC110
                await anyio.sleep(0.1)
        child.terminate()
        assert await child.says() == "ended"
    assert await journal_files() == []
