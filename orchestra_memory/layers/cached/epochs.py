"""Which epoch each namespace is in, and which run of the server these are from."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Final, cast

from ...operations import Revision
from .failures import Refusal
from .scripts import Known

if TYPE_CHECKING:
    from .keys import Keyspace
    from .wire import Wire

MOST_KNOWN: Final = 10_000
"""Namespaces whose epoch is remembered; that of others is asked for again."""
KEPT: Final = 30 * 24 * 3600
"""Seconds a replaced epoch is kept; once it is gone the namespace begins another."""
PROBE: Final = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)
local time, about = redis.call('TIME'), redis.pcall('INFO', 'server')
return {time[1], time[2], type(about) == 'string' and string.match(about, 'run_id:(%w+)') or ''}
"""
"""Writes to a key that nobody reads, as a replica or a full Redis would answer anything else; tells
the time, and which run of the server this is. As a script it runs where the namespace's keys are,
also on Redis Cluster."""


class Epochs:
    """Epochs as they were last heard of.

    A server that was restarted from its disk, or promoted, may lack the last writes, so no epoch
    of another run is used. A run may have ended wherever a connection had to be made anew.
    """

    def __init__(self, wire: Wire, keyspace: Keyspace) -> None:
        self.run: str | None = None
        """The id of the server's run; empty where the user may not know it, ``None`` in doubt."""
        self._wire = wire
        self._keyspace = keyspace
        self._known: dict[str | None, str] = {}
        self._connections = 0
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()

    def token(self) -> str:
        """A text that no process uses twice."""
        return f"{self._process}{next(self._numbers):x}"

    def of(self, namespace: str | None) -> str | None:
        """The namespace's epoch, if it was heard of."""
        return self._known.get(namespace)

    def known(self, namespace: str | None) -> Known:
        """The namespace's epoch, or one that it does not have, and one to propose."""
        proposal = self._proposal()
        return Known(self._known.get(namespace, proposal), proposal)

    def in_doubt(self) -> bool:
        """Whether connections were made since the run was last looked at."""
        return self._connections != self._wire.made()

    async def follow(self, namespace: str | None, epoch: str) -> None:
        """The namespace is in this epoch now."""
        if namespace in self._known:
            await self.probe()  # who replaced the one before may know of a restart
        self._adopt(namespace, epoch)

    async def replace(self, namespace: str | None) -> None:
        """Begin an epoch, so that no process uses an entry of the namespace again."""
        epoch = self._proposal()
        await self._wire.run("SET", self._keyspace.epoch_key(namespace), epoch, "EX", KEPT)
        self._adopt(namespace, epoch)

    async def probe(self) -> Revision:
        """The time of Redis in microseconds, if it takes writes; learns the run."""
        connections = self._wire.made()
        key = self._keyspace.epoch_key(None) + ":probe"
        reply = await self._wire.run("EVAL", PROBE, 1, key, self.token())
        try:
            seconds, microseconds, run = cast("list[bytes]", reply)
            now = int(seconds) * 1_000_000 + int(microseconds)
            self._learn(run.decode())
        except (AttributeError, TypeError, ValueError) as error:
            raise Refusal("reply") from error
        self._connections = connections
        return now

    def _learn(self, run: str) -> None:
        if run != self.run:
            self._known.clear()
        self.run = run

    def _proposal(self) -> str:
        return f"{self.run}@{self.token()}" if self.run else self.token()

    def _adopt(self, namespace: str | None, epoch: str) -> None:
        if len(self._known) >= MOST_KNOWN and namespace not in self._known:
            del self._known[next(iter(self._known))]
        self._known[namespace] = epoch
