"""Addresses of stores and caches: text in, checked values out.

Messages name the scheme, the part and the remedy, and never repeat the URL: it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from .errors import ConfigurationError, InvalidQuery
from .operations import checked_namespace

STORE_FORMS = (
    "firestore://project/database, sqlite:///relative/state.db, sqlite:////absolute/state.db, "
    "local:"
)
CACHE_FORMS = (
    "redis://host:port, rediss://host:port (TLS), unix:///path/to/socket, "
    "redis+sentinel://host:port,host:port/service, redis+cluster://host:port,host:port"
)
MASK = "**********"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+):(\d{1,5})", re.IGNORECASE | re.ASCII)
_ONE_OF_MANY = re.compile(r"[\w.-]+(:\d{1,5})?", re.ASCII)
_LATER = {"mongodb", "mongodb+srv"}
_MANY_HOSTS = ("redis+sentinel", "redis+cluster")
_CACHE_SCHEMES = ("redis", "rediss", "unix", *_MANY_HOSTS)


@dataclass(frozen=True, slots=True)
class FirestoreUrl:
    """A Firestore database; what is ``None`` comes from the settings."""

    project: str | None = None
    database: str | None = None
    namespace: str | None = None
    emulator: str | None = None

    def __post_init__(self) -> None:
        if self.database and not self.project:
            raise ConfigurationError("a firestore URL with a database needs a project before it")
        for name, value in (("project", self.project), ("database", self.database)):
            if value is not None and not _is_plain(value):
                raise ConfigurationError(
                    f"the {name} of a firestore URL must be an id without '/'; "
                    "write firestore://project/database"
                )
        _check_namespace(self.namespace)
        if self.emulator is not None:
            checked_address(self.emulator, "the emulator of a firestore URL")

    def __str__(self) -> str:
        path = "/".join(quote(part, safe="()") for part in (self.project, self.database) if part)
        query = _query(namespace=self.namespace, emulator=self.emulator)
        return f"firestore://{path}{query}"


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """An embedded database in one file; a relative path counts from the working directory."""

    path: str
    namespace: str | None = None

    def __post_init__(self) -> None:
        if self.path in {"", ":memory:"}:
            raise ConfigurationError(
                "a sqlite URL names a file: sqlite:///relative/state.db or "
                "sqlite:////absolute/state.db; use local: for memory in the process"
            )
        if "\0" in self.path or not _is_utf8(self.path):
            raise ConfigurationError("the path of a sqlite URL must be UTF-8 text without NUL")
        _check_namespace(self.namespace)

    def __str__(self) -> str:
        return f"sqlite:///{quote(self.path)}{_query(namespace=self.namespace)}"


@dataclass(frozen=True, slots=True)
class LocalUrl:
    """Memory in the process, gone when it ends."""

    namespace: str | None = None

    def __post_init__(self) -> None:
        _check_namespace(self.namespace)

    def __str__(self) -> str:
        return f"local:{_query(namespace=self.namespace)}"


StoreUrl: TypeAlias = FirestoreUrl | SqliteUrl | LocalUrl


@dataclass(frozen=True, slots=True)
class CacheUrl:
    """Where a Redis is; ``url`` may hold its password, ``str()`` and ``repr()`` do not."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        return masked_url(self.url)

    def __repr__(self) -> str:
        return f"CacheUrl({str(self)!r})"


def parse_store_url(text: str) -> StoreUrl:
    """The store a URL names.

    Raises ``ConfigurationError`` for a scheme this version does not know, and for a part that is
    missing, unknown or repeated.
    """
    parts = _split(text, STORE_FORMS)
    if parts.scheme == "firestore":
        return _firestore(parts)
    if parts.scheme == "sqlite":
        return _sqlite(parts)
    if parts.scheme == "local":
        return _local(parts)
    if parts.scheme in _LATER:
        raise ConfigurationError(
            "MongoDB is not available in this version; a later release brings it with the extra "
            f"'mongodb'. Known now: {STORE_FORMS}"
        )
    raise ConfigurationError(f"no store has the scheme {parts.scheme!r}; known: {STORE_FORMS}")


def parse_cache_url(text: str) -> CacheUrl | None:
    """The Redis a URL names; ``None`` for ``none``. Raises ``ConfigurationError``."""
    if text.strip().lower() == "none":
        return None
    parts = _split(text, f"{CACHE_FORMS}, none")
    if parts.scheme not in _CACHE_SCHEMES:
        raise ConfigurationError(
            f"no cache has the scheme {parts.scheme!r}; known: {CACHE_FORMS}, none"
        )
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ConfigurationError(f"a cache URL must say where the Redis is: {CACHE_FORMS}")
    if not _is_shaped(parts):
        raise ConfigurationError(
            "a cache URL reads redis://user:password@host:port/0; percent-encode '/', '#', '?', "
            "'@' and ':' inside the password"
        )
    return CacheUrl(text.strip())


