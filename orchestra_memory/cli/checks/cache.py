"""Whether Redis answers, is set up for a cache, and lets its user do what a cache needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Final

from ...errors import CacheUnavailable, ConfigurationError
from ...layers.cached.checkup import TENDING, Rights, clock_of, rights_of
from ...layers.cached.connect import connect
from ...layers.cached.keys import Keyspace
from ...layers.cached.tending import Server, Tending
from ...settings import Settings
from ...urls import CacheUrl
from ..findings import Finding, fail, ok, warn
from .clock import clock_finding

REDIS: Final = "redis"
EVICTION: Final = "eviction"
RIGHTS: Final = "rights"


async def cache_findings(url: CacheUrl, store: str, settings: Settings) -> AsyncGenerator[Finding]:
    """`store` is the name the cache knows the store by."""
    keyspace = Keyspace(store)
    try:
        async with connect(url.url) as redis:
            server = await _server(Tending(redis, keyspace))
            if server is not None:
                yield _reached(url, server, settings)
                for finding in set_up_findings(server, settings):
                    yield finding
            rights = await rights_of(redis, keyspace)
            for finding in rights_findings(rights):
                yield finding
            if "time" not in rights.missing:
                clock = await clock_of(redis)
                yield clock_finding("Redis", clock.theirs, clock.before, clock.after)
    except ConfigurationError as error:
        yield fail(REDIS, str(error))
    except CacheUnavailable as error:
        yield fail(REDIS, f"{url}: {error}", remedy_of(error))


async def _server(tending: Tending) -> Server | None:
    """What Redis says of itself; ``None`` for a user without the rights to ask, named later."""
    try:
        return await tending.server()
    except CacheUnavailable as error:
        if "(permission)" in str(error):
            return None
        raise


REMEDIES: Final = {
    "(auth)": "correct the user and the password in ORCHESTRA_CACHE, or REDIS_PASSWORD",
    "(oom)": "set maxmemory-policy to allkeys-lru, or raise maxmemory",
    "(readonly)": "give the address of the master",
    "(name)": "correct its host, or have it resolved here",
    "(tls)": "renew its certificate; or give its authority in ssl_ca_certs, ssl_certfile where it "
    "wants one, or ssl_check_hostname=false where the certificate has another name",
    "(connection)": "correct its address; rediss:// if it speaks TLS, redis:// if it does not",
    "(deadline)": "is it busy, hung or behind a firewall? rediss:// if it speaks TLS, redis:// if "
    "it does not",
    "(error)": "see its own log; the number of the database, or the scheme of the URL, may not fit",
}


def remedy_of(error: CacheUnavailable) -> str:
    """What to do about it, by the kind that its message names."""
    named = (remedy for kind, remedy in REMEDIES.items() if kind in str(error))
    return next(named, "start it, or correct its address; until then the store answers all reads")


def _reached(url: CacheUrl, server: Server, settings: Settings) -> Finding:
    facts = server.facts
    about = [str(facts[name]) for name in ("version", "kind", "role") if name in facts]
    detail = f"{url} answers in {server.latency * 1000:.1f} ms" + (
        f" ({', '.join(about)})" if about else ""
    )
    if server.latency > settings.cache_timeout / 2:
        spent = (
            f"{detail}; of the {settings.cache_timeout * 1000:g} ms a step may take, that is much"
        )
        return warn(REDIS, spent, "move it nearer, or raise ORCHESTRA_CACHE_TIMEOUT")
    return ok(REDIS, detail)


def set_up_findings(server: Server, settings: Settings) -> Iterator[Finding]:
    advice = list(server.advice())
    for each in advice:
        problem, _, remedy = each.partition(": ")
        yield warn(EVICTION if "maxmemory" in each else REDIS, problem, remedy)
    if "eviction" not in server.facts:
        yield warn(
            EVICTION,
            "not known, as the user may not run INFO",
            "give it +info; have maxmemory-policy be allkeys-lru or volatile-lru",
        )
    elif not server.facts.get("max_memory_bytes"):
        yield _unbounded(settings)
    elif not any("maxmemory" in each for each in advice):
        bound = int(str(server.facts["max_memory_bytes"])) / (1 << 20)
        yield ok(EVICTION, f"{server.facts['eviction']}, at {bound:,.0f} MiB")


def _unbounded(settings: Settings) -> Finding:
    detail = "there is no maxmemory: it may take what its machine has"
    if settings.app_env is not None and settings.app_env.is_served:
        return warn(EVICTION, detail, "set maxmemory, and maxmemory-policy to allkeys-lru")
    return ok(EVICTION, detail)


def rights_findings(rights: Rights) -> Iterator[Finding]:
    if not rights.keys:
        yield fail(RIGHTS, "the user may not touch the cache's keys", "give it the keys: ~om:*")
    needed = [name for name in rights.missing if name not in TENDING]
    if needed:
        yield fail(
            RIGHTS,
            f"the user may not run {', '.join(needed)}",
            f"ACL SETUSER <user> {' '.join(f'+{name}' for name in needed)}",
        )
    tending = [name for name in rights.missing if name in TENDING]
    if tending:
        yield warn(
            RIGHTS,
            f"the user may not run {', '.join(tending)}, which orchestra-memory cache needs",
            f"ACL SETUSER <user> {' '.join(f'+{name}' for name in tending)}",
        )
    if rights.keys and not rights.missing:
        yield ok(RIGHTS, "the user may do all that a cache needs")
