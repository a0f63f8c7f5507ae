"""Asked for by many, found out now and then: what is answered when the memory is late."""

import asyncio
from typing import Any

import pytest

import orchestra_memory as om
from orchestra_memory.health import Health, Status
from orchestra_memory.layers.cached.counters import LinkStatus
from orchestra_memory.layers.cached.memory import health_of
from orchestra_memory.web.freshness import LONGEST, SharedHealth
from orchestra_memory.web.report import components

from .memories import Told, being

pytestmark = pytest.mark.anyio


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shared(memory: om.MemoryManager, clock: Clock, patience: float = 10.0) -> SharedHealth:
    return SharedHealth(memory.health, fresh=1.0, patience=patience, clock=clock)


async def test_what_was_found_holds_for_a_second(clock: Clock) -> None:
    memory = Told(being(Status.OK), being(Status.DOWN))
    health = shared(memory, clock)
    first = await health.look()
    clock.now += 0.99
    assert await health.look() is first
    clock.now += 0.02
    assert (await health.look()).health.status is Status.DOWN
    assert memory.asked == 2


async def test_an_earlier_answer_stands_in_for_one_that_is_late(clock: Clock) -> None:
    memory = Told(being(Status.DEGRADED))
    health = shared(memory, clock, patience=0.001)
    await health.look()
    memory.let.clear()
    clock.now += 1.5
    late = await health.look()
    assert (late.health.status, late.overdue) == (Status.DEGRADED, True)
    clock.now += LONGEST
    late = await health.look()
    assert (late.health.status, late.overdue) == (Status.DOWN, True)
    assert memory.asked == 2
    memory.let.set()
    await asyncio.sleep(0.01)
    assert not (await health.look()).overdue
    assert memory.asked == 2


async def test_a_caller_that_goes_away_does_not_end_it_for_the_others(clock: Clock) -> None:
    memory = Told(being(Status.OK))
    memory.let.clear()
    health = shared(memory, clock)
    first, second = (asyncio.ensure_future(health.look()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    memory.let.set()
    assert (await second).health.status is Status.OK
    assert memory.asked == 1


def test_it_serves_one_event_loop_after_another(clock: Clock) -> None:
    class Silent(om.LocalMemory):
        async def health(self) -> Health:
            return await asyncio.get_running_loop().create_future()

    async def cut_off() -> None:
        assert (await SharedHealth.look(health)).overdue

    health = shared(Silent(), clock, patience=0.001)
    for _ in range(2):
        asyncio.run(cut_off())


BENEATH = {status: being(status) for status in Status}


def cached(state: str, beneath: Health) -> Health:
    counters = {"hits": 1, "misses": 2}
    return health_of(LinkStatus(state, 1.0, 0, counters, {}, "deadline"), beneath)


@pytest.mark.parametrize("beneath", Status)
@pytest.mark.parametrize(
    ("state", "redis"),
    [
        ("closed", "ok"),
        ("open", "down"),
        ("half-open", "degraded"),
        ("draining", "degraded"),
        ("connecting", "degraded"),
    ],
)
def test_redis_is_told_apart_from_the_store(state: str, redis: str, beneath: Status) -> None:
    told = components(cached(state, BENEATH[beneath]))
    assert told == {"app": "ok", "storage_firestore": beneath.value, "storage_redis": redis}


@pytest.mark.parametrize("state", ["closed", "open"])
def test_both_are_found_beneath_a_fallback(state: str) -> None:
    beneath = cached(state, BENEATH[Status.DOWN])
    fallback = Health("fallback", Status.DEGRADED, "degraded, 3 entries wait", None, (beneath,))
    told: Any = components(fallback)
    assert told["storage_firestore"] == "down"
    assert told["storage_redis"] == {"closed": "ok", "open": "down"}[state]
