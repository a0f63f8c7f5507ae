"""The few places where Google's ``AsyncClient`` offers no public way in.

Everything private of that library stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient


def gapic(client: AsyncClient) -> FirestoreAsyncClient:
    """The generated API client beneath, with its channel, credentials and interceptors."""
    return client._firestore_api  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType]


def database_path(client: AsyncClient) -> str:
    """``projects/{project}/databases/{database}``."""
    return str(client._database_string)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownArgumentType]


def call_metadata(client: AsyncClient) -> Sequence[tuple[str, str]]:
    """Headers every call carries: routing, and the emulator's owner token."""
    return tuple(client._rpc_metadata)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]


async def close_client(client: AsyncClient) -> None:
    """Close the channel, which ``AsyncClient.close`` leaves open."""
    await gapic(client).transport.close()
