"""Which share of reads the cache takes from the store, by how uneven they are and how big it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import MemoryItem

from ..compare import WrongData
from ..gathering import chunks
from ..records import SEED, Job
from ..result import Report
from .stacks import TTL, Stack, over_firestore
from .ways import billed

if TYPE_CHECKING:
    from redis.asyncio import Redis

READERS: Final = 32
"""Who read at the same time, each one record after another."""
SKEWS: Final = (0.8, 1.0, 1.2)
PATIENCE: Final = 5.0
"""Seconds that Redis is waited for: what is saved must not depend on how busy the machine is."""
EVICTION: Final = "allkeys-lru"


@dataclass(frozen=True, slots=True)
class Setting:
    """How uneven reads are, which share of the records Redis has room for, and the TTL in s."""

    skew: float
    room: float | None = None
    ttl: float = TTL

    @property
    def told(self) -> str:
        room = "room for all" if self.room is None else f"room for {self.room:.0%}"
        return room if self.ttl == TTL else f"{room}, TTL {self.ttl:g} s"


SETTINGS: Final = tuple(
    setting
    for skew in SKEWS
    for setting in (
        Setting(skew),
        Setting(skew, room=0.25),
        Setting(skew, room=0.1),
        Setting(skew, ttl=1.0),
    )
)


@dataclass(frozen=True, slots=True)
class Workload:
    """Records in the store, reads until the cache is warm, and reads that count."""

    records: int = 10_000
    warm_up: int = 5_000
    counted: int = 5_000
    settings: Sequence[Setting] = SETTINGS


@dataclass(frozen=True, slots=True)
class Rate:
    """What was billed of ``reads`` that were counted, which took ``seconds``, after the others.

    ``cold`` was billed of those others, ``cold_reads`` so many from an empty cache on. ``errors``
    is how often Redis did not do what it was asked, by kind.
    """

    skew: float
    setting: str
    reads: int
    billed: int
    cold_reads: int
    cold: int
    seconds: float
    errors: Mapping[str, int]

    @property
    def saved(self) -> float:
        return 1 - self.billed / self.reads


@dataclass(frozen=True, slots=True)
class Rates:
    """All settings, and how many records were compared."""

    rates: Sequence[Rate]
    compared: int


async def measured(
    redis: Redis, client: AsyncClient, collection: str, records: Job, load: Workload, report: Report
) -> Rates:
    """Read records at random, as uneven as Zipf's law has it. Redis is emptied before each setting.

    The records are in the collection. Raises ``WrongData`` if a reader gets another one.
    """
    size = await _size_of_all(redis, client, collection, records)
    rates: list[Rate] = []
    for setting in load.settings:
        report(f"reads by Zipf's law, exponent {setting.skew:g}, {setting.told}")
        asked = drawn(records, setting.skew, load.warm_up + load.counted)
        async with (
            _room(redis, None if setting.room is None else round(size * setting.room)),
            over_firestore(redis, client, collection, ttl=setting.ttl, patience=PATIENCE) as stack,
        ):
            cold, _ = await _read(stack, asked[: load.warm_up])
            warm, seconds = await _read(stack, asked[load.warm_up :])
            errors = stack.cached.status().errors
        told = setting.skew, setting.told
        rates.append(Rate(*told, load.counted, warm, load.warm_up, cold, seconds, errors))
    return Rates(rates, sum(rate.reads + rate.cold_reads for rate in rates))


def drawn(records: Job, skew: float, count: int) -> list[MemoryItem]:
    """So many of the records: the one of rank `n` with a chance in proportion to ``n ** -skew``."""
    source = Random(SEED)
    ranked = source.sample(records, k=len(records))
    weights = list(accumulate(rank**-skew for rank in range(1, len(ranked) + 1)))
    return source.choices(ranked, cum_weights=weights, k=count)


async def _size_of_all(redis: Redis, client: AsyncClient, collection: str, records: Job) -> int:
    """Bytes that all records take in Redis."""
    await redis.flushdb()
    async with over_firestore(redis, client, collection, patience=PATIENCE) as stack:
        # So that what connections take is not counted.
        await _read(stack, records[: 10 * READERS])
        await redis.flushdb()
        before = await _used(redis)
        for some in chunks(records):
            await stack.cached.get_many(MemoryItem, [record.id for record in some])
        if await redis.dbsize() < len(records):
            raise WrongData("the cache did not keep all records, so their size is not known")
        return await _used(redis) - before


@asynccontextmanager
async def _room(redis: Redis, size: int | None) -> AsyncIterator[None]:
    """An empty Redis, with so many bytes to fill, or as many as it likes."""
    await redis.flushdb()
    if size is not None:
        await redis.config_set("maxmemory", await _used(redis) + size)
        await redis.config_set("maxmemory-policy", EVICTION)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", 0)


async def _used(redis: Redis) -> int:
    about = await redis.info("memory")
    return int(about["used_memory"])


async def _read(stack: Stack, asked: Sequence[MemoryItem]) -> tuple[int, float]:
    """What was billed, and seconds."""
    before, clock = billed(stack.meter) or 0, asyncio.get_running_loop().time
    began, left = clock(), iter(asked)
    await asyncio.gather(*(_reader(stack, left) for _ in range(READERS)))
    return (billed(stack.meter) or 0) - before, clock() - began


async def _reader(stack: Stack, left: Iterator[MemoryItem]) -> None:
    for record in left:
        if await stack.cached.get(MemoryItem, record.id) != record:
            raise WrongData("a record was not read as it was stored")
