"""Whether the store answers, and a record can be written, read and deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Final

import anyio

from ...health import Health, Status
from ...models import MemoryRecord, random_id
from ...operations import ABSENT, Options, Receipt
from ...plan import Plan
from ...protocol import MemoryManager
from ...urls import FirestoreUrl
from ..findings import Finding, fail, ok, warn
from .clock import clock_finding

STORE: Final = "store"
PROBE: Final = "probe"


async def store_findings(
    memory: MemoryManager, plan: Plan, *, allowed: float
) -> AsyncGenerator[Finding]:
    """Its health, then a probe of it; nothing after what is down.

    ``allowed`` is how many seconds a call may take where the store is used.
    """
    health = await memory.health()
    if health.status is Status.OK:
        # The first one had to connect.
        health = await memory.health()
    if not health.answered:
        # Whoever waited in vain tells of it, under a name of its own.
        health = replace(health, component=STORE)
    for finding in health_findings(health, _remedy(plan)):
        yield finding
    for finding in speed_findings(health, allowed):
        yield finding
    if health.status is not Status.DOWN:
        for finding in await _probe(memory, plan):
            yield finding


def speed_findings(health: Health, allowed: float) -> Iterator[Finding]:
    """Whether calls, which may take so many seconds, have a chance of being answered."""
    if health.answered and health.latency is not None and health.latency > allowed:
        yield warn(
            STORE,
            f"{health.component} takes longer than the {allowed:g} s that a call may take",
            "is it near enough, and is this machine busy? ORCHESTRA_TIMEOUT allows for more",
        )


def _remedy(plan: Plan) -> str:
    """What to do where the store is down."""
    if not isinstance(plan.store, FirestoreUrl):
        return "is its file there, on a disk that works, and no directory above it read-only?"
    if plan.store.emulator is not None:
        return "start it (orchestra-memory emulator start), or correct its address"
    return "is there a way to it from here, and is it well? https://status.cloud.google.com"


def health_findings(found: Health, remedy: str) -> Iterator[Finding]:
    latency = "" if found.latency is None else f", {found.latency * 1000:.1f} ms"
    detail = f"{found.status.value}{latency}" + (f" ({found.detail})" if found.detail else "")
    if found.status is Status.OK:
        yield ok(found.component, detail)
    elif found.status is Status.DEGRADED:
        yield warn(found.component, detail, "see below")
    else:
        yield fail(found.component, detail, remedy)
    for part in found.parts:
        yield from health_findings(part, remedy)


async def _probe(memory: MemoryManager, plan: Plan) -> list[Finding]:
    """Write, read and delete one record, away from everybody's data."""
    key, bound = f"doctor-{random_id()}", plan.store.namespace
    view = memory if bound is not None else memory.with_options(namespace=key)
    record = MemoryRecord(record_id=key, context="doctor", content="a probe; safe to delete")
    started, before, after = time.perf_counter(), 0.0, 0.0
    deleted: Receipt | None = None
    try:
        await view.put(record, expect=ABSENT)
        same = await view.get(MemoryRecord, key, options=Options(cache="bypass")) == record
    finally:
        with anyio.CancelScope(shield=True):
            before = time.time()
            deleted = await view.delete(MemoryRecord, key)
            after = time.time()
    elapsed = (time.perf_counter() - started) * 1000
    if not same:
        return [fail(PROBE, "what was written did not come back", "please report this")]
    place = f"in namespace {bound}" if bound else "in a namespace of its own"
    done = ok(PROBE, f"written, read and deleted {place} in {elapsed:.0f} ms")
    return [done, *_clock(plan, deleted, before, after)]


def _clock(plan: Plan, receipt: Receipt | None, before: float, after: float) -> Iterator[Finding]:
    # An embedded store has this machine's own time.
    if isinstance(plan.store, FirestoreUrl) and receipt and receipt.version:
        yield clock_finding("Firestore", receipt.version / 1_000_000, before, after)
