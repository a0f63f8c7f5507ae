"""Connections to Firestore: one, until there are more calls at once than one carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .access import another_gapic, gapic

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

STREAMS: Final = 90
"""Calls at once on one connection. Google's front end takes 100, and listeners hold some."""
CONNECTIONS: Final = 10
"""Connections at most."""


@dataclass(slots=True)
class _Channel:
    api: Any
    calls: int = 0


class Channels:
    """The connection of `client`, and others of the same kind as they are needed."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._channels = [_Channel(gapic(client))]

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """The generated API client on the connection with the fewest calls, for one call."""
        channel = min(self._channels, key=lambda channel: channel.calls)
        if channel.calls >= STREAMS and len(self._channels) < CONNECTIONS:
            channel = _Channel(another_gapic(self._client))
            self._channels.append(channel)
        channel.calls += 1
        try:
            yield channel.api
        finally:
            channel.calls -= 1

    async def aclose(self) -> None:
        """Close what was opened here; the client's own connection is left to its owner."""
        opened = self._channels[1:]
        del self._channels[1:]
        for channel in opened:
            await channel.api.transport.close()
