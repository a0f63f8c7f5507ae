"""What Redis did not do, in one word that may be told to anybody."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Final

from redis import exceptions

from ...errors import CacheUnavailable


class Refusal(Exception):
    """Redis answered, but not with what a script answers; ``kind`` is a key of `MEANING`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


FAILURES: Final = (
    exceptions.RedisError,
    exceptions.RedisClusterException,
    OSError,  # a TimeoutError is one of them
    Refusal,
)
BUGS: Final = (exceptions.DataError,)
"""Errors of the driver that are ours: no outage, and not to be hidden."""

_BY_CLASS: Final = (
    (TimeoutError, "deadline"),
    (exceptions.TimeoutError, "deadline"),
    (exceptions.MaxConnectionsError, "pool"),
    (exceptions.AuthenticationError, "auth"),
    (exceptions.AuthorizationError, "auth"),
    (exceptions.AuthenticationWrongNumberOfArgsError, "auth"),
    (exceptions.NoPermissionError, "permission"),
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "oom"),
    (exceptions.MasterDownError, "masterdown"),
    (exceptions.ClusterDownError, "clusterdown"),
)
_CODES: Final = re.compile(
    r"\b(OOM|READONLY|LOADING|NOAUTH|WRONGPASS|NOPERM|MISCONF|MASTERDOWN|CLUSTERDOWN|NOREPLICAS"
    r"|WRONGTYPE|BUSY)\b"
)
_BY_CAUSE: Final = (
    (ssl.SSLError, "tls"),
    (socket.gaierror, "name"),
    (ConnectionRefusedError, "refused"),
    (OSError, "connection"),
)
"""Why there is no connection, by what the system said before the driver put it in its words."""
_UNREACHED: Final = (exceptions.ConnectionError, exceptions.RedisClusterException, OSError)
_BY_CODE: Final = {
    "NOAUTH": "auth",
    "WRONGPASS": "auth",
    "NOPERM": "permission",
    "BUSY": "blocked",
}
_NO_CONNECTION: Final = "No connection available."

MEANING: Final = {
    "deadline": "no answer in time",
    "slow": "most answers took too long",
    "lag": "the event loop was too busy to take the answer in time",
    "busy": "too many calls were waiting for their turn",
    "blocked": "Redis is busy with a script of somebody's",
    "pool": "all connections of the pool are in use; allow for more of them",
    "auth": "the user or password was refused",
    "permission": "the user may not run a command, or not on these keys; orchestra-memory doctor "
    "names them",
    "loading": "Redis is still loading its data",
    "readonly": "this Redis is a replica and takes no writes",
    "oom": "Redis is out of memory; raise maxmemory or choose an eviction policy",
    "misconf": "Redis takes no writes while it cannot save them",
    "wrongtype": "a key holds what this library did not put there",
    "connection": "no connection",
    "refused": "the connection was refused: nothing listens there",
    "name": "the name of its host was not found",
    "tls": "no encrypted connection: its certificate is not trusted, is not for this name or has "
    "expired, or it wants one of the client",
    "reply": "the answer is not one of a script",
    "epoch": "the epoch of the namespace kept changing",
    "bypassed": "Redis is not asked at present",
}


def kind_of(error: Exception) -> str:
    """One word for what went wrong: a key of `MEANING`, or the code of Redis in small letters."""
    if isinstance(error, Refusal):
        return error.kind
    for cls, kind in _BY_CLASS:
        if isinstance(error, cls):
            return kind
    text = str(error)
    if _NO_CONNECTION in text:
        return "pool"
    code = _CODES.search(text)
    if code is not None:
        return _BY_CODE.get(code[1], code[1].lower())
    if isinstance(error, _UNREACHED):
        return _kind_of_cause(error)
    return "error"


def _kind_of_cause(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        for cls, kind in _BY_CAUSE:
            if isinstance(cause, cls):
                return kind
        cause = cause.__cause__ or cause.__context__
    return "error" if isinstance(error, exceptions.RedisClusterException) else "connection"


def unavailable(kind: str, operation: str = "") -> CacheUnavailable:
    """The error for a failure of this kind, without anything that Redis or the driver said."""
    meaning = MEANING.get(kind, "Redis refused")
    return CacheUnavailable(f"the cache did not answer ({kind}): {meaning}", operation=operation)
