"""What a cache URL says: text in, checked values out, no I/O.

Messages name the part and the remedy, and never repeat the URL: it may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError

MAX_CONNECTIONS: Final = 32
"""Connections of one process, unless the URL says ``max_connections``."""
CLIENT_NAME: Final = "orchestra-memory"
DEFAULT_PORT: Final = 6379
_PORTS: Final = {"redis+sentinel": 26379, "redis+cluster": DEFAULT_PORT}

_COMMON: Final = frozenset({"db", "max_connections", "client_name"})
_TLS: Final = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_check_hostname"}
)
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "redis": _COMMON,
    "rediss": _COMMON | _TLS,
    "unix": _COMMON,
    "redis+sentinel": _COMMON,
    "redis+cluster": _COMMON - {"db"},
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of an encrypted connection; ``None`` means the system's authorities, no certificate."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a Redis is and who asks: a socket's `path`, one host, or several.

    Several are the sentinels of a `service`, or some nodes of a `cluster`.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str | None = None
    cluster: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: Tls | None = None
    max_connections: int = MAX_CONNECTIONS
    client_name: str = CLIENT_NAME


def endpoint_of(url: str) -> Endpoint:
    """The Redis that `url` names. Raises ``ConfigurationError``."""
    parts = urlsplit(url.strip())
    known = _OPTIONS.get(parts.scheme)
    if known is None:
        raise ConfigurationError(f"a cache URL has one of the schemes {', '.join(_OPTIONS)}")
    options = _options(parts, known)
    path = unquote(parts.path)
    return Endpoint(
        hosts=_hosts(parts),
        path=path if parts.scheme == "unix" else None,
        service=_service(path) if parts.scheme == "redis+sentinel" else None,
        cluster=parts.scheme == "redis+cluster",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=_whole(options, "db", _database(parts.scheme, path), 0),
        tls=_tls(options) if parts.scheme == "rediss" else None,
        max_connections=_whole(options, "max_connections", MAX_CONNECTIONS, 1),
        client_name=options.get("client_name", CLIENT_NAME),
    )


def _options(parts: SplitResult, known: frozenset[str]) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs) or not options.keys() <= known:
        raise ConfigurationError(
            f"a {parts.scheme} URL takes {', '.join(sorted(known))} after '?', each once, and no "
            "other; user and password stand before the host, the timeout is ORCHESTRA_CACHE_TIMEOUT"
        )
    return options


def _hosts(parts: SplitResult) -> tuple[tuple[str, int], ...]:
    if parts.scheme == "unix":
        return ()
    port = _PORTS.get(parts.scheme)
    if port is None:
        return ((unquote(parts.hostname or "localhost"), parts.port or DEFAULT_PORT),)
    return tuple(_host(address, port) for address in parts.netloc.rpartition("@")[2].split(","))


def _host(address: str, default: int) -> tuple[str, int]:
    host, _, port = address.partition(":")
    if not host or not (port.isdecimal() or not port) or not 0 <= int(port or 0) <= 65_535:
        raise ConfigurationError(
            "a cache URL with several hosts reads redis+cluster://user:password@host:port,"
            "host:port or redis+sentinel://user:password@host:port,host:port/service"
        )
    return host, int(port or default)


def _service(path: str) -> str:
    service = path.strip("/")
    if not service or "/" in service:
        raise ConfigurationError(
            "a sentinel URL ends with the name of the service the sentinels watch: "
            "redis+sentinel://host:port,host:port/service"
        )
    return service


def _database(scheme: str, path: str) -> int:
    if scheme in {"unix", "redis+sentinel"}:
        return 0
    number = path.strip("/") or "0"
    if not number.isdecimal() or (scheme == "redis+cluster" and number != "0"):
        raise ConfigurationError(
            "the path of a cache URL is the number of a database, such as /0, the only one of a "
            "cluster"
        )
    return int(number)


def _whole(options: Mapping[str, str], name: str, default: int, least: int) -> int:
    given = options.get(name)
    if given is None:
        return default
    if not given.isdecimal() or int(given) < least:
        raise ConfigurationError(f"{name} of a cache URL must be a whole number from {least}")
    return int(given)


def _tls(options: Mapping[str, str]) -> Tls:
    checked = options.get("ssl_check_hostname", "true").lower()
    if checked not in {"true", "false"}:
        raise ConfigurationError("ssl_check_hostname of a cache URL must be true or false")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ConfigurationError("ssl_keyfile of a cache URL needs an ssl_certfile with it")
    return Tls(
        ca=options.get("ssl_ca_certs"),
        certificate=options.get("ssl_certfile"),
        key=options.get("ssl_keyfile"),
        key_password=options.get("ssl_password"),
        check_hostname=checked == "true",
    )
