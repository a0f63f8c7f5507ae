"""The few places where Google's ``AsyncClient`` offers no public way in.

Everything private of that library stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

_OPTIONS: Final = (
    # Channels to one place would share one connection otherwise.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC pauses up to two minutes between attempts by itself, and would notice late that the
    # server is back.
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # In spite of its name, how long one attempt may take: one that meets a black hole is to end
    # soon, but a lost packet and a slow handshake have to fit in.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


def gapic(client: AsyncClient) -> Any:
    """The generated API client beneath, with its channel, credentials and interceptors."""
    return cast("Any", client)._firestore_api


def another_gapic(client: AsyncClient) -> Any:
    """Another API client like that, on a connection of its own."""
    import grpc.aio  # type: ignore[import-untyped]
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
    from google.cloud.firestore_v1.services.firestore.transports import (
        FirestoreGrpcAsyncIOTransport as Transport,
    )

    untyped, transports = cast("Any", client), cast("Any", Transport)
    host = untyped._emulator_host
    if host is None:
        credentials = untyped._credentials
        channel = transports.create_channel(
            untyped._target, credentials=credentials, options=_OPTIONS
        )
    else:
        channel = grpc.aio.insecure_channel(host, _OPTIONS)
    transport = transports(host=untyped._target, channel=channel)
    return cast("Any", FirestoreAsyncClient)(
        transport=transport, client_options=untyped._client_options
    )


def reconnect_soon(client: AsyncClient) -> None:
    """Have an unused client try about every second to connect again while it cannot.

    ``AsyncClient`` makes its own channel and takes neither another nor options for it, so that the
    API client beneath has to be put in its place. `close_client` closes it.
    """
    untyped = cast("Any", client)
    untyped._firestore_api_internal = another_gapic(client)


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
