"""What is run with which backend, at which sizes: in full, and quickly to see that it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from . import environment, null, process, server
from .run import Backend, Load, Plan
from .ways import BULK, WAYS, without

ADDED_MILLISECONDS: Final = 10
"""By how much the long way delays, in each direction."""
NUMBERS: Final = 768
"""Numbers in a record's embedding, where it has one."""


@dataclass(frozen=True, slots=True)
class Place:
    """A backend that runs, and what there is to tell of it."""

    backend: Backend
    facts: dict[str, Any]


class Places(Protocol):
    """Starts a backend for as long as the context lasts."""

    def __call__(self) -> AbstractContextManager[Place]: ...


@contextmanager
def on_null() -> Iterator[Place]:
    with null.started() as child:
        yield Place(Backend(child.address, child.address, child.pid, forgets=True), {})


@contextmanager
def on_emulator() -> Iterator[Place]:
    with server.started() as running:
        facts = environment.emulator_facts(running)
        yield Place(Backend(running.host, running.host, running.pid), facts)


@contextmanager
def far_away() -> Iterator[Place]:
    with (
        server.started() as running,
        process.serving("long_way", running.host, str(ADDED_MILLISECONDS)) as way,
    ):
        added = environment.round_trip(way.address) - environment.round_trip(running.host)
        facts = {
            **environment.emulator_facts(running),
            "added_round_trip_ms": round(added * 1e3, 1),
        }
        yield Place(Backend(way.address, running.host, running.pid), facts)


@dataclass(frozen=True, slots=True)
class Course:
    """A part that measures ways with one backend."""

    title: str
    place: Places
    plan: Plan
    quick: Plan


QUICK: Final = Plan(WAYS, (Load(20, rounds=1, watched=1),), records_per_turn=20, warm_up=5)
BRISK: Final = without("set, one by one", "get, one by one", "get_all", ways=BULK)
"""One by one, each record takes its round trip: nothing is learnt by waiting for it."""

# The largest first, which leaves the server warm for the small ones.
COURSES: Final = {
    "null": Course(
        "The client alone: a backend that answers at once",
        on_null,
        Plan(
            WAYS,
            (Load(20_000, rounds=3, watched=1), Load(4_000, rounds=5), Load(400, rounds=5)),
            records_per_turn=400,
        ),
        QUICK,
    ),
    "emulator": Course(
        "On the Firestore emulator",
        on_emulator,
        Plan(
            WAYS,
            tuple(Load(size, rounds=3) for size in (20_000, 4_000, 400)),
            records_per_turn=400,
        ),
        QUICK,
    ),
    "far": Course(
        "On the Firestore emulator, 20 ms of round trip away",
        far_away,
        Plan(BRISK, (Load(20_000, rounds=3, tasks=("write",)), Load(4_000, rounds=3))),
        replace(QUICK, ways=BRISK),
    ),
    "embeddings": Course(
        f"Records with {NUMBERS} numbers each, on the Firestore emulator",
        on_emulator,
        Plan(BRISK, (Load(2_000, rounds=3, watched=1),), embedding=NUMBERS, warm_up=200),
        replace(QUICK, ways=BRISK, embedding=NUMBERS),
    ),
}
