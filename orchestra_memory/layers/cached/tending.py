"""Looking after a cache from outside: what it holds of a record, and making it forget."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio
from redis.exceptions import NoPermissionError

from ...codec.document import Document
from ...errors import CacheUnavailable
from ...operations import Ref
from ...record import Record
from ..sourced import document_of
from .asking import EPOCHS
from .entries import FORMAT, row_in
from .epochs import KEPT
from .failures import FAILURES, kind_of, unavailable
from .keys import Keyspace, may_list
from .replies import OtherEpoch, publish_replies
from .scopes import scopes_of
from .scripts import PUBLISH, Drop, Known, publish_arguments, run

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .steps import Target

T = TypeVar("T")
TIMEOUT: Final = 5.0
"""Seconds Redis may take for one command."""
KEEP_MS: Final = 60_000
"""Milliseconds a forgotten entry's floor is kept at least."""
BATCH: Final = 200
"""Keys looked at or dropped at once."""
USER: Final = "user_id"
"""The field by which records belong to a user."""

LOOKS: Final = """
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'string' then return {text} end
return text and redis.call('HMGET', KEYS[1], unpack(ARGV)) or {}
"""
"""What an entry is: the text of a packed one alone, or the values of the fields asked for."""
FIELDS: Final = ("v", "f", "s", "d", "i", "lx")

SAYS: Final = """
local replies = {}
for i, key in ipairs(KEYS) do
  local payload = redis.pcall('GET', key)
  if type(payload) == 'string' then
    payload = string.match(payload, '^%d+:%d+:%d*:L:(.*)')
  else
    payload = redis.pcall('HGET', key, 'd')
  end
  local known = type(payload) == 'string' and string.sub(payload, 1, #ARGV[1]) == ARGV[1]
  replies[i] = known and not string.find(payload, ARGV[2], 1, true) and 0 or 1
end
return replies
"""
"""Looks into payloads where they are. ARGV: the format that can be read, and the text."""

_PATTERN_MARKS: Final = re.compile(r"([*?\[\]\\^-])")


@dataclass(frozen=True, slots=True)
class Server:
    """What Redis says of itself; what its user may not know is left out. ``latency`` in seconds."""

    latency: float
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def advice(self) -> Iterator[str]:
        """What is set up badly for a cache."""
        if self.facts.get("max_memory_bytes") and self.facts.get("eviction") == "noeviction":
            yield (
                "when its memory is full this Redis refuses writes, and the cache is bypassed: set "
                "maxmemory-policy to allkeys-lru or volatile-lru"
            )
        if self.facts.get("role") not in {None, "master"}:
            yield "this Redis is a replica, and the cache must be the master: correct the address"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one record. ``state`` is ``record``, ``absent`` or ``unknown``.

    ``floor`` is the revision below which nothing may be cached, ``filled_at`` a time in
    microseconds, ``ttl`` in seconds, ``intents`` the number of writes under way, ``leased`` whether
    a reader is about to fill it; ``size`` is the payload's, in bytes. A ``document`` of ``None``
    where there is a payload was written by another release, or is damaged: readers pass it over.
    """

    state: str = "unknown"
    floor: int | None = None
    filled_at: int | None = None
    ttl: float | None = None
    intents: int = 0
    leased: bool = False
    size: int = 0
    document: Document | None = None


class Tending:
    """Looks into the cache of one store, and invalidates.

    All methods raise ``CacheUnavailable`` where Redis does not do what it is asked.
    """

    def __init__(self, redis: Redis, keyspace: Keyspace) -> None:
        self._redis = redis
        self._keyspace = keyspace

    async def server(self) -> Server:
        """Which Redis this is, and how it is set up."""
        key = self._keyspace.epoch_key(None)
        await self._asked("GET", key)
        started = time.perf_counter()
        await self._asked("GET", key)
        latency = time.perf_counter() - started
        try:
            info = await self._asked("INFO")
        except CacheUnavailable as error:
            if isinstance(error.__cause__, NoPermissionError):
                return Server(latency)
            raise
        return Server(latency, _facts(_of_one_node(info)))

    async def epoch(self, namespace: str | None) -> str | None:
        """The namespace's epoch; ``None`` while nothing of it is cached."""
        found = await self._asked("GET", self._keyspace.epoch_key(namespace))
        return None if found is None else _text(found)

    async def look(self, ref: Ref[Any]) -> Entry:
        """What is known of a record. Changes nothing."""
        epoch = await self.epoch(ref.namespace)
        if epoch is None:
            return Entry()
        key = self._keyspace.key(ref, epoch)
        found = await self._asked("EVAL", LOOKS, 1, key, *FIELDS)
        left = await self._asked("PTTL", key)
        return _entry(ref, _fields(found), left) if found else Entry()

    async def drop(self, ref: Ref[Any], record: Record | None) -> int:
        """Forget a record, and the lists it is in or was in; how many entries.

        ``record`` is what is stored now: lists that lack it must go, too.
        """
        documents = [(await self.look(ref)).document, record and document_of(record)]
        scopes = [scope for known in documents if known for scope in scopes_of(ref, known)]
        targets: list[Target] = [ref, *dict.fromkeys(scopes)]
        await self._drop(targets)
        return len(targets)

    async def _drop(self, targets: Sequence[Target]) -> None:
        for _ in range(EPOCHS):
            namespace = targets[0].namespace
            epoch = await self.epoch(namespace)
            if epoch is None:
                return
            keys = [self._keyspace.key(target, epoch) for target in targets]
            if await self._dropped(namespace, epoch, keys):
                return
        raise unavailable("epoch", "invalidate")

    async def drop_user(self, namespace: str | None, user: str) -> int:
        """Forget all that is known of a user; how many entries.

        What does not say whose it is goes, too: it may tell that a record is not there yet.
        """
        epoch = await self.epoch(namespace)
        if epoch is None:
            return 0
        prefix = self._keyspace.epoch_key(namespace).removesuffix("epoch") + f"{epoch}:"
        says = f"{quoted(USER)}:{quoted(user)}".encode()
        number = 0
        async for keys in self._batches(_literal(prefix) + "*"):
            windows = [key for key in keys if key.startswith("w", len(prefix))]
            chosen = [key for key in windows if may_list(key[len(prefix) :], USER, user)]
            chosen += await self._may_say([key for key in keys if key not in windows], says)
            if chosen and await self._dropped(namespace, epoch, chosen):
                number += len(chosen)
        return number

    async def renew(self, namespace: str | None) -> None:
        """Forget everything of a namespace."""
        await self._renew(self._keyspace.epoch_key(namespace))

    async def renew_all(self) -> int:
        """Forget everything of the store; of how many namespaces."""
        number = 0
        store = self._keyspace.epoch_key(None).removesuffix("}:epoch")
        async for keys in self._batches(_literal(store) + "*}:epoch"):
            for key in keys:
                await self._renew(key)
            number += len(keys)
        return number

    async def _may_say(self, keys: Sequence[str], text: bytes) -> list[str]:
        """Those of some records that have this text in them, or none that can be read."""
        if not keys:
            return []
        found = await self._asked("EVAL", SAYS, len(keys), *keys, FORMAT, text)
        return [key for key, says in zip(keys, found, strict=True) if says]

    async def _dropped(self, namespace: str | None, epoch: str, keys: Sequence[str]) -> bool:
        """Whether these were forgotten; ``False`` if there is another epoch already."""
        token = secrets.token_hex(8)
        known = Known(epoch, token)
        arguments = publish_arguments(known, token, KEEP_MS, [Drop(0)] * len(keys))
        epoch_key = self._keyspace.epoch_key(namespace)
        reply = await self._told(run(self._redis, PUBLISH, [epoch_key, *keys], arguments))
        return not isinstance(publish_replies(reply), OtherEpoch)

    async def _renew(self, key: str) -> None:
        before = await self._asked("GET", key)
        # What it begins with, if anything, names the run of the server.
        server_run = _text(before or b"").rpartition("@")[0]
        epoch = f"{server_run}@{secrets.token_hex(8)}" if server_run else secrets.token_hex(8)
        await self._asked("SET", key, epoch, "EX", KEPT)

    async def _batches(self, pattern: str) -> AsyncIterator[list[str]]:
        """Keys of this pattern, at least those that were there all the time."""
        keys: list[str] = []
        scan = cast("Any", self._redis).scan_iter
        found: AsyncIterator[bytes] = scan(match=pattern, count=1_000)
        while (key := await self._told(anext(found, None))) is not None:
            keys.append(_text(key))
            if len(keys) == BATCH:
                yield keys
                keys = []
        yield keys

    async def _asked(self, *command: str | bytes | int) -> Any:  # noqa: ANN401 -- replies are of any type
        redis = cast("Any", self._redis)  # whose types are partial
        return await self._told(redis.execute_command(*command))

    async def _told(self, command: Awaitable[T]) -> T:
        try:
            with anyio.fail_after(TIMEOUT):
                return await command
        except FAILURES as error:
            raise unavailable(kind_of(error), "tending") from error


