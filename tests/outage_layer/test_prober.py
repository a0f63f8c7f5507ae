"""One prober finds out when a dependency is back, and it has caught up before calls go to it."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from orchestra_memory import Breaker, BreakerSettings, Unavailable
from orchestra_memory.resilience.breaker import State
from orchestra_memory.resilience.prober import Prober

from ..unit.jumping import jumping, now


class Dependency:
    """Answers probes while it is ``up``; what it missed takes ``seconds`` to catch up."""

    def __init__(self) -> None:
        self.up = False
        self.seconds = 0.0
        self.pending = 0
        self.probes: list[float] = []
        self.under_way = 0
        self.caught_up: list[State] = []
        self.breaker = Breaker(BreakerSettings(), clock=now, chance=lambda: 0.5)
        self.prober = Prober(
            self.breaker, self.probe, catch_up=self.catch_up, urgent=lambda: self.pending > 0
        )

    async def probe(self, seconds: float) -> bool:
        assert not self.under_way
        self.under_way += 1
        self.probes.append(now())
        await asyncio.sleep(0 if self.up else seconds)
        self.under_way -= 1
        return self.up

    async def catch_up(self) -> None:
        self.caught_up.append(self.breaker.state)
        await asyncio.sleep(self.seconds)
        if not self.up:
            raise Unavailable("gone again")
        self.pending = 0

    @asynccontextmanager
    async def probed(self):
        task = asyncio.create_task(self.prober.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def pauses(self) -> Iterator[float]:
        for before, after in zip(self.probes, self.probes[1:], strict=False):
            yield after - before


@jumping
async def test_it_leaves_in_peace_what_works() -> None:
    service = Dependency()
    async with service.probed():
        await asyncio.sleep(3600)
    assert service.probes == []


@jumping
async def test_it_closes_after_two_answers_and_the_catching_up() -> None:
    service = Dependency()
    async with service.probed():
        service.breaker.trip()
        service.up, service.seconds = True, 5.0
        await asyncio.sleep(1.1)
        assert len(service.probes) == 2
        assert service.breaker.state is State.DRAINING
        await asyncio.sleep(5)
        assert service.breaker.state is State.CLOSED
    assert service.caught_up == [State.DRAINING]


@jumping
async def test_one_probe_at_a_time_whoever_waits() -> None:
    service = Dependency()
    async with service.probed():
        service.breaker.trip()
        for _ in range(1000):
            assert not service.breaker.allows()
            await asyncio.sleep(0.01)
    assert 3 <= len(service.probes) <= 8


@jumping
async def test_pauses_grow_while_nobody_asks() -> None:
    service = Dependency()
    async with service.probed():
        service.breaker.trip()
        await asyncio.sleep(600)
    assert max(service.pauses()) > 30


@pytest.mark.parametrize("what", ["something to catch up", "a caller"])
@jumping
async def test_pauses_stay_short_while_there_is(what: str) -> None:
    service = Dependency()
    service.pending = what == "something to catch up"
    async with service.probed():
        service.breaker.trip()
        for _ in range(60):
            assert what != "a caller" or not service.breaker.allows()
            await asyncio.sleep(10)
    # 2 s at most, and 1 s for the probe.
    assert max(service.pauses()) <= 3.01


@jumping
async def test_a_dependency_that_goes_again_while_catching_up_is_waited_for_again() -> None:
    service = Dependency()
    async with service.probed():
        service.up, service.seconds = True, 5.0
        service.breaker.trip()
        await asyncio.sleep(3)
        service.up = False
        await asyncio.sleep(4)
        assert service.breaker.state in {State.OPEN, State.HALF_OPEN}
        service.up = True
        await asyncio.sleep(60)
        assert service.breaker.state is State.CLOSED


@jumping
async def test_it_catches_up_where_the_owner_asks_for_it() -> None:
    service = Dependency()
    service.up = True
    async with service.probed():
        service.breaker.catch_up()
        await asyncio.sleep(0.1)
        assert service.breaker.state is State.CLOSED
    assert service.caught_up == [State.DRAINING]
    assert service.probes == []


@jumping
async def test_a_prober_that_is_cancelled_leaves_the_probe_to_another() -> None:
    service = Dependency()
    async with service.probed():
        service.breaker.trip()
        await asyncio.sleep(1.5)
        assert len(service.probes) == 1
    assert service.breaker.probe()
    assert service.breaker.hooks == []
