"""A Redis server, for tests: found or started, and always stopped again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.probe import ask, find
from orchestra_memory.testing.service import (
    Address,
    Container,
    Kind,
    Missing,
    Program,
    Served,
    Source,
)

VARIABLE = "REDIS_URL"
DEFAULT_PORT = 6379
IN_MEMORY = ("--save", "", "--appendonly", "no")


@dataclass(frozen=True)
class RedisServer:
    """A Redis server that answers.

    ``how`` says what it came from, ``pid`` is its process where that was started here. One named
    by ``REDIS_URL`` may hold the data of others: keep to keys of your own, and never flush.
    """

    url: str
    how: str
    pid: int | None = None


@contextmanager
def start(*options: str, port: int = 0, own: bool = False) -> Iterator[RedisServer]:
    """A Redis that keeps everything in memory, for as long as the context lasts.

    `options` are arguments of ``redis-server`` (``"--maxmemory", "5mb"``) and, like a ``port`` and
    ``own``, call for a new server even where ``REDIS_URL`` names one. Port 0 picks a free one.
    Raises `ServiceMissing`, which says what to install.
    """
    own = own or bool(options) or port != 0
    with serving(KIND, find_redis(own=own), port=port, options=options) as served:
        yield RedisServer(_url(served), served.how, served.pid)


def find_redis(*, own: bool = False) -> tuple[Source, ...] | Missing:
    """What can serve as Redis here, best first; starts nothing."""
    return find(KIND, own=own)


def parse_url(url: str) -> Address:
    """Where the Redis of `url` listens. Raises `ValueError` for anything but ``redis://``."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or not parts.hostname:
        raise ValueError("not of the form redis://host:port")
    return Address(parts.hostname, parts.port or DEFAULT_PORT)


def is_ready(address: Address) -> bool:
    """Whether a Redis answers at `address`, be it to ask for a password."""
    return ask(address, b"PING\r\n").startswith((b"+PONG", b"-NOAUTH"))


def find_program() -> Program | str:
    """The command for the installed server, or that there is none."""
    program = shutil.which("redis-server")
    if program is None:
        return "no redis-server on the PATH"
    return Program((program, "--bind", "127.0.0.1", "--port", "{port}", *IN_MEMORY), "redis-server")


def _url(served: Served) -> str:
    if served.how == VARIABLE:
        return os.environ[VARIABLE]  # with its user, password and database
    return f"redis://{served.address}/0"


KIND = Kind(
    name="Redis",
    variable=VARIABLE,
    remedy=f"start Docker, or install redis-server, or set {VARIABLE} to a Redis for tests",
    container=Container(
        image="redis:7-alpine", command=("redis-server", *IN_MEMORY), port=DEFAULT_PORT
    ),
    parse=parse_url,
    ready=is_ready,
    find_program=find_program,
)
