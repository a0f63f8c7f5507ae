"""What is promised of the library's speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .cache.turns import FIRESTORE, REDIS, UNCACHED
from .summary import CALLBACK, CLIENT, SPEED, STALL, WORK

TASKS: Final = ("write", "read", "scan")


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure, what it must at least be, and what is aimed at.

    ``figures`` are names as `report.figures` gives them; of several the worst counts. ``unit``
    follows the number. With ``less``, less is better. Without bounds it is told for information.
    """

    work: str
    figures: tuple[str, ...]
    at_least: float | None
    aim: float | None
    unit: str = " x"
    less: bool = False

    @property
    def part(self) -> str:
        """The part of a run that measures it."""
        return self.figures[0].partition(".")[0]


def _of_bulk(part: str, figure: str) -> tuple[str, ...]:
    return tuple(f"{part}.{task}.{figure}" for task in TASKS)


@dataclass(frozen=True, slots=True)
class Rival:
    """What throughput is compared with: its name in figures, and in words."""

    name: str
    words: str


BY_HAND: Final = Rival("by hand", "the best way by hand")
STREAM: Final = Rival("by hand", "a stream by hand")
BATCHES: Final = Rival("batches of 400", "batches of 400 one after another")
LIMIT: Final = Rival("limit", "the limit, bytes encoded beforehand")


def _faster(work: str, task: str, rival: Rival, *, at_least: float, aim: float) -> Promise:
    figure = f"{task}.{SPEED}/{rival.name}"
    return Promise(f"{work}: throughput over {rival.words}", (figure,), at_least, aim)


def _callback(of: str, figures: tuple[str, ...]) -> Promise:
    work = f"Longest callback on the event loop, processor time: {of}"
    return Promise(work, figures, at_least=10, aim=5, unit=" ms", less=True)


def _of_reading(part: str, figure: str) -> tuple[str, ...]:
    return f"{part}.read.{figure}", f"{part}.scan.{figure}"


def _single(task: str) -> Promise:
    work = f"Single {task}, emulator: time over the plain client's"
    return Promise(work, (f"emulator.{task}.time/by hand",), at_least=1, aim=0.7, less=True)


def _cached(
    work: str, *figures: str, at_least: float | None = None, aim: float | None = None
) -> Promise:
    return Promise(work, _of_cache(figures), at_least, aim)


def _cached_at_most(
    work: str,
    *figures: str,
    at_most: float | None = None,
    aim: float | None = None,
    unit: str = " x",
) -> Promise:
    return Promise(work, _of_cache(figures), at_most, aim, unit, less=True)


def _of_cache(figures: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"cache.{figure}" for figure in figures)


CACHE: Final = (
    _cached_at_most(
        "Cached get: time over redis.get without timeouts and model_validate",
        f"get over Firestore.time/{REDIS}",
        f"get over local.time/{REDIS}",
        at_most=1.6,
        aim=1.35,
    ),
    _cached_at_most(
        "Cached get: time over redis.get as redis-py comes and model_validate",
        "get over Firestore.time/redis-py as it comes",
    ),
    _cached(
        "Cached get, emulator: times as fast as AsyncClient get",
        f"get over Firestore.speed/{FIRESTORE}",
        at_least=6,
        aim=8,
    ),
    _cached("Cached get: times as fast as cashews", "get beside cashews.speed"),
    _cached("Cached get: times as fast as aiocache", "get beside aiocache.speed"),
    _cached(
        "Cached read of 100: times as fast as 100 single Redis gets gathered",
        "read of 100.speed/single gets gathered",
        at_least=4,
        aim=5,
    ),
    _cached_at_most("Cached read of 100: time over one MGET", "read of 100.time/one MGET"),
    _cached(
        "Cached history page of 50, emulator: times as fast as AsyncClient",
        f"history of 50.speed/{FIRESTORE}",
    ),
    _cached(
        "Append and read a page of 50, emulator: times as fast as no cache",
        f"append and read.speed/{UNCACHED}",
    ),
    _cached_at_most(
        "Extra time of a put, over two round trips to Redis and 0.3 ms",
        "put over local.extra/allowed",
        at_most=1,
    ),
    _cached_at_most(
        "The same over the emulator, with which Redis shares the processors",
        "put over Firestore.extra/allowed",
    ),
    _cached_at_most(
        "First answer with Redis stopped", "stopped.first_ms", at_most=100, aim=60, unit=" ms"
    ),
    _cached_at_most(
        "Later answers with Redis stopped: time over no cache",
        "stopped.later/no cache",
        at_most=1.1,
        aim=1.02,
    ),
    _cached_at_most(
        "Herd of 1,000 in one process: reads below", "herd.one process", at_most=1, unit=""
    ),
    _cached_at_most(
        "Herd of 1,000 in each of several processes: reads below, a process",
        "herd.several processes",
        at_most=1,
        unit="",
    ),
)

HEALTHY: Final = tuple(
    f"{call} over {store}"
    for store in ("local", "Firestore")
    for call in ("get, first time", "get, again", "put")
)
AWAY: Final = ("hung", "refused", "black hole")
"""How Firestore is away, as `outage.faults` has it."""


def _outage(
    work: str,
    *figures: str,
    at_least: float | None = None,
    aim: float | None = None,
    unit: str = " x",
    less: bool = True,
) -> Promise:
    names = tuple(f"outage.{figure}" for figure in figures)
    return Promise(work, names, at_least, aim, unit, less)


