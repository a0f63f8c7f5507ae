"""What is said of a memory's health, in plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..codec.bytes import time_text
from ..health import Health, Status
from .freshness import MEMORY, Seen

NO_CACHE: Final = "disabled"
"""What stands for the state of a Redis that nobody asked for."""
_CACHE: Final = "cache"


def report(seen: Seen, *, environment: str, version: str) -> dict[str, object]:
    """The body of ``/api/health``."""
    health = seen.health
    return {
        "status": health.status.value,
        "environment": environment,
        "version": version,
        "components": components(health),
        "details": {
            "checked_at": time_text(seen.at),
            "overdue": seen.overdue,
            "memory": health.as_dict(),
        },
    }


def components(health: Health) -> dict[str, str]:
    """Each component by itself, whatever it is a part of.

    ``app`` is this process, which answers; ``storage_firestore`` is the store, be it another;
    ``storage_redis`` is ``disabled`` where there is no cache.
    """
    *_, store = _chain(health)
    caches = [part for part in _chain(health) if part.component == _CACHE]
    # Of a memory that did not say how it is, nothing is known of what it has.
    redis = Status.DOWN.value if health.component == MEMORY else NO_CACHE
    return {
        "app": Status.OK.value,
        "storage_firestore": store.status.value,
        "storage_redis": _redis(caches[0]) if caches else redis,
    }


def _chain(health: Health) -> Iterator[Health]:
    """From the outermost part to the store."""
    yield health
    for part in health.parts[:1]:
        yield from _chain(part)


def _redis(cache: Health) -> str:
    """The state of Redis alone: a cache also counts what is beneath it into its own."""
    state = cache.detail.removeprefix("Redis ")
    if state == cache.detail:
        return Status.OK.value
    return (Status.DOWN if state.startswith("open") else Status.DEGRADED).value