def _literal(text: str) -> str:
    return _PATTERN_MARKS.sub(r"\\\1", text)


def _text(reply: bytes | str) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply


def _fields(found: Sequence[bytes | None]) -> Mapping[str, bytes]:
    """Those of an entry, packed or not."""
    names: Sequence[str] = FIELDS
    if len(found) == 1:
        names, found = ("v", "f", "n", "s", "d"), (found[0] or b"").split(b":", 4)
    return {name: value for name, value in zip(names, found, strict=False) if value is not None}


def _entry(ref: Ref[Any], fields: Mapping[str, bytes], left_ms: int) -> Entry:
    now = time.time_ns() // 1000
    payload = fields.get("d", b"")
    expiries = [intent.rpartition(b"=")[2] for intent in fields.get("i", b"").split()]
    row = row_in(ref, payload) if payload else None
    states = {b"L": "record", b"A": "absent"}
    return Entry(
        state=states.get(fields.get("s", b""), "unknown"),
        floor=_number(fields.get("v")),
        filled_at=_number(fields.get("f")),
        ttl=left_ms / 1000 if left_ms >= 0 else None,
        intents=sum((_number(expiry) or 0) > now for expiry in expiries),
        leased=(_number(fields.get("lx")) or 0) > now,
        size=len(payload),
        document=None if row is None else row.document,
    )


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _of_one_node(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """On Redis Cluster every node answers; they are set up alike."""
    first = next(iter(info.values()), None)
    return (
        cast("Mapping[str, Any]", first)
        if isinstance(first, dict) and "redis_version" not in info
        else info
    )


def _facts(info: Mapping[str, Any]) -> dict[str, object]:
    """What matters of ``INFO``, under names of our own."""
    names = {
        "redis_version": "version",
        "redis_mode": "kind",
        "role": "role",
        "used_memory": "memory_bytes",
        "maxmemory": "max_memory_bytes",
        "maxmemory_policy": "eviction",
        "evicted_keys": "evicted_keys",
        "connected_clients": "clients",
    }
    return {ours: info[theirs] for theirs, ours in names.items() if theirs in info}
