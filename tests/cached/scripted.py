"""The Lua scripts, one step at a time, on one entry of a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

from orchestra_memory.layers.cached import replies, scripts
from orchestra_memory.layers.cached.members import unpacked
from orchestra_memory.layers.cached.model import Entry, Reading
from orchestra_memory.layers.cached.replies import (
    LEASED,
    Filled,
)
from orchestra_memory.layers.cached.scripts import (
    Filling,
    Known,
    WindowFilling,
)

FAR = 3_600_000  # milliseconds that no test lasts
OVER = 0  # milliseconds that have passed when the next script runs
NEVER = 2**52  # microseconds: after anything that happens in a test
KNOWN = Known("epoch", "epoch")


class Cache:
    """One entry in Redis: each step as its script does it."""

    def __init__(self, client: Redis, known: Known = KNOWN) -> None:
        self.client = client
        self.known = known
        self.epoch_key = f"test:{uuid.uuid4().hex}"
        self.key = f"{self.epoch_key}:entry"
        client.set(self.epoch_key, known.epoch, px=FAR)

    def run(self, script: scripts.Script, arguments: Sequence[Any], *more_keys: str) -> Any:
        given = (self.epoch_key, self.key, *more_keys)
        try:
            return self.client.evalsha(script.sha, len(given), *given, *arguments)
        except NoScriptError:
            return self.client.eval(script.source, len(given), *given, *arguments)

    def read(self, asked: Reading, *more_keys: str) -> Any:
        """What the script replies, with which a plain look must agree where it tells anything."""
        found = self.client.mget(self.epoch_key, self.key, *more_keys)
        known = replies.known_replies(found, self.known.epoch, asked.since)
        arguments = scripts.read_arguments(self.known, **reading(asked))
        told = replies.read_replies(self.run(scripts.READ, arguments, *more_keys))
        assert known is None or asked.mode == "refresh" or known == told
        return told

    def read_window(self, asked: Reading) -> Any:
        arguments = scripts.read_arguments(self.known, **reading(asked))
        return replies.read_window_reply(self.run(scripts.READ_WINDOW, arguments))

    def fill(self, token: str, *fillings: Filling, more_keys: Sequence[str] = ()) -> Any:
        arguments = scripts.fill_arguments(self.known, token, fillings)
        return replies.fill_replies(self.run(scripts.FILL, arguments, *more_keys))

    def fill_window(self, token: str, filling: WindowFilling) -> Any:
        arguments = scripts.fill_window_arguments(self.known, token, filling)
        return replies.fill_window_reply(self.run(scripts.FILL_WINDOW, arguments))

    def intend(self, token: str, life: int = FAR, keep: int = FAR, more: Sequence[str] = ()) -> Any:
        arguments = scripts.intend_arguments(self.known, token, life=life, keep=keep)
        return replies.intend_replies(self.run(scripts.INTEND, arguments, *more))

    def publish(
        self,
        token: str,
        *actions: scripts.Action,
        keep: int = FAR,
        more: Sequence[str] = (),
    ) -> Any:
        arguments = scripts.publish_arguments(self.known, token, keep, actions)
        return replies.publish_replies(self.run(scripts.PUBLISH, arguments, *more))

    def fields(self) -> dict[bytes, bytes]:
        """Those of the entry, be it a hash or packed."""
        if self.client.type(self.key) != b"string":
            return self.client.hgetall(self.key)
        version, filled_at, sequence, state, payload = self.client.get(self.key).split(b":", 4)
        known = {b"v": version, b"f": filled_at, b"s": state, b"d": payload}
        return {**known, b"n": sequence} if sequence else known

    def entry(self) -> Entry:
        """What Redis holds, as far as it does not depend on the time."""
        fields = self.fields()
        seconds, micros = self.client.time()
        now = seconds * 1_000_000 + micros
        return Entry(
            floor=int(fields.get(b"v", 0)),
            state=fields.get(b"s", b"").decode(),
            payload=fields.get(b"d", b""),
            lease=fields.get(b"l", b"").decode(),
            sequence=int(fields.get(b"n", 0)),
            intents=frozenset(
                (token, int(int(expiry) > now))
                for token, _, expiry in (
                    intent.partition("=") for intent in fields.get(b"i", b"").decode().split()
                )
            ),
            complete=fields.get(b"c") == b"1",
            bound=fields.get(b"b", b""),
            members=frozenset(unpacked(fields[b"m"]) if b"m" in fields else ()),
            expires=minutes(self.client.pttl(self.key)),
        )


def reading(asked: Reading) -> dict[str, Any]:
    return {
        "mode": asked.mode,
        "token": asked.token,
        "lease": asked.lease,
        "keep": asked.keep,
        "since": asked.since,
    }


def minutes(milliseconds: int) -> int:
    """Rounded, so that the few seconds a test lasts do not count; 0 where there is no key."""
    return 0 if milliseconds == -2 else round(milliseconds / 60_000)


def filled(cache: Cache, payload: bytes | None, version: int = 1) -> None:
    assert cache.read(Reading("filler")) == [LEASED]
    assert cache.fill("filler", Filling(version, payload, FAR)) == [Filled.KEPT]


def filled_and_leased(cache: Cache, payload: bytes | None) -> None:
    """Known, and a hash: as a reader leaves it who was to read it anew, and died."""
    filled(cache, payload)
    assert cache.read(Reading("reader", "refresh", lease=OVER)) == [LEASED]


WINDOW = WindowFilling(1, True, b"", FAR, [("a", b"1"), ("b", b"2")])


def listed(cache: Cache) -> None:
    assert cache.read_window(Reading("filler")) == LEASED
    assert cache.fill_window("filler", WINDOW) is Filled.KEPT
