"""Processes of a nursery begin, tell, end and die as any others."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..children import Child
from .nursery import Nursery

pytestmark = pytest.mark.anyio


def main(job: str) -> None:
    """What they do here: echo a line, and end with the code that their job says."""
    print("ready", flush=True)
    print(sys.stdin.readline().strip(), flush=True)
    sys.exit(int(Path(job).read_text()))


@pytest.fixture(scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    async with Nursery() as nursery:
        yield nursery


@pytest.fixture
def heard() -> list[bytes]:
    return []


@pytest.fixture
def child(nursery: Nursery, heard: list[bytes], tmp_path: Path) -> Child:
    job = tmp_path / "job"
    job.write_text("7")
    return Child(__name__, job, heard.append, launch=nursery.launch)


async def test_one_is_told_and_tells_and_ends_with_its_code(child, heard):
    await child.start()
    assert child.pid not in {None, os.getpid()}
    child.say("hello")
    assert await child.ended() == 7
    assert heard == [b"hello\n"]
    assert child.pid is None


async def test_one_that_is_killed_is_heard_no_more(child, heard):
    await child.start()
    await child.kill()
    assert await child.ended() == -9
    child.say("hello")
    assert not heard


async def test_each_is_a_process_of_its_own(child, heard):
    await child.start()
    first = child.pid
    await child.kill()
    await child.start()
    assert child.pid not in {None, first}
    await child.kill()
