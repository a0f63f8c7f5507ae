"""The rights of a Redis user, as the documentation states them: enough, and none too many."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.testing import redis_server as redis_servers

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs/howto/cache.md").read_text()
LINE = re.search(r"^user orchestra on >PASSWORD (.*)$", PAGE, re.MULTILINE)[1].split()
RIGHTS = [word for word in LINE if word.startswith("+")]


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[tuple[str, Redis]]:
    """A user with those rights, and the administrator who can look at what he was refused."""
    with redis_servers.start("--user", "orchestra", "on", ">pw", *LINE) as server:
        async with connect(server.url) as admin:
            yield server.url.replace("redis://", "redis://orchestra:pw@"), admin


async def refused(admin: Redis) -> set[str]:
    """What the user was not allowed since this was asked last."""
    log = await admin.execute_command("ACL", "LOG")
    await admin.execute_command("ACL", "LOG", "RESET")
    return {entry[b"object"].decode() for entry in log}


async def work(url: str, admin: Redis) -> None:
    """All that a memory asks of Redis, on one that knows nothing, not even the scripts."""
    await admin.flushall()
    await admin.script_flush()
    first, second = (
        om.MemoryItem(user_id="u", session_id="s", text_content="hi") for _ in range(2)
    )
    async with om.open_memory("local:", cache=url) as memory:
        await memory.put(first)
        await memory.get(om.MemoryItem, first.id)
        await memory.get(om.MemoryItem, "absent")
        for _ in range(2):
            await memory.conversations.history("u", session_id="s")
            await memory.put(second)
        await memory.write([om.Patch(om.Ref(om.MemoryItem, first.id), set={"persona_active": "p"})])
        (key,) = [key async for key in admin.scan_iter(match=f"*:r:*:{first.id}")]
        await admin.set(key, "of another type", keepttl=True)
        await memory.get(om.MemoryItem, first.id)
        await memory.delete(om.MemoryItem, first.id)


async def test_the_rights_are_enough(servers: tuple[str, Redis]) -> None:
    url, admin = servers
    await refused(admin)
    await work(url, admin)
    assert await refused(admin) == set()


@pytest.mark.parametrize("right", RIGHTS)
async def test_no_right_is_too_many(servers: tuple[str, Redis], right: str) -> None:
    url, admin = servers
    await refused(admin)
    await admin.execute_command("ACL", "SETUSER", "orchestra", right.replace("+", "-"))
    try:
        await work(url, admin)
    except (om.OrchestraMemoryError, ValueError):
        pass
    finally:
        await admin.execute_command("ACL", "SETUSER", "orchestra", right)
    assert right[1:] in await refused(admin)
