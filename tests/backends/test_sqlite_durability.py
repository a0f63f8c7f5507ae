"""What is acknowledged is on the disk, whenever the process dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio
import pytest

from orchestra_memory import MemoryItem, SqliteMemory, SystemState

CHILD = """
import asyncio, os, sys
from orchestra_memory import MemoryItem, SqliteMemory

async def put_for_ever(memory, name):
    number = 0
    while True:
        key = f"{name}-{number}"
        await memory.put(MemoryItem(id=key, user_id="alice", text_content="x" * 500))
        print(key, flush=True)
        number += 1

async def main(prefix):
    async with SqliteMemory.open(sys.argv[1]) as memory:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(put_for_ever(memory, f"{prefix}-{name}"))

# Each writer is a process of its own, without the time it takes to start Python.
for line in sys.stdin:
    if not os.fork():
        print(os.getpid(), flush=True)
        asyncio.run(main(line.strip()))
    _, status = os.wait()
    print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)
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


def acknowledged_by_the_killed(file: Path, names: Iterable[int]) -> list[str]:
    """Run writers one after the other, kill each in its midst, and return all they have printed."""
    command = [sys.executable, "-c", CHILD, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as child:
        keys = [key for name in names for key in acknowledged_until_killed(child, name)]
        child.stdin.close()
    assert child.returncode == 0
    return keys


def acknowledged_until_killed(child: subprocess.Popen[str], name: int) -> list[str]:
    child.stdin.write(f"{name}\n")
    child.stdin.flush()
    writer = int(child.stdout.readline())
    lines = [child.stdout.readline() for _ in range(3 + 7 * name % 20)]
    os.kill(writer, signal.SIGKILL)
    lines += iter(child.stdout.readline, f"ended {-signal.SIGKILL}\n")
    return [line.strip() for line in lines]


@pytest.mark.anyio
async def test_every_acknowledged_record_outlives_a_killed_process(tmp_path, use_backend) -> None:
    use_backend("sqlite")
    file = tmp_path / "state.db"
    keys: list[str] = []

    async def kill(names: Iterable[int]) -> None:
        told = partial(acknowledged_by_the_killed, file, names)
        keys.extend(await anyio.to_thread.run_sync(told))

    async with anyio.create_task_group() as group:
        for first in range(AT_ONCE):
            group.start_soon(kill, range(first, KILLS, AT_ONCE))
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
