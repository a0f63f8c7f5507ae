"""All orders of the protocol's steps, by a few processes, with faults: no promise is broken."""

from __future__ import annotations

import pytest

from orchestra_memory.layers.cached.model import NOTHING
from tests.cached import flawed
from tests.cached.record_schedules import COLD_AND_WARM, LIVE, Ghost, Reader, Writer
from tests.cached.schedules import NONE, Explored, Faults, Scenario, explore
from tests.cached.window_schedules import Lister, Placer, Remover, window, written

PUT, SAME, PATCH, DELETE = (
    Writer(),
    Writer(kind="same"),
    Writer(kind="patch"),
    Writer(kind="delete"),
)


def records(*processes: Reader | Writer, faults: Faults = NONE) -> Scenario:
    return Scenario(processes, COLD_AND_WARM, LIVE, faults)


COMPLETE = window({0: 1, 1: 2}, complete=True)
INCOMPLETE = window({0: 1, 1: 3}, complete=False)


def whole(*processes: Lister | Placer | Remover, faults: Faults = NONE) -> Scenario:
    """Two records in the scope and two to come, all of them in the window."""
    return Scenario(processes, (NOTHING, COMPLETE), written(1, 2, None, None), faults)


def part(*processes: Lister | Placer | Remover, faults: Faults = NONE) -> Scenario:
    """Three records in the scope and one to come; the window has the first two."""
    return Scenario(processes, (NOTHING, INCOMPLETE), written(1, 3, 5, None), faults)


EVERY_FAULT = Faults(evictions=1, expiries=1, losses=1, crashes=1)
REDIS_FAULTS = Faults(evictions=1, expiries=1, crashes=1)
LOSSES = Faults(expiries=1, losses=2)

SCENARIOS = {
    "two readers and a put": records(Reader(), Reader(), PUT, faults=EVERY_FAULT),
    "two readers and a deletion": records(Reader(), Reader(), DELETE, faults=EVERY_FAULT),
    "two readers and a patch": records(Reader(), Reader(), PATCH, faults=EVERY_FAULT),
    "a refresh, a reader and a put": records(Reader("refresh"), Reader(), PUT, faults=EVERY_FAULT),
    "a peek, a reader and a deletion": records(
        Reader("peek"), Reader(), DELETE, faults=REDIS_FAULTS
    ),
    "a reader, a put and a deletion": records(Reader(), PUT, DELETE, faults=REDIS_FAULTS),
    "a reader, a deletion and a put of the same": records(
        Reader(), DELETE, SAME, faults=REDIS_FAULTS
    ),
    "a reader, two puts of the same": records(Reader(), SAME, SAME, faults=REDIS_FAULTS),
    "a reader, a patch and a deletion": records(Reader(), PATCH, DELETE, faults=REDIS_FAULTS),
    "a reader, a put and a deletion, replies lost": records(Reader(), PUT, DELETE, faults=LOSSES),
    "two evictions and two puts": records(Reader(), PUT, PUT, faults=Faults(evictions=2)),
    "three writers": records(PUT, DELETE, PATCH, faults=Faults(expiries=1, losses=1)),
    "a writer without a fence, and a reader": records(
        Reader(), Reader(), Writer(strict=False, kind="delete"), faults=EVERY_FAULT
    ),
    "two writers without a fence": records(
        Reader(), Writer(strict=False), Writer(strict=False, kind="delete"), faults=LOSSES
    ),
    "two lists and an append": whole(
        Lister(), Lister(), Placer(record=2, place=3), faults=EVERY_FAULT
    ),
    "a list and two appends": whole(
        Lister(length=3),
        Placer(record=2, place=3),
        Placer(record=3, place=4),
        faults=REDIS_FAULTS,
    ),
    "a list, an append and a deletion": whole(
        Lister(), Placer(record=2, place=0), Remover(record=0), faults=EVERY_FAULT
    ),
    "a list, a deletion and a put of the same record": whole(
        Lister(), Placer(record=0, place=4), Remover(record=0), faults=EVERY_FAULT
    ),
    "an append without a fence, and two lists": whole(
        Lister(), Lister(), Placer(record=2, place=3, strict=False), faults=LOSSES
    ),
    "a part, an append into it and a deletion": part(
        Lister(), Placer(record=3, place=2), Remover(record=0), faults=EVERY_FAULT
    ),
    "a part, a move out of it and an append": part(
        Lister(), Placer(record=0, place=9), Placer(record=3, place=2), faults=REDIS_FAULTS
    ),
    "a part, a move into it and a deletion": part(
        Lister(length=1), Placer(record=2, place=0), Remover(record=2), faults=EVERY_FAULT
    ),
}
EXPLORED: dict[str, Explored] = {}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_schedule_breaks_a_promise(name: str) -> None:
    EXPLORED[name] = explored = explore(SCENARIOS[name])
    assert explored.violations == {}
    assert explored.schedules > 10_000


