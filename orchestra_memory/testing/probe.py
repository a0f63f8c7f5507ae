"""Looking around for services: which addresses are named, what answers, is there a Docker daemon.

Everything here takes well under a second and never raises because something is absent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from orchestra_memory.testing.service import Address, Found, Kind, Missing, Running, Source, choose

LOOPBACK = "127.0.0.1"
PROBE_TIMEOUT = 0.5
"""Seconds one probe may take."""


def find(kind: Kind, *, own: bool = False) -> tuple[Source, ...] | Missing:
    """What can provide the service here, best first.

    ``own`` passes over one that runs already, for tests that stop it or fill it up.
    """
    named = None if own else named_in(os.environ, kind)
    if named is not None:
        return choose(kind, Found(named=named, docker=False, program=""))
    return choose(kind, Found(named=None, docker=docker_usable(), program=kind.find_program()))


def named_in(environ: Mapping[str, str], kind: Kind) -> Running | str | None:
    """The server the environment names, or why that one is of no use."""
    text = environ.get(kind.variable)
    if not text:
        return None
    try:
        address = kind.parse(text)
    except ValueError as error:
        return f"{kind.variable} is set, but {error}"
    if not kind.ready(address):
        return f"{kind.variable} is set, but nothing answers at {address}"
    return Running(address, kind.variable)


def ask(address: Address, request: bytes) -> bytes:
    """The first bytes a server answers to `request`; empty when there is no server."""
    try:
        with socket.create_connection(address, timeout=PROBE_TIMEOUT) as connection:
            return _exchange(connection, request)
    except OSError:
        return b""


def free_port(port: int = 0) -> int:
    """`port`, or one the system picks, free a moment ago. Raises `OSError` where it is taken."""
    with socket.create_server((LOOPBACK, port)) as listener:
        chosen: int = listener.getsockname()[1]
        return chosen


def docker_usable() -> bool:
    """Whether the testcontainers package is installed and a Docker daemon answers.

    Asks the daemon itself: a machine with the client alone is told apart at once.
    """
    if find_spec("testcontainers") is None:
        return False
    return any(_daemon_answers(url) for url in _docker_urls(os.environ))


def _docker_urls(environ: Mapping[str, str]) -> tuple[str, ...]:
    if host := environ.get("DOCKER_HOST"):
        return (host,)
    sockets = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(runtime) / "docker.sock")
    return tuple(f"unix://{path}" for path in sockets)


def _daemon_answers(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "ssh" or os.environ.get("DOCKER_TLS_VERIFY"):
        return True  # not to be asked in plain words; starting a container will tell
    ping = b"GET /_ping HTTP/1.0\r\n\r\n"
    if parts.scheme == "unix":
        answer = _ask_unix(parts.path, ping)
    else:
        answer = ask(Address(parts.hostname or "localhost", parts.port or 2375), ping)
    return b" 200 " in answer.partition(b"\r\n")[0]


def _ask_unix(path: str, request: bytes) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PROBE_TIMEOUT)
            connection.connect(path)
            return _exchange(connection, request)
    except OSError:
        return b""


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(4096)
