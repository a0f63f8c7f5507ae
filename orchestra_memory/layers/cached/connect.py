"""A client for the Redis of the cache: every bound explicit, connected on first use."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, cast

import anyio
import anyio.to_thread
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.maint_notifications import MaintNotificationsConfig

from ...errors import ConfigurationError
from .endpoint import Endpoint, Tls, endpoint_of

CONNECT_TIMEOUT: Final = 1.0
"""Seconds for a connection to be made, and as many for logging in on it."""
PATIENCE: Final = 0.04
"""Seconds a command waits for a free connection; less than an operation of the cache may take."""


@asynccontextmanager
async def connect(url: str, *, patience: float = PATIENCE) -> AsyncIterator[Redis]:
    """A client for the Redis of `url`, closed at the end; entering never waits for Redis.

    It answers in bytes and never repeats a command. The caller bounds how long each may take; one
    that finds all connections in use for ``patience`` seconds fails with ``MaxConnectionsError``.
    Raises ``ConfigurationError`` for a URL or a certificate file of no use, repeating neither.
    """
    endpoint = endpoint_of(url)
    context = None
    if endpoint.tls is not None:
        # Loading authorities takes longer than the loop may be blocked.
        context = await anyio.to_thread.run_sync(_tls_context, endpoint.tls)
    async with AsyncExitStack() as opened:
        if endpoint.cluster:
            cluster = _cluster(endpoint, patience)
            opened.push_async_callback(_closed, cluster)
            # It does all that is asked of a client here: single commands.
            yield cast("Redis", cluster)
            return
        pool = _pool(endpoint, context, patience, opened)
        opened.push_async_callback(_closed, pool)
        yield Redis(connection_pool=pool)


def _tls_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise _unreadable("ssl_ca_certs", error) from None
    context.check_hostname = tls.check_hostname
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key, lambda: tls.key_password or "")
        except OSError as error:
            raise _unreadable("ssl_certfile and ssl_keyfile", error) from None
    return context


def _unreadable(option: str, error: OSError) -> ConfigurationError:
    # An SSLError is an OSError whose text names library sources, of use to nobody here.
    wrong = "not what it should be" if isinstance(error, ssl.SSLError) else error.strerror
    return ConfigurationError(f"the file of {option} in the cache URL: {wrong}; give one in PEM")


# redis-py types part of what follows; where it does not, checkers are told so.


class TlsConnection(SSLConnection):
    """An encrypted connection with a context made beforehand, and shared by all."""

    def __init__(self, *, context: ssl.SSLContext, **rest: Any) -> None:  # noqa: ANN401 -- as above
        super().__init__(**rest)  # pyright: ignore[reportUnknownMemberType] -- as above
        self.ssl_context.context = context


class Turns:
    """So many at once; whoever comes then waits for at most `patience` seconds, in turn."""

    def __init__(self, number: int, patience: float) -> None:
        self._number = number
        self._patience = patience
        self._free = anyio.Semaphore(number, fast_acquire=True)

    async def take(self) -> None:
        with suppress(anyio.WouldBlock):
            self._free.acquire_nowait()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError as error:
            raise MaxConnectionsError(
                f"all {self._number} connections to Redis were in use for "
                f"{self._patience * 1000:.0f} ms; raise max_connections in the cache URL"
            ) from error

    def give_back(self) -> None:
        self._free.release()


class WaitingPool(ConnectionPool):
    """At most ``max_connections``, for whoever waits his turn.

    Everything between two awaits is atomic on an event loop, so no lock is needed.
    """

    def __init__(self, *, patience: float, **rest: Any) -> None:  # noqa: ANN401 -- as above
        super().__init__(**rest)  # pyright: ignore[reportUnknownMemberType] -- as above
        self._turns = Turns(self.max_connections, patience)
        self.made: int = 0
        """How often a connection was made, be it to the same server or to what took its place."""

    async def get_connection(
        self, command_name: str | None = None, *keys: object, **options: object
    ) -> AbstractConnection:
        await self._turns.take()
        try:
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]  # as above
        except BaseException:
            self._turns.give_back()
            raise
        try:
            if not connection.is_connected or await connection.can_read():
                self.made += 1
                await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._turns.give_back()


class WaitingSentinelPool(WaitingPool, SentinelConnectionPool):
    """The same, to whichever server the sentinels call the master."""


class WaitingCluster(RedisCluster):
    """The same for a cluster, whose nodes have pools without waiting."""

    def __init__(self, *, patience: float, max_connections: int, **rest: Any) -> None:  # noqa: ANN401 -- as above
        super().__init__(max_connections=max_connections, **rest)  # pyright: ignore[reportUnknownMemberType] -- as above
        self._turns = Turns(max_connections, patience)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as above
        await self._turns.take()
        try:
            return await super().execute_command(*args, **kwargs)
        finally:
            self._turns.give_back()


def _cluster(endpoint: Endpoint, patience: float) -> RedisCluster:
    return WaitingCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in endpoint.hosts],
        patience=patience,
        require_full_coverage=False,
        # Nothing else bounds logging in on a node.
        socket_timeout=CONNECT_TIMEOUT,
        **_login(endpoint),
        **_bounds(),
    )


def _pool(
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    patience: float,
    opened: AsyncExitStack,
) -> ConnectionPool:
    own = {
        **_login(endpoint),
        **_bounds(),
        "db": endpoint.db,
        "redis_connect_func": _log_in,
        # The caller's deadline bounds reading and writing; redis-py's own would make a task for
        # each command on Python 3.11.
        "socket_timeout": None,
    }
    pool = partial(WaitingPool, patience=patience, **own)
    if endpoint.path is not None:
        return pool(connection_class=UnixDomainSocketConnection, path=endpoint.path)
    if endpoint.service is not None:
        sentinels = Sentinel(  # type: ignore[no-untyped-call]  # as above
            endpoint.hosts, sentinel_kwargs=_bounds() | {"socket_timeout": CONNECT_TIMEOUT}
        )
        opened.push_async_callback(_closed, sentinels)
        return WaitingSentinelPool(
            service_name=endpoint.service,
            sentinel_manager=sentinels,
            connection_class=SentinelManagedConnection,
            patience=patience,
            **own,
        )
    host, port = endpoint.hosts[0]
    if context is None:
        return pool(connection_class=Connection, host=host, port=port)
    return pool(connection_class=TlsConnection, context=context, host=host, port=port)


def _login(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "max_connections": endpoint.max_connections,
        "username": endpoint.username,
        "password": endpoint.password,
        "client_name": endpoint.client_name,
        "decode_responses": False,
    }


def _bounds() -> dict[str, Any]:
    """What redis-py would choose otherwise, from release to release."""
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 3,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


async def _log_in(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await connection.on_connect()
    except TimeoutError as error:
        raise RedisTimeout(f"connected, but no login in {CONNECT_TIMEOUT:g} s") from error


async def _closed(client: ConnectionPool | Sentinel | RedisCluster) -> None:
    # What hangs is left to the operating system.
    with (
        anyio.move_on_after(CONNECT_TIMEOUT, shield=True),
        suppress(RedisError, OSError),
    ):
        await client.aclose()
