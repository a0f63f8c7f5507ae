"""Single commands to Redis, with as little around them as can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import hiredis

from .scripts import Argument

# Its stub speaks of commands of one part.
_packed: Final = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)


class Client(Protocol):
    """What is needed of a client of Redis, be it of one server, of Sentinel or of Cluster."""

    def execute_command(self, *args: Argument) -> Awaitable[object]: ...


class _Connection(Protocol):
    async def send_packed_command(self, command: bytes, check_health: bool = True) -> None: ...
    async def read_response(self, disable_decoding: bool = False) -> object: ...
    async def disconnect(self, nowait: bool = False) -> None: ...


class _Pool(Protocol):
    async def get_connection(self) -> _Connection: ...
    async def release(self, connection: _Connection) -> None: ...


class Wire:
    """Sends commands over the connections of a client.

    Where the client has one pool, redis-py's own way of running a command is gone round: it takes
    longer than Redis needs for an answer, most of it to encode arguments in Python. A connection
    whose command fails or is cancelled half way closes itself, so that no answer is left on it.
    """

    __slots__ = ("_client", "_pool")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pool = cast("_Pool | None", getattr(client, "connection_pool", None))

    def made(self) -> int:
        """How many connections were made so far; 0 where the pool does not say."""
        return getattr(self._pool, "made", 0)

    async def run(
        self, *command: Argument, meanwhile: Callable[[], object] | None = None
    ) -> object:
        """The answer to a command, in bytes. Raises what redis-py raises.

        ``meanwhile`` is called once the command is sent, where that is known. Should it raise, the
        connection is closed, so that no answer is left on it.
        """
        if self._pool is None:
            return await self._client.execute_command(*command)
        connection = await self._pool.get_connection()
        try:
            await connection.send_packed_command(_packed(command), check_health=False)
            if meanwhile is not None:
                try:
                    meanwhile()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
            return await connection.read_response(disable_decoding=True)
        finally:
            await self._pool.release(connection)
