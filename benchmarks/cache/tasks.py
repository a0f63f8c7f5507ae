"""What is asked of the cache and of its rivals: a record, a hundred, a history page, a talk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from orchestra_memory import MemoryItem, MemoryManager
from orchestra_memory.domain.conversations import Conversations

from ..by_hand import get_one
from ..records import SEED, Job
from ..store import Store
from . import by_hand
from .by_hand import Clients
from .stacks import Stack
from .turns import FIRESTORE, OURS, REDIS, UNCACHED
from .ways import Task, Way

MANY: Final = 100
"""Records read in one call."""
PAGE: Final = 50
"""Records in one page of history."""
TALK: Final = 60
"""Records of a session before it goes on."""
GATHERED: Final = "single gets gathered"
AT_ONCE: Final = "one MGET"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Calls in one turn of each task; ``slow`` at most of a way that goes to Firestore for each."""

    get: int = 200
    slow: int = 60
    read: int = 10
    history: int = 30
    talk: int = 15


def get(stack: Stack, hand: Clients, store: Store | None, records: Job, amounts: Amounts) -> Task:
    """One record by its id, over and over; beside Firestore by hand where there is a ``store``."""
    ways = [
        Way("get, cached", OURS, _getting(stack.cached), meter=stack.meter),
        Way("redis.get without timeouts", REDIS, hand.untimed.get),
        Way("redis.get", "redis-py as it comes", hand.default.get),
        Way(
            "redis.get without timeouts, plain model",
            "a plainer model",
            hand.untimed.get_plain,
            finish=by_hand.to_item,
        ),
        Way("get, no cache", UNCACHED, _getting(stack.plain), amounts.slow, meter=stack.meter),
    ]
    if store is not None:
        ways.append(
            Way("AsyncClient get", FIRESTORE, lambda asked: get_one(store, asked), amounts.slow)
        )
    where = "Firestore" if store is not None else "local"
    return Task(f"get over {where}", ways, _some(records, amounts.get), _itself)


def read(stack: Stack, hand: Clients, records: Job, amounts: Amounts) -> Task:
    """A hundred records in one call."""
    ways = [
        Way("get_many, cached", OURS, _getting_many(stack.cached), meter=stack.meter),
        Way("redis.get gathered", GATHERED, hand.default.get_gathered),
        Way("redis.get gathered, without timeouts", GATHERED, hand.untimed.get_gathered),
        Way("redis.get gathered, 16 connections", GATHERED, hand.pooled.get_gathered),
        Way("redis.mget without timeouts", AT_ONCE, hand.untimed.get_at_once),
        Way("get_many, no cache", UNCACHED, _getting_many(stack.plain), 2, meter=stack.meter),
    ]

    def questions(number: int) -> Sequence[Job]:
        source = Random(SEED + number)
        return [source.sample(records, k=MANY) for _ in range(amounts.read)]

    return Task(f"read of {MANY}", ways, questions, list, records=MANY)


def history(stack: Stack, store: Store, jobs: Sequence[Job], amounts: Amounts) -> Task:
    """The newest page of a session."""
    ways = [
        Way("history, cached", OURS, _paging(stack.cached), meter=stack.meter),
        Way("history, no cache", UNCACHED, _paging(stack.plain), 10, meter=stack.meter),
        Way(
            "AsyncClient query",
            FIRESTORE,
            lambda job: by_hand.history(store, job[0].user_id, job[0].session_id or "", PAGE),
            10,
        ),
    ]
    return Task(f"history of {PAGE}", ways, _some(jobs, amounts.history), newest, records=PAGE)


def talk(cached: Stack, uncached: Stack, store: Store, job: Job, amounts: Amounts) -> Task:
    """A session that goes on: a record is added, and the newest page read, over and over.

    Each way has a collection of its own, with the first :data:`TALK` records of the session.
    """
    ways = [
        Way("put and history, cached", OURS, _talking(cached.cached), meter=cached.meter),
        Way("put and history, no cache", UNCACHED, _talking(uncached.plain), meter=uncached.meter),
        Way(
            "AsyncClient set and query",
            FIRESTORE,
            lambda said: by_hand.append_and_read(store, said[-1], PAGE),
        ),
    ]

    def questions(number: int) -> Sequence[Job]:
        first = TALK + number * amounts.talk
        return [job[: first + place + 1] for place in range(amounts.talk)]

    return Task("append and read", ways, questions, newest, records=PAGE)


async def warm(memory: MemoryManager, jobs: Sequence[Job]) -> None:
    """Have the cache know all records, and the newest page of each session."""
    page = _paging(memory)
    for job in jobs:
        await memory.get_many(MemoryItem, [record.id for record in job])
        await page(job)


def newest(job: Job) -> list[MemoryItem]:
    """The newest page of a session."""
    return list(reversed(job))[:PAGE]


def _itself(record: MemoryItem) -> MemoryItem:
    return record


def _some(given: Sequence[Any], count: int) -> Callable[[int], Sequence[Any]]:
    return lambda number: Random(SEED + number).choices(given, k=count)


def _getting(memory: MemoryManager) -> Callable[[MemoryItem], Any]:
    return lambda record: memory.get(MemoryItem, record.id)


def _getting_many(memory: MemoryManager) -> Callable[[Job], Any]:
    return lambda records: memory.get_many(MemoryItem, [record.id for record in records])


def _paging(memory: MemoryManager) -> Callable[[Job], Any]:
    conversations = Conversations(memory)

    async def page(job: Job) -> Job:
        user, session = job[0].user_id, job[0].session_id
        found = await conversations.history(user, session_id=session, page_size=PAGE)
        return found.records

    return page


def _talking(memory: MemoryManager) -> Callable[[Job], Any]:
    page = _paging(memory)

    async def say(job: Job) -> Any:
        await memory.put(job[-1])
        return await page(job)

    return say