OUTAGE: Final = (
    _outage(
        "Outage fallback, all well: extra processor time of a put or get",
        *(f"{call}.extra_cpu_us" for call in HEALTHY),
        at_least=60,
        aim=20,
        unit=" µs",
    ),
    _outage(
        "Outage fallback, all well, emulator: bulk, processor time over none",
        *(f"{task} over Firestore.cpu" for task in ("put_many", "get_many", "scan")),
    ),
    _outage(
        "Firestore hung or black-holed: first answer, beyond the deadline",
        *(f"{away}.first_over_ms" for away in ("hung", "black hole")),
        at_least=300,
        aim=50,
        unit=" ms",
    ),
    _outage(
        "Firestore away: an answer after that",
        *(f"{away}.later_ms" for away in AWAY),
        at_least=5,
        aim=1,
        unit=" ms",
    ),
    _outage(
        "Firestore away: the slowest of several hundred answers after that",
        *(f"{away}.slowest_ms" for away in AWAY),
        unit=" ms",
    ),
    _outage(
        "Calls at a hanging store, half-open breaker, 100 callers", "probes", at_least=1, unit=""
    ),
    _outage(
        "Journal, 64 writers: entries/s over one commit for each",
        "append.speed",
        at_least=10,
        aim=20,
        less=False,
    ),
    _outage(
        "Firestore away: writes/s over one commit of the journal for each",
        "put while away.speed",
        less=False,
    ),
    _outage(
        "Replay, emulator: throughput over put_many of the same records",
        "replay.speed",
        at_least=0.4,
        aim=0.8,
        less=False,
    ),
    _outage(
        "Firestore is back: until a journal of 1,000 entries is empty",
        *(f"{away}.empty_s" for away in AWAY),
        at_least=5,
        aim=2,
        unit=" s",
    ),
)

JOBS: Final = (
    "migration into SQLite, migrate",
    *(f"{store}, {way}" for store in ("SQLite", "Firestore") for way in ("backup", "restore")),
)


def _domain(work: str, *figures: str) -> Promise:
    return Promise(work, tuple(f"domain.{figure}" for figure in figures), None, None)


DOMAIN: Final = (
    Promise(
        "Analytics over 100,000 events, each of which a stream would read: billed reads",
        ("domain.analytics.reads", "domain.analytics by type.reads"),
        at_least=999,
        aim=None,
        unit="",
        less=True,
    ),
    _domain(
        "Analytics over 100,000 events, emulator: times as fast as the same aggregations by hand",
        "analytics by type.speed/aggregations",
    ),
    _domain(
        "Analytics over 100,000 events, emulator: times as fast as a stream by hand",
        "analytics by type.speed",
    ),
    _domain("100 agents at once, set_status: times as fast as AsyncClient", "set_status.speed"),
    _domain("100 agents at once, record: times as fast as AsyncClient", "record.speed"),
    Promise(
        "Growth of memory from 20,000 to 50,000 migrated agents, or 60,000 records backed up",
        tuple(f"domain.{job}.growth_mb" for job in JOBS),
        at_least=30,
        aim=0,
        unit=" MB",
        less=True,
    ),
    _callback(
        "migration, backup and restore, the garbage collector apart",
        tuple(f"domain.{job}.callback_ms" for job in JOBS),
    ),
)

PROMISES: Final = (
    _faster("Bulk write, null backend", "null.write", BY_HAND, at_least=9, aim=13),
    _faster("Bulk write, emulator", "emulator.write", BY_HAND, at_least=4, aim=6),
    Promise(
        "Bulk write: client's processor time by hand over ours, a record",
        (f"null.write.{CLIENT}/by hand",),
        at_least=9,
        aim=13,
    ),
    _faster("Bulk write, emulator", "emulator.write", LIMIT, at_least=0.75, aim=0.95),
    _faster("Bulk read by id, emulator", "emulator.read", BY_HAND, at_least=2.5, aim=3.5),
    _faster("Scan of a query, emulator", "emulator.scan", STREAM, at_least=1.7, aim=2.5),
    _faster(
        "Bulk write with embeddings, emulator", "embeddings.write", BY_HAND, at_least=14, aim=20
    ),
    _faster("Bulk read with embeddings, emulator", "embeddings.read", BY_HAND, at_least=8, aim=12),
    _faster("Bulk write, 20 ms away", "far.write", BATCHES, at_least=4, aim=7),
    _callback("bulk write", (f"null.write.{CALLBACK}",)),
    _callback("bulk write with embeddings", (f"embeddings.write.{CALLBACK}",)),
    _callback("bulk read and scan, all told", _of_reading("null", CALLBACK)),
    # A full collection visits all that the program holds, and what was read is among it.
    _callback("bulk read and scan, the garbage collector apart", _of_reading("null", WORK)),
    _callback("the same with embeddings", _of_reading("embeddings", WORK)),
    Promise(
        "Longest stall of the event loop, null backend: time over an idle loop's",
        _of_bulk("null", f"{STALL}/idle"),
        at_least=None,
        aim=None,
        less=True,
    ),
    Promise(
        "Growth of memory from 20,000 to 200,000 streamed records, put_many and scan",
        ("memory.put_many.growth_mb", "memory.scan.growth_mb"),
        at_least=30,
        aim=0,
        unit=" MB",
        less=True,
    ),
    *map(_single, ("put", "put, 64 at once", "get", "get, 64 at once")),
    *CACHE,
    *OUTAGE,
    *DOMAIN,
)
