"""A connected ``AsyncClient``, opened and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import anyio.to_thread

from .access import close_client, reconnect_soon, use_emulator
from .credentials import CredentialSource, load_credentials

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.firestore_v1.async_client import AsyncClient

CLOSING: Final = 5.0
"""Seconds a channel may take to close."""


@asynccontextmanager
async def connect(
    project: str, database: str, *, emulator: str | None, credentials: CredentialSource
) -> AsyncIterator[AsyncClient]:
    """A client of this database; of the one in the emulator at ``host:port``, if that is given.

    While there is no connection it tries about every second to make one, unlike an ``AsyncClient``
    made otherwise, whose pauses grow to two minutes and cannot be set by public means.

    Raises ``ConfigurationError`` for credentials that cannot be had.
    """
    # The driver takes most of a second to import, and credentials may come from the network.
    loaded = await anyio.to_thread.run_sync(
        _prepared, None if emulator else credentials, abandon_on_cancel=True
    )
    client = _client(project, database, loaded)
    use_emulator(client, emulator)
    reconnect_soon(client)
    try:
        yield client
    finally:
        with anyio.move_on_after(CLOSING, shield=True):
            await close_client(client)


def _prepared(source: CredentialSource | None) -> Credentials:
    import google.cloud.firestore_v1.async_client  # noqa: F401  # pyright: ignore[reportUnusedImport]  # imported here, off the event loop

    return _anonymous() if source is None else load_credentials(source)


def _client(project: str, database: str, credentials: Credentials) -> AsyncClient:
    from google.cloud.firestore_v1.async_client import AsyncClient

    return AsyncClient(project=project, credentials=credentials, database=database)


def _anonymous() -> Credentials:
    from google.auth import credentials

    untyped: Any = credentials
    return cast("Credentials", untyped.AnonymousCredentials())
