"""The few places where Google's ``AsyncClient`` offers no public way in.

Everything private of that library stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient


def gapic(client: AsyncClient) -> Any:
    """The generated API client beneath, with its channel, credentials and interceptors."""
    return cast("Any", client)._firestore_api


def database_path(client: AsyncClient) -> str:
    """``projects/{project}/databases/{database}``."""
    return str(cast("Any", client)._database_string)


def call_metadata(client: AsyncClient) -> Sequence[tuple[str, str]]:
    """Headers every call carries: routing, and the emulator's owner token."""
    return tuple(cast("Any", client)._rpc_metadata)


async def close_client(client: AsyncClient) -> None:
    """Close the channel, which ``AsyncClient.close`` leaves open."""
    await gapic(client).transport.close()


def use_emulator(client: AsyncClient, address: str | None) -> None:
    """Send the calls of an unused client to this emulator (``host:port``), or to none.

    The client itself looks only at ``FIRESTORE_EMULATOR_HOST`` of the process.
    """
    client._emulator_host = address  # pyright: ignore[reportPrivateUsage]
