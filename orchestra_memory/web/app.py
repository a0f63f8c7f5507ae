"""The application: three paths, answered to whoever asks, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from .. import __version__
from ..errors import OrchestraMemoryError
from ..health import Health, Status
from ..protocol import MemoryManager
from ..stack import Memory, open_memory
from ..values import utc_now
from .freshness import MEMORY, Seen, SharedHealth
from .report import report

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Source: TypeAlias = MemoryManager | Callable[[], MemoryManager | None]
Body: TypeAlias = Mapping[str, object]

METHODS: Final = ("GET", "HEAD")
RETRY_AFTER: Final = (b"retry-after", b"1")
_NOT_FOUND: Final[Body] = {"detail": "not found"}
_WRONG_METHOD: Final[Body] = {"detail": "method not allowed"}
_NOT_OPEN: Final = Health(MEMORY, Status.DOWN, "not open: the process is starting or ending")


def health_app(
    memory: Source | None = None,
    *,
    environment: str | None = None,
    version: str | None = None,
    details: bool = True,
    fresh: float = 1.0,
    patience: float = 0.5,
) -> HealthApp:
    """An ASGI application with ``/api/health``, ``/livez`` and ``/readyz``.

    `memory` is an open one, or a function that returns it, or ``None`` while it is not open yet or
    not any more. Without it the application opens one by the settings at its start, and closes it
    at its end: that takes a server that speaks the lifespan protocol.

    ``environment`` and ``version`` are told as they are; by default the ``APP_ENV`` of the memory's
    settings, ``development`` where that is unset, and the version of this library. Without
    ``details`` nothing is told of addresses, errors and figures. The memory is asked at most once
    in ``fresh`` seconds (1), and waited for at most ``patience`` seconds (0.5).
    """
    return HealthApp(
        memory,
        environment=environment,
        version=version or __version__,
        details=details,
        fresh=fresh,
        patience=patience,
    )


class HealthApp:
    """Answers by the ASGI protocol, version 3. Get one by :func:`health_app`."""

    def __init__(
        self,
        memory: Source | None,
        *,
        environment: str | None,
        version: str,
        details: bool,
        fresh: float,
        patience: float,
    ) -> None:
        self._source = memory
        self._own: MemoryManager | None = None
        self._environment = environment
        self._version = version
        self._details = details
        self._health = SharedHealth(self._ask, fresh=fresh, patience=patience)
        self._paths: dict[str, Callable[[], Awaitable[tuple[int, Body]]]] = {
            "/api/health": self._report,
            "/livez": self._live,
            "/readyz": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of a server, whatever its type."""
        match scope["type"]:
            case "http":
                await self._answer(scope, send)
            case "lifespan":
                await self._start_and_end(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"an ASGI scope of type {other!r}; this speaks http and lifespan")

    async def _answer(self, scope: Scope, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = []
        serve = self._paths.get(_path(scope))
        if serve is None:
            status, body = 404, _NOT_FOUND
        elif scope["method"] not in METHODS:
            status, body = 405, _WRONG_METHOD
            headers.append((b"allow", ", ".join(METHODS).encode()))
        else:
            status, body = await serve()
            headers += [RETRY_AFTER] if status == 503 else []
        await _send(send, status, headers, body, with_body=scope["method"] != "HEAD")

    async def _report(self) -> tuple[int, Body]:
        seen = await self._look()
        body = report(seen, environment=self._environment_name(), version=self._version)
        return _status(seen), body if self._details else {**body, "details": {}}

    async def _ready(self) -> tuple[int, Body]:
        seen = await self._look()
        return _status(seen), {"status": seen.health.status.value}

    async def _live(self) -> tuple[int, Body]:
        """That this is answered is all there is to it, whatever the store does."""
        return 200, {"status": Status.OK.value}

    async def _look(self) -> Seen:
        return Seen(_NOT_OPEN, utc_now()) if self._memory() is None else await self._health.look()

    async def _ask(self) -> Health:
        memory = self._memory()
        return _NOT_OPEN if memory is None else await memory.health()

    def _memory(self) -> MemoryManager | None:
        source = self._own if self._source is None else self._source
        return source() if callable(source) else source

    def _environment_name(self) -> str:
        if self._environment is not None:
            return self._environment
        memory = self._memory()
        named = memory.settings.app_env if isinstance(memory, Memory) else None
        return "development" if named is None else named.value

    async def _start_and_end(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._source is None:
            await self._open_and_close(receive, send)
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open_and_close(self, receive: Receive, send: Send) -> None:
        step = "startup"
        try:
            async with open_memory() as memory:
                self._own = memory
                await send({"type": "lifespan.startup.complete"})
                step = "shutdown"
                await receive()
                self._own = None
        except OrchestraMemoryError as error:
            await send({"type": f"lifespan.{step}.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})
        finally:
            self._own = None


def _path(scope: Scope) -> str:
    """The path within what the application is mounted at."""
    path, mount = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(mount) if path.startswith(f"{mount}/") else path


def _status(seen: Seen) -> int:
    """Degraded is an answer: the process does its work, and there is nowhere better to send it."""
    return 503 if seen.health.status is Status.DOWN else 200


async def _send(
    send: Send,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: Body,
    *,
    with_body: bool,
) -> None:
    content = json.dumps(body, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})
