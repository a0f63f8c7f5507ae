"""What is acknowledged is on the disk, whenever the process dies."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from orchestra_memory import MemoryItem, SqliteMemory, SystemState

CHILD = """
import asyncio, sys
from orchestra_memory import MemoryItem, SqliteMemory

async def put_for_ever(memory, name):
    number = 0
    while True:
        key = f"{name}-{number}"
        await memory.put(MemoryItem(id=key, user_id="alice", text_content="x" * 500))
        print(key, flush=True)
        number += 1

async def main():
    async with SqliteMemory.open(sys.argv[1]) as memory:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(put_for_ever(memory, f"{sys.argv[2]}-{name}"))

asyncio.run(main())
"""
COUNTING_CHILD = """
import asyncio, sys
from orchestra_memory import Patch, Ref, SqliteMemory, SystemState

async def main():
    ref = Ref(SystemState, "global_config")
    patch = Patch(ref, increment={"active_sessions": 1}, or_create=SystemState())
    async with SqliteMemory.open(sys.argv[1]) as memory:
        for _ in range(100):
            await memory.write([patch])

asyncio.run(main())
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
KILLS = 20
AT_ONCE = 2


def acknowledged_until_killed(file: Path, name: str, after: int) -> list[str]:
    """Run a writer, kill it after so many acknowledgements, and return all it has printed."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file), name],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    with child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.anyio
async def test_every_acknowledged_record_outlives_a_killed_process(tmp_path, use_backend) -> None:
    use_backend("sqlite")
    file = tmp_path / "state.db"
    keys: list[str] = []

    async def kill(number: int) -> None:
        after = 3 + 7 * number % 20
        told = partial(acknowledged_until_killed, file, str(number), after)
        keys.extend(await anyio.to_thread.run_sync(told))

    for number in range(0, KILLS, AT_ONCE):
        async with anyio.create_task_group() as group:
            for other in range(AT_ONCE):
                group.start_soon(kill, number + other)
    assert len(keys) > KILLS
    async with SqliteMemory.open(file) as memory:
        found = await memory.get_many(MemoryItem, keys)
    assert [item and item.id for item in found] == keys


@pytest.mark.anyio
async def test_records_and_revisions_go_on_where_the_last_instance_ended(tmp_path) -> None:
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        first = await memory.put(MemoryItem(id="a", user_id="alice"))
        await memory.delete(MemoryItem, "a")
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        assert await memory.get(MemoryItem, "a") is None
        second = await memory.put(MemoryItem(id="a", user_id="alice"))
    assert first.version is not None
    assert second.version == first.version + 2


@pytest.mark.anyio
async def test_processes_that_write_at_once_lose_nothing_of_each_other(tmp_path) -> None:
    file = tmp_path / "state.db"
    command = [sys.executable, "-c", COUNTING_CHILD, str(file)]
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(partial(anyio.run_process, command, env=ENVIRONMENT))
    async with SqliteMemory.open(file) as memory:
        state = await memory.get(SystemState, "global_config")
    assert state == SystemState(active_sessions=300)