def cache_url(host: str, port: int, password: str | None) -> CacheUrl:
    """A Redis by host, port and password."""
    where = f"[{host}]" if ":" in host else host
    secret = f":{quote(password, safe='')}@" if password else ""
    return CacheUrl(f"redis://{secret}{where}:{port}/0")


def masked_url(text: str) -> str:
    """The URL as it may be shown: no password and no option that could hold one."""
    try:
        parts = _split(text, "")
    except ConfigurationError:
        return MASK
    if not _is_shaped(parts):
        return f"{parts.scheme}://{MASK}"
    _, at, address = parts.netloc.rpartition("@")
    netloc = f"{MASK}@{address}" if at else address
    slashes = "//" if netloc or parts.path else ""
    options = parts.query if parts.scheme in {"firestore", "sqlite", "local"} else MASK
    query = f"?{options}" if parts.query else ""
    return f"{parts.scheme}:{slashes}{netloc}{parts.path}{query}"


def checked_address(text: str, what: str) -> str:
    """``host:port``, checked. Raises ``ConfigurationError`` naming `what`."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65_535:
        raise ConfigurationError(f"{what} must be host:port, such as 127.0.0.1:8080")
    return text


def _split(text: str, known: str) -> SplitResult:
    text = text.strip()
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise ConfigurationError(f"a URL begins with a scheme and a colon; known: {known}")
    parts = _urlsplit(text)
    if parts is None or not text.isprintable():
        raise ConfigurationError(
            f"this {scheme.lower()} URL cannot be read; percent-encode what is not plain text"
        )
    if "#" in text:
        raise ConfigurationError(
            f"a {parts.scheme} URL has no '#' part; write %23 for the character itself"
        )
    return parts


def _urlsplit(text: str) -> SplitResult | None:
    # The driver's error repeats the URL, so it is not kept, not even as context.
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _is_shaped(parts: SplitResult) -> bool:
    """Whether a password ends where it should, and not in the host, the port or the path."""
    if parts.netloc.count("@") > 1 or "@" in parts.path:
        return False
    if parts.scheme in _MANY_HOSTS:
        addresses = parts.netloc.rpartition("@")[2].split(",")
        return all(_ONE_OF_MANY.fullmatch(address) for address in addresses)
    try:
        return parts.port != 0
    except ValueError:
        return False


def _firestore(parts: SplitResult) -> FirestoreUrl:
    given = _parameters(parts, "namespace", "emulator")
    path = parts.path.strip("/").split("/")
    if "@" in parts.netloc or len(path) > 1 or (parts.path.strip("/") and not parts.netloc):
        raise ConfigurationError(
            "a firestore URL reads firestore://project/database?namespace=…&emulator=host:port, "
            "without a user or password"
        )
    return FirestoreUrl(
        project=_decoded(parts.netloc, parts) or None,
        database=_decoded(path[0], parts) or None,
        namespace=given.get("namespace"),
        emulator=given.get("emulator"),
    )


def _sqlite(parts: SplitResult) -> SqliteUrl:
    given = _parameters(parts, "namespace")
    if parts.netloc or (parts.path and not parts.path.startswith("/")):
        raise ConfigurationError(
            "a sqlite URL has three slashes before a relative path, sqlite:///relative/state.db, "
            "and four before an absolute one, sqlite:////absolute/state.db"
        )
    return SqliteUrl(_decoded(parts.path[1:], parts), given.get("namespace"))


def _local(parts: SplitResult) -> LocalUrl:
    given = _parameters(parts, "namespace")
    if parts.netloc or parts.path.strip("/"):
        raise ConfigurationError("a local URL has no path: write local: or local:?namespace=…")
    return LocalUrl(given.get("namespace"))


def _parameters(parts: SplitResult, *known: str) -> Mapping[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(known):
        raise ConfigurationError(
            f"a {parts.scheme} URL takes {' and '.join(known)} after '?', each once, no other"
        )
    return given


def _decoded(text: str, parts: SplitResult) -> str:
    decoded = unquote(text, errors="surrogateescape")
    if not _is_utf8(decoded):
        raise ConfigurationError(f"a {parts.scheme} URL must percent-encode UTF-8")
    return decoded


def _query(**parameters: str | None) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return "?" + urlencode(given, quote_via=quote, safe=":") if given else ""


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_plain(text: str) -> bool:
    return bool(text) and "/" not in text and text.isprintable() and " " not in text


def _check_namespace(namespace: str | None) -> None:
    try:
        checked_namespace(namespace)
    except (InvalidQuery, ValueError) as error:
        raise ConfigurationError(f"the namespace of a URL: {error}") from None
