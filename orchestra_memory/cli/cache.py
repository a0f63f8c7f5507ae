"""Verbs about the cache: status, inspect, invalidate."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import typer

from ..errors import ConfigurationError
from ..layers.cached.connect import connect
from ..layers.cached.keys import Keyspace
from ..layers.cached.tending import Entry, Server, Tending
from ..models import SHIPPED
from ..opening import cache_name
from ..operations import Ref
from ..plan import Plan
from ..record import Record, spec_of
from ..settings import Settings
from ..stack import open_memory
from ..urls import CacheUrl, LocalUrl, SqliteUrl
from .codes import Code
from .opening import plan_of, settings_of
from .output import counted, emit, note, show_facts
from .verb import Target


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be forgotten, as the options say it."""

    model: str | None
    key: str | None
    user: str | None
    everything: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Which cache, of which store, is looked at."""

    cache: CacheUrl
    store: str
    namespace: str | None


def status(target: Target) -> None:
    settings = settings_of(target)
    place, server, epoch = anyio.run(_look_around, target)
    facts = _status(place, settings, server, epoch)
    if target.as_json:
        emit({**facts, "advice": list(server.advice())})
    else:
        show_facts(facts)
    if not server.facts:
        note("its user may not run INFO, so there is more to know: orchestra-memory doctor")
    for advice in server.advice():
        note(advice)
    if any(server.advice()):
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


async def _look_around(target: Target) -> tuple[Place, Server, str | None]:
    async with _tended(target) as (tending, place):
        server = await tending.server()
        return place, server, await tending.epoch(place.namespace)


def _status(
    place: Place, settings: Settings, server: Server, epoch: str | None
) -> dict[str, object]:
    return {
        "cache": str(place.cache),
        "store": place.store,
        "namespace": place.namespace,
        "epoch": epoch,
        "mode": settings.cache_mode,
        "ttl_seconds": settings.cache_ttl,
        "timeout_ms": settings.cache_timeout * 1000,
        "latency_ms": round(server.latency * 1000, 3),
        **server.facts,
    }


def inspect(target: Target, model: str, key: str, *, show_content: bool) -> None:
    record_type = model_of(model)
    place, entry = anyio.run(_entry, target, record_type, key)
    facts = _entry_facts(entry)
    if show_content:
        facts["content"] = entry.document
    if target.as_json:
        emit({"model": record_type.__name__, "key": key, "namespace": place.namespace, **facts})
        return
    content = facts.pop("content", None)
    # A revision is there to be compared, not counted.
    show_facts({**facts, "floor": entry.floor and str(entry.floor)})
    if content is not None:
        emit(content)


async def _entry(target: Target, model: type[Record], key: str) -> tuple[Place, Entry]:
    async with _tended(target) as (tending, place):
        return place, await tending.look(Ref(model, key, namespace=place.namespace))


def _entry_facts(entry: Entry) -> dict[str, object]:
    return {
        "state": entry.state,
        "floor": entry.floor,
        "filled": None if entry.filled_at is None else _time(entry.filled_at),
        "expires_in_seconds": None if entry.ttl is None else round(entry.ttl, 1),
        "bytes": entry.size,
        "writes_under_way": entry.intents,
        "being_filled": entry.leased,
    }


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def invalidate(target: Target, chosen: Chosen) -> None:
    forget, what = _forgetting(target, chosen)
    number = anyio.run(_forget, target, forget)
    if target.as_json:
        emit({"invalidated": what, "number": number})
        return
    unit = ("namespace", "namespaces") if chosen.everything else ("entry", "entries")
    print(f"forgotten: {what}" + ("" if number is None else f" ({counted(number, *unit)})"))


Forget = Callable[[Tending, str | None], Awaitable[int | None]]


def _forgetting(target: Target, chosen: Chosen) -> tuple[Forget, str]:
    """What to do, and what to call it. Raises ``typer.BadParameter`` unless it is one thing."""
    record = chosen.model is not None or chosen.key is not None
    if [record, chosen.user is not None, chosen.everything].count(True) > 1:
        raise typer.BadParameter("give --model with --key, --user or --all, one of them")
    if record:
        if chosen.model is None or chosen.key is None:
            raise typer.BadParameter("--model and --key go together")
        return _record(target, model_of(chosen.model), chosen.key), f"{chosen.model} {chosen.key}"
    if chosen.user is not None:
        return _user(chosen.user), f"everything of user {chosen.user}"
    if chosen.everything:
        if target.namespace is not None:
            raise typer.BadParameter("--all and --namespace contradict each other; drop one")
        return _everything, "all namespaces of the store"
    if target.namespace is None:
        raise typer.BadParameter("give --model with --key, --user, --namespace or --all")
    return _namespace, f"namespace {target.namespace}"


def _record(target: Target, model: type[Record], key: str) -> Forget:
    async def forget(tending: Tending, namespace: str | None) -> int:
        settings = settings_of(target)
        # What is stored now tells in which lists it belongs.
        async with open_memory(
            target.url, cache="none", fallback=False, settings=settings
        ) as store:
            record = await store.get(model, key)
        return await tending.drop(Ref(model, key, namespace=namespace), record)

    return forget


def _user(user: str) -> Forget:
    async def forget(tending: Tending, namespace: str | None) -> int:
        return await tending.drop_user(namespace, user)

    return forget


async def _namespace(tending: Tending, namespace: str | None) -> None:
    await tending.renew(namespace)


async def _everything(tending: Tending, _namespace: str | None) -> int:
    return await tending.renew_all()


async def _forget(target: Target, forget: Forget) -> int | None:
    async with _tended(target) as (tending, place):
        return await forget(tending, place.namespace)


@asynccontextmanager
async def _tended(target: Target) -> AsyncIterator[tuple[Tending, Place]]:
    settings = settings_of(target)
    plan = plan_of(target, settings)
    url = _cache_of(plan)
    store = await cache_name(plan.store, settings)
    async with connect(url.url) as redis:
        yield Tending(redis, Keyspace(store)), Place(url, store, plan.store.namespace)


def _cache_of(plan: Plan) -> CacheUrl:
    if plan.cache is None:
        raise ConfigurationError(
            "no cache is configured; name its Redis in ORCHESTRA_CACHE, as where it is used"
        )
    if isinstance(plan.store, LocalUrl):
        raise ConfigurationError("what a local: memory has cached is known to its process alone")
    if isinstance(plan.store, SqliteUrl) and not Path(plan.store.path).exists():
        raise ConfigurationError(f"there is no {plan.store.path} yet, so nothing of it is cached")
    return plan.cache


def model_of(name: str) -> type[Record]:
    """A shipped record type by its name or its collection."""
    for model in SHIPPED:
        if name in {model.__name__, spec_of(model).collection}:
            return model
    known = ", ".join(model.__name__ for model in SHIPPED)
    raise typer.BadParameter(f"no record type {name!r}; there are {known}")
