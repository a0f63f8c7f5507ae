"""A cache whose steps are held at gates, in a time that stands still, so that a test decides."""

import asyncio
import selectors
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection

from orchestra_memory import (
    Health,
    LocalMemory,
    MemoryManager,
    Options,
    Page,
    Patch,
    Query,
    Receipt,
    Ref,
    Snapshot,
    Totals,
    Unavailable,
)
from orchestra_memory.layers.cached.scripts import (
    FILL,
    FILL_WINDOW,
    INTEND,
    PUBLISH,
    READ,
    READ_WINDOW,
)
from orchestra_memory.operations import DEFAULT, Measure, Op

SCRIPTS = (READ, READ_WINDOW, FILL, FILL_WINDOW, INTEND, PUBLISH)
NAMES = {name: script.name for script in SCRIPTS for name in (script.sha, script.source)}
EVALUATE = {"EVAL", "EVALSHA"}
LOOK = "MGET"
"""What is asked before a script is."""
SHORT = 0.1
"""Timers that are due within so many seconds belong to the present step."""
STUCK = 20.0
"""Seconds after which a server that does not answer fails the test."""


class SteppedLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything happens; when nothing does, it is the next timer's.

    ``quiet()`` ends when all tasks wait for each other, for a gate, or for a timer that is far off.
    Whoever waits for what is outside of the process says so by counting up ``outside``.
    """

    def __init__(self) -> None:
        super().__init__(_Selector(self._waiting))
        self.outside = 0
        self._now = 0.0
        self._quiet: asyncio.Future[None] | None = None

    def time(self) -> float:
        return self._now

    async def quiet(self) -> None:
        self._quiet = self.create_future()
        await self._quiet

    def _waiting(self, timeout: float | None) -> float | None:
        """How long to wait in real time for what is to come."""
        if timeout is not None and timeout <= 0:
            return timeout
        if self.outside:
            return STUCK
        if self._quiet is not None and (timeout is None or timeout > SHORT):
            self._quiet.set_result(None)
            self._quiet = None
            return 0
        self._now += timeout or 0
        return 0 if timeout else STUCK


class _Selector(selectors.DefaultSelector):
    def __init__(self, waiting: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._waiting = waiting

    def select(self, timeout: float | None = None) -> list[Any]:
        seconds = self._waiting(timeout)
        ready = super().select(seconds)
        if seconds == STUCK and not ready:
            raise RuntimeError("nothing happens any more: a task waits for what never comes")
        return ready


class Fate(Enum):
    """What becomes of a step that is let through."""

    DONE = "done"
    HELD = "done, and its answer is held in turn"
    LOST = "lost"


@dataclass(eq=False)
class Held:
    """A step that waits for its fate; an ``answer`` is that of a step that is done already."""

    name: str
    line: "Line"
    owner: Any
    answer: bool
    fate: asyncio.Future[Fate]

    def __repr__(self) -> str:
        return f"{self.owner or self.line}: {'answer of ' * self.answer}{self.name}"


class Gates:
    """Where steps wait, in the order in which they came."""

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.are_open = False

    async def pass_(self, name: str, line: "Line", *, answer: bool = False) -> Fate:
        if self.are_open:
            return Fate.DONE
        fate = asyncio.get_running_loop().create_future()
        step = Held(name, line, CALL.get(), answer, fate)
        self.held.append(step)
        try:
            return await step.fate
        finally:
            if step in self.held:
                self.held.remove(step)

    def let(self, step: Held, fate: Fate) -> None:
        self.held.remove(step)
        step.fate.set_result(fate)

    def open(self) -> None:
        self.are_open = True
        while self.held:
            self.let(self.held[0], Fate.DONE)


@dataclass(eq=False)
class Writing:
    """A call, and the fences it raised if it writes.

    ``fenced`` tells at the time of the commit whether readers were kept out all the while.
    """

    name: str
    failures: tuple[type[BaseException], ...] = ()
    """What it may fail with."""
    fences: set[str] = field(default_factory=set)
    breached: bool = False
    committed: bool = False

    @property
    def fenced(self) -> bool:
        return bool(self.fences) and not self.breached

    def __repr__(self) -> str:
        return self.name


CALL: ContextVar[Writing | None] = ContextVar("call", default=None)


@dataclass(eq=False)
class Line:
    """The connection of one process with the others; what is cut off gets no answer."""

    process: int
    cut: bool = False
    dead: bool = False

    def __repr__(self) -> str:
        return f"process {self.process}"


class GatedRedis:
    """A client of Redis whose scripts wait at the gates. Probes pass, where there is a way."""

    def __init__(
        self, redis: Redis, loop: SteppedLoop, gates: Gates, line: Line, keys: dict[str, None]
    ) -> None:
        self._redis = redis
        self._loop = loop
        self._gates = gates
        self._line = line
        self._keys = keys

    async def execute_command(self, *args: Any) -> Any:
        script = LOOK if args[0] == LOOK else NAMES.get(args[1]) if args[0] in EVALUATE else None
        fate = Fate.DONE
        if script is not None:
            self._check()
            fate = await self._gates.pass_(script, self._line)
        self._check(fate)
        reply = await self._executed(args, script)
        if fate is Fate.HELD:
            fate = await self._gates.pass_(str(script), self._line, answer=True)
        self._check(fate)
        return reply

    def _check(self, fate: Fate = Fate.DONE) -> None:
        if self._line.cut or self._line.dead or fate is Fate.LOST:
            raise LostConnection("lost")

    async def _executed(self, args: Sequence[Any], script: str | None) -> Any:
        self._loop.outside += 1
        try:
            reply = await self._redis.execute_command(*args)
        finally:
            self._loop.outside -= 1
        if script not in {None, LOOK}:
            keys = [str(key) for key in args[3 : 3 + args[2]]]
            self._keys.update(dict.fromkeys(keys))
            call = CALL.get()
            if script == INTEND.name and reply[0] == b"K" and call is not None:
                call.fences.update(keys)
        return reply


@dataclass(eq=False)
class Version:
    """What a record was from a commit on; ``None`` where there was none.

    ``counts`` is true when no later read may return anything older. One that is ``partial`` was
    made by a patch, which tells lists no more than the ``base`` did on which it was made.
    """

    revision: int
    state: dict[str, Any] | None
    fenced: bool
    base: "Version | None" = None
    partial: bool = False
    counts: bool = False

    def __repr__(self) -> str:
        return f"<{self.revision} {self.state} {'fenced' * self.fenced}{' counts' * self.counts}>"

    def counts_for(self, own: Collection["Version"]) -> bool:
        """Whether it counts for a process to which these were acknowledged."""
        return self.counts or self in own

    def is_listed_for(self, own: Collection["Version"]) -> bool:
        """The same in lists."""
        based = not self.partial or self.base is None or self.base.is_listed_for(own)
        return based and self.counts_for(own)


class History:
    """All versions of all records, as they were committed."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """Held while a commit is made and added, so that nobody sees it in between."""
        self._versions: dict[str, list[Version]] = {}

    def of(self, key: str) -> list[Version]:
        return self._versions.setdefault(key, [Version(0, None, True, counts=True)])

    def add(self, key: str, version: Version) -> None:
        base = self.of(key)[-1]
        if base.revision < version.revision:
            version.base = base
            version.partial = version.partial and base.state is not None
            self.of(key).append(version)

    def at(self, key: str, revision: int | None) -> Version:
        """The version that a commit made, or left as it was."""
        return next(v for v in reversed(self.of(key)) if v.revision <= (revision or 0))


class GatedMemory(MemoryManager):
    """A process' way to the store: each call waits at the gates; commits go into the history."""

    def __init__(self, store: LocalMemory, gates: Gates, line: Line, history: History) -> None:
        self._store = store
        self._gates = gates
        self._line = line
        self._history = history

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        return await self._asked("read below", lambda: self._store.read(refs, options=options))

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        return await self._asked("find below", lambda: self._store.find(query, options=options))

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._asked(
            "aggregate below", lambda: self._store.aggregate(query, measures, options=options)
        )

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        async def committed() -> Receipt:
            receipt = await self._store.write(ops, options=options)
            call = CALL.get()
            assert call is not None
            call.committed = True
            for op in ops:
                (stored,) = await self._store.read([op.ref])
                state = None if stored is None else stored.record.model_dump()
                revision = (receipt.version if stored is None else stored.revision) or 0
                partial = isinstance(op, Patch)
                version = Version(revision, state, call.fenced, partial=partial)
                self._history.add(op.ref.key, version)
            return receipt

        return await self._asked("commit", committed)

    async def health(self) -> Health:
        return await self._store.health()

    async def _asked(self, name: str, ask: Callable[[], Any]) -> Any:
        fate = await self._gates.pass_(name, self._line)
        self._check(fate, ambiguous=False)
        async with self._history.lock:
            answer = await ask()
        if fate is Fate.HELD:
            fate = await self._gates.pass_(name, self._line, answer=True)
        self._check(fate, ambiguous=True)
        return answer

    def _check(self, fate: Fate, *, ambiguous: bool) -> None:
        if self._line.dead or fate is Fate.LOST:
            raise Unavailable("lost", ambiguous=ambiguous)
