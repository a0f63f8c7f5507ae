"""However the steps of several processes fall: no answer is older than what was acknowledged."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from orchestra_memory.layers.cached import memory as memory_module
from orchestra_memory.layers.cached import windows
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.testing.redis_server import RedisServer

from .machine import CachedMachine
from .stepped import SteppedLoop


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        yield runner


@pytest.fixture
def redis(runner: asyncio.Runner, redis_server: RedisServer) -> Iterator[Redis]:
    stack, loop = AsyncExitStack(), runner.get_loop()
    assert isinstance(loop, SteppedLoop)
    yield runner.run(stack.enter_async_context(connect(redis_server.url)))
    loop.outside += 1
    runner.run(stack.aclose())


def test_no_schedule_of_steps_shows_what_is_older_than_acknowledged(
    runner: asyncio.Runner, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = partial(Link, clock=runner.get_loop().time, chance=lambda: 0.5)
    monkeypatch.setattr(memory_module, "Link", timed)
    # With so few records a page would always look at all of them.
    monkeypatch.setattr(windows, "_SPARE", 0)
    CachedMachine.hits = 0
    profile = settings()
    run_state_machine_as_test(
        lambda: CachedMachine(runner, redis),
        settings=settings(
            max_examples=2 * profile.max_examples,
            stateful_step_count=2 * profile.stateful_step_count,
        ),
    )
    assert CachedMachine.hits > profile.max_examples
