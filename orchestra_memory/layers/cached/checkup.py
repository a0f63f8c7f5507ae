"""What somebody who checks a Redis asks of it: its clock, and what its user may do."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import anyio
from redis.exceptions import NoPermissionError, NoScriptError

from .failures import FAILURES, kind_of, unavailable
from .keys import Keyspace

if TYPE_CHECKING:
    from redis.asyncio import Redis

Command: TypeAlias = tuple[str | int, ...]

TIMEOUT: Final = 5.0
"""Seconds Redis may take for one command."""
LIFE_MS: Final = 10_000
"""Milliseconds after which a key made here goes by itself, whatever its user may do."""
TENDING: Final = frozenset({"hget", "scan"})
"""Commands that only the verbs of the command line need."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of Redis in seconds since 1970, and this machine's just before and after."""

    theirs: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Rights:
    """Commands that the user may not run, in small letters, and whether he may touch the keys."""

    missing: tuple[str, ...]
    keys: bool


async def clock_of(redis: Redis) -> Clock:
    """What time it is there. Raises ``CacheUnavailable``."""
    before = time.time()
    try:
        seconds, micros = await _asked(redis, ("TIME",))
    except _Denied:
        raise unavailable("permission", "checkup") from None
    return Clock(int(seconds) + int(micros) / 1_000_000, before, time.time())


async def rights_of(redis: Redis, keyspace: Keyspace) -> Rights:
    """Try every command, on a key of nobody's that lives for ten seconds.

    Raises ``CacheUnavailable`` where Redis fails for another reason than its user's rights.
    """
    key = keyspace.epoch_key(f"doctor-{secrets.token_hex(8)}")
    missing: list[str] = []
    keys = True
    for right, command in commands_by_right(key).items():
        try:
            await _asked(redis, command)
        except _Denied as denied:
            keys = keys and not denied.key
            missing += [] if denied.key else [right]
    return Rights(tuple(missing), keys)


def commands_by_right(key: str) -> dict[str, Command]:
    """One command for each right; what makes a key comes before what ends it."""
    return {
        "client|setname": ("CLIENT SETNAME", "orchestra-memory"),
        "time": ("TIME",),
        "info": ("INFO", "server"),
        "eval": ("EVAL", "return 1", 1, key),
        "evalsha": ("EVALSHA", "0" * 40, 1, key),
        "set": ("SET", key, "1", "PX", LIFE_MS),
        "get": ("GET", key),
        "mget": ("MGET", key),
        "getrange": ("GETRANGE", key, 0, 0),
        "del": ("DEL", key),
        "hset": ("HSET", key, "f", "1"),
        "pexpire": ("PEXPIRE", key, LIFE_MS),
        "pttl": ("PTTL", key),
        "hmget": ("HMGET", key, "f"),
        "hget": ("HGET", key, "f"),
        "hdel": ("HDEL", key, "f"),
        "scan": ("SCAN", 0, "COUNT", 1),
    }


class _Denied(Exception):
    """The user may not do this; ``key`` says that it is for the key, not for the command."""

    def __init__(self, *, key: bool) -> None:
        super().__init__()
        self.key = key


async def _asked(redis: Redis, command: Command) -> Any:  # noqa: ANN401 -- replies are of any type
    try:
        with anyio.fail_after(TIMEOUT):
            return await cast("Any", redis).execute_command(*command)
    except NoScriptError:
        return None  # which says that it may be run
    except NoPermissionError as error:
        raise _Denied(key=" key" in str(error)) from None
    except FAILURES as error:
        raise unavailable(kind_of(error), "checkup") from error
