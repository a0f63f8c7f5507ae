"""The store and the Redis of a plan, opened; and what a store is known by."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from .errors import ConfigurationError
from .protocol import MemoryManager
from .settings import Settings, revealed
from .urls import CacheUrl, FirestoreUrl, LocalUrl, SqliteUrl, StoreUrl

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def opened_redis(url: CacheUrl, settings: Settings, opened: AsyncExitStack) -> Redis:
    from .layers.cached.connect import connect

    # Whoever waits for a connection in vain is told so before the time of the operation is over.
    patience = settings.cache_timeout * 0.8
    return await opened.enter_async_context(connect(url.url, patience=patience))


async def cache_name(store: StoreUrl, settings: Settings) -> str:
    """What cache and journal know a store by: whoever opens the same store finds what is its.

    The file of a SQLite store must be there.
    """
    match store:
        case LocalUrl():
            return f"local/{secrets.token_hex(8)}"
        case SqliteUrl(path):
            from .backends.sqlite.schema import store_id

            number = await anyio.to_thread.run_sync(store_id, Path(path))
            return f"sqlite/{await anyio.Path(path).resolve()}/{number}"
        case FirestoreUrl():
            emulator = f"/{store.emulator}" if store.emulator else ""
            names = f"/{settings.collections}" if settings.collections else ""
            return f"{store.project}/{store.database}{emulator}{names}"


async def opened_store(
    store: StoreUrl, settings: Settings, opened: AsyncExitStack
) -> tuple[MemoryManager, str]:
    """The store, and its name."""
    match store:
        case LocalUrl():
            from .backends.local import LocalMemory

            return LocalMemory(), "LocalMemory"
        case SqliteUrl(path):
            return await _opened_sqlite(path, opened), f"SqliteMemory {path}"
        case FirestoreUrl() as url:
            where = f" on the emulator at {url.emulator}" if url.emulator else ""
            name = f"FirestoreMemory {url.project}/{url.database}{where}"
            return await _opened_firestore(url, settings, opened), name


async def _opened_sqlite(path: str, opened: AsyncExitStack) -> MemoryManager:
    from .backends.sqlite.memory import SqliteMemory

    directory = Path(path).parent
    try:
        await anyio.Path(directory).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"the directory of {path} cannot be made ({error.strerror}); set ORCHESTRA_HOME, or "
            "the URL, to a place this process may write to"
        ) from error
    return await opened.enter_async_context(SqliteMemory.open(path))


async def _opened_firestore(
    url: FirestoreUrl, settings: Settings, opened: AsyncExitStack
) -> MemoryManager:
    from .backends.firestore.client import connect
    from .backends.firestore.credentials import credential_source
    from .backends.firestore.memory import FirestoreMemory

    source = credential_source(
        key_json=revealed(settings.gcp_sa_key_json),
        key_path=settings.gcp_sa_key_path,
        application=settings.google_application_credentials,
    )
    # A plan is complete.
    assert url.project is not None
    assert url.database is not None
    client = await opened.enter_async_context(
        connect(url.project, url.database, emulator=url.emulator, credentials=source)
    )
    store = FirestoreMemory(client, collections=settings.collections, ramp=settings.ramp)
    opened.push_async_callback(store.aclose)
    return store