def test_a_quarter_of_a_million_schedules_are_explored() -> None:
    explored = [EXPLORED.get(name) or explore(SCENARIOS[name]) for name in SCENARIOS]
    assert sum(each.schedules for each in explored) >= 250_000
    # Not only many ways through few: worlds that differ are counted once.
    assert sum(each.worlds for each in explored) >= 100_000


FENCE_OUTLIVES_ITS_WRITER = Scenario(
    (Reader(times=2), Reader(), DELETE, Ghost()), (NOTHING,), LIVE, Faults(expiries=1)
)
APPENDS = whole(Lister(), Lister(), Placer(record=2, place=0))

FLAWED = {
    "cache-aside": (flawed.CACHE_ASIDE, records(Reader(), Reader(), DELETE)),
    "delete after write": (flawed.DELETE_AFTER_WRITE, records(Reader(), Reader(), DELETE)),
    "versions without tombstones": (
        flawed.VERSIONS_WITHOUT_TOMBSTONES,
        records(Reader(), Reader(), DELETE),
    ),
    "tombstones that are evicted": (
        flawed.VERSIONS_AND_TOMBSTONES,
        records(Reader(), Reader(), DELETE, faults=Faults(evictions=1)),
    ),
    "a fill without a lease": (
        flawed.FILL_WITHOUT_LEASE,
        records(Reader(), Reader(), DELETE, faults=Faults(evictions=1)),
    ),
    "an expired intent ignored": (
        flawed.EXPIRED_FENCE_IGNORED,
        records(Reader(), Reader(), DELETE, faults=EVERY_FAULT),
    ),
    "an intent ignored": (flawed.FENCE_IGNORED, records(Reader(), Reader(), PUT, faults=LOSSES)),
    "a publish whose intent was evicted": (
        flawed.OWN_FENCE_IGNORED,
        records(Reader(), PUT, PUT, faults=Faults(evictions=2)),
    ),
    "a publish below the floor": (flawed.FLOOR_IGNORED, records(Reader(), PUT, DELETE)),
    "a window deleted after a write": (flawed.WINDOW_DELETED_AFTER_WRITE, APPENDS),
    "a window pushed to where it is": (flawed.WINDOW_PUSHED_TO, APPENDS),
    "a window filled without a lease": (
        flawed.WINDOW_FILLED_WITHOUT_LEASE,
        whole(Lister(), Lister(), Placer(record=2, place=0), faults=Faults(evictions=1)),
    ),
    "an intent ignored by lists": (
        flawed.FENCE_IGNORED,
        whole(Lister(), Lister(), Placer(record=2, place=0), faults=LOSSES),
    ),
}


@pytest.mark.parametrize("name", FLAWED)
def test_the_flaw_is_found(name: str) -> None:
    scripts, scenario = FLAWED[name]
    assert explore(scenario, scripts).violations != {}
    assert explore(scenario).violations == {}


@pytest.mark.parametrize("lost", [Faults(evictions=1), Faults(expiries=1)])
def test_a_fence_that_was_raised_is_no_proof_that_it_stood_at_the_commit(lost: Faults) -> None:
    """Only what Redis says after the commit is: until then nothing may be acknowledged."""
    early = flawed.EarlyWriter()
    assert explore(records(Reader(), Reader(), early)).violations == {}
    assert explore(records(Reader(), Reader(), early, faults=lost)).violations != {}
    assert explore(records(Reader(), Reader(), PUT, faults=lost)).violations == {}


def test_a_floor_dropped_with_an_expired_intent_lets_a_late_fill_revive() -> None:
    """Were it for the lease alone to keep a late fill out, it could not be told from this."""
    kept = explore(FENCE_OUTLIVES_ITS_WRITER, flawed.FILL_WITHOUT_LEASE)
    dropped = explore(FENCE_OUTLIVES_ITS_WRITER, flawed.FLOOR_DROPPED_AND_FILL_WITHOUT_LEASE)
    assert "deleted record revived" not in kept.violations
    assert "deleted record revived" in dropped.violations
