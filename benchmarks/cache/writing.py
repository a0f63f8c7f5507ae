"""The price of a write: what `put` takes longer with the cache on, in round trips to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from orchestra_memory import MemoryItem, MemoryManager

from ..compare import compared
from ..measure import timed
from ..order import rotated
from ..records import Job
from ..result import Report
from ..summary import Spread
from .tasks import warm
from .ways import WARM_UP, asked

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .stacks import Stack

BESIDES: Final = 0.3e-3
"""Seconds for all else that the cache does, besides a round trip before the write and one after."""
PINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Price:
    """Medians of one round, in seconds.

    `put` with the cache, without, and without but with a ``PING`` of Redis before it and one after;
    and a ``PING``, one after another.
    """

    store: str
    round: int
    cached: float
    plain: float
    pinged: float
    ping: float

    @property
    def extra(self) -> float:
        return self.cached - self.plain

    @property
    def round_trips(self) -> float:
        """What the two round trips take where they are made: around a `put`."""
        return self.pinged - self.plain

    @property
    def allowed(self) -> float:
        return self.round_trips + BESIDES


@dataclass(frozen=True, slots=True)
class Prices:
    """All rounds, and how many records were read back and compared."""

    rounds: Sequence[Price]
    compared: int

    def of(self, store: str) -> list[Price]:
        return [price for price in self.rounds if price.store == store]

    @property
    def stores(self) -> list[str]:
        return list(dict.fromkeys(price.store for price in self.rounds))


async def measured(
    store: str, stacks: tuple[Stack, Stack], redis: Redis, job: Job, rounds: int, report: Report
) -> Prices:
    """Put new versions of records of one session, with the cache and, elsewhere, without.

    What is put is in the cache already, and so is the first page of its session: the most a write
    can have to do. Raises ``WrongData`` if anything else is read back, by either way.
    """
    report(f"price of a write over {store}: {rounds} rounds")
    with_cache, without = stacks
    await with_cache.cached.put_many(job)
    await without.plain.put_many(job)

    async def pinged(record: MemoryItem) -> None:
        await redis.ping()
        await without.plain.put(record)
        await redis.ping()

    prices: list[Price] = []
    count = 0
    for number in range(rounds + 1):
        records = [version(record, number) for record in job]
        await warm(with_cache.cached, [job])
        typical: dict[str, float] = {}
        ways: list[tuple[str, Any, Sequence[Any]]] = [
            ("cached", with_cache.cached.put, records),
            ("plain", without.plain.put, records),
            ("pinged", pinged, records),
            ("ping", lambda _: redis.ping(), range(PINGS)),
        ]
        for name, ask, questions in rotated(ways, number):
            (_, times), _ = await timed(asked(ask, questions), None)
            typical[name] = median(times)
        for memory in (with_cache.cached, with_cache.plain, without.plain):
            count += compared(f"put over {store}", [records], [await _read_back(memory, records)])
        if number != WARM_UP:
            prices.append(Price(store, number, **typical))
    return Prices(prices, count)


async def _read_back(memory: MemoryManager, records: Job) -> list[MemoryItem]:
    found = await memory.get_many(MemoryItem, [record.id for record in records])
    return [record for record in found if record is not None]


def version(record: MemoryItem, number: int) -> MemoryItem:
    return record.evolve(metadata={**record.metadata, "version": number})


def figures(part: str, prices: Prices) -> dict[str, Spread]:
    """What promises are about: extra time in milliseconds, and over what is allowed."""
    found: dict[str, Spread] = {}
    for store in prices.stores:
        rounds = prices.of(store)
        name = f"{part}.put over {store}"
        found[f"{name}.extra_ms"] = Spread.of([price.extra * 1e3 for price in rounds])
        found[f"{name}.extra/allowed"] = Spread.of(
            [price.extra / price.allowed for price in rounds]
        )
    return found
