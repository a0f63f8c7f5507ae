"""However the steps of several processes fall: no answer is older than what was acknowledged.

`Judge` knows what each record has been. A version counts from when its write was acknowledged with
the cache told, or any reader was shown it and its writer had fenced the record until the commit. A
write that was acknowledged without either (`cache_invalidation="pending"`) counts in its own
process at once, and in the others as soon as its process has told Redis.

A patch does not say where its record is listed: its lists are those of the record as it was before,
so that one on an untold version is not listed elsewhere until that is told.
"""

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from orchestra_memory import (
    CachedMemory,
    CachePolicy,
    CacheUnavailable,
    Conflict,
    LocalMemory,
    Receipt,
    Source,
    Unavailable,
)
from orchestra_memory.layers.cached import memory as memory_module
from orchestra_memory.layers.cached import windows
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.testing.redis_server import RedisServer

from .calls import KEYS, OWNERS, Asking, Find, Item, Judge, Read, Total, Write, askings, writes
from .stepped import (
    CALL,
    SCRIPTS,
    Fate,
    GatedMemory,
    GatedRedis,
    Gates,
    Held,
    History,
    Line,
    SteppedLoop,
    Version,
    Writing,
)

T = TypeVar("T")

MOST_CALLS = 5
AGES = 3.0
"""Seconds in which a breaker probes and closes again."""
READ_FAILURES = (Unavailable,)
WRITE_FAILURES = (Unavailable, CacheUnavailable, Conflict)


class World:
    """What the processes of one example share."""

    def __init__(self, loop: SteppedLoop, redis: Redis, mode: Any, window: int) -> None:
        self.loop = loop
        self.redis = redis
        self.mode = mode
        self.policies = {Item: CachePolicy(window=window)}
        self.name = uuid.uuid4().hex
        self.store = LocalMemory()
        self.history = History()
        self.gates = Gates()
        self.keys: dict[str, None] = {}
        """All keys in Redis that were used so far."""


class Process:
    """One that uses the cache, until it stops or dies."""

    def __init__(self, world: World, number: int) -> None:
        self.line = Line(number)
        self.own: set[Version] = set()
        """What it has had acknowledged."""
        self.untold: list[Version] = []
        """What it has written, and others need not see yet."""
        self._world = world
        self._ending = asyncio.Event()
        self._ready: asyncio.Future[CachedMemory] = world.loop.create_future()
        self._task: asyncio.Task[None] | None = None

    @property
    def memory(self) -> CachedMemory:
        return self._ready.result()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._live())
        await self._ready

    async def stop(self) -> None:
        self._ending.set()
        if self._task is not None:
            await self._task

    async def _live(self) -> None:
        world = self._world
        async with CachedMemory(
            GatedMemory(world.store, world.gates, self.line, world.history),
            GatedRedis(world.redis, world.loop, world.gates, self.line, world.keys),
            store=world.name,
            mode=world.mode,
            timeout=1_000,  # of a time that stands still
            policies=world.policies,
        ) as memory:
            self._ready.set_result(memory)
            await self._ending.wait()

    def judge(self) -> Judge:
        """What an answer may be to a call that begins now."""
        return Judge.now(self._world.history, self.own)

    def acknowledged(self, write: Write, receipt: Receipt) -> None:
        for key, _, _ in write.steps:
            version = self._world.history.at(key, receipt.version)
            self.own.add(version)
            if receipt.cache_invalidation == "done" or version.fenced:
                version.counts = True
            else:
                self.untold.append(version)

    def tell(self) -> None:
        """Let count what this process has told Redis by now."""
        if self.untold and not self.memory.status().pending:
            for version in self.untold:
                version.counts = True
            self.untold = []


class CachedMachine(RuleBasedStateMachine):
    hits = 0
    """Answers that came from the cache, of all examples."""

    def __init__(self, runner: asyncio.Runner, redis: Redis) -> None:
        super().__init__()
        self.runner = runner
        self.redis = redis
        self.serial = 0
        self.calls: dict[asyncio.Task[None], tuple[Writing, Process]] = {}
        self.wrong: list[BaseException] = []
        self.processes: list[Process] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @initialize(
        mode=st.sampled_from(("strict", "available")),
        window=st.sampled_from((1, 2, 100)),
        count=st.integers(2, 3),
        is_warm=st.sampled_from((True, True, True, False)),
    )
    def start(self, mode: str, window: int, count: int, is_warm: bool) -> None:
        loop = self.runner.get_loop()
        assert isinstance(loop, SteppedLoop)
        self.world = World(loop, self.redis, mode, window)
        self.run(self.load_scripts())
        self.processes = [Process(self.world, number) for number in range(count)]
        for process in self.processes:
            self.run(process.start())
        self.settle()
        if is_warm:
            self.warm()

    def warm(self) -> None:
        """Begin with records that are there, and in the cache."""
        first = Write([("a", "put", "ann"), ("b", "put", "ann"), ("c", "put", "bob")])
        for call in (first, Read(KEYS), *map(Find, OWNERS)):
            self.call_while_others_wait(0, call)

    async def load_scripts(self) -> None:
        self.world.loop.outside += 1
        for script in SCRIPTS:
            await self.redis.execute_command("SCRIPT LOAD", script.source)
        self.world.loop.outside -= 1

    def teardown(self) -> None:
        if not self.processes:
            return
        is_sound, self.wrong = not self.wrong, []
        try:
            self.heal()
            if is_sound:
                self.check_the_end()
        finally:
            for process in self.processes:
                self.run(process.stop())
            self.run(self.delete(list(self.world.keys)))

    def heal(self) -> None:
        """Let all calls end, and all processes tell what they have to."""
        self.world.gates.open()
        for process in self.processes:
            process.line.cut = False
        self.settle()
        self.pass_time(until=self.is_healed)
        self.run(self.expire("i:", "lx"))

    def is_healed(self) -> bool:
        return not self.calls and all(
            process.memory.status().state == "closed" and not process.memory.status().pending
            for process in self.processes
        )

    def check_the_end(self) -> None:
        """What is there is found again, and from now on in the cache."""
        for process in self.processes:
            for asking in (Read(KEYS), *map(Find, OWNERS), *map(Total, OWNERS)) * 2:
                judge = process.judge()
                asking.judged(self.run(asking.ask(process.memory)), judge)
        for process in self.processes:
            again = self.run(Read(KEYS).ask(process.memory))
            assert {stored.source for stored in again if stored} <= {Source.CACHE}

    # What processes do

    @rule(number=st.integers(0, 2), asking=askings)
    def ask(self, number: int, asking: Asking) -> None:
        self.begin(number, asking)

    @rule(number=st.integers(0, 2), write=writes)
    def write(self, number: int, write: Write) -> None:
        self.begin(number, write)

    @rule(number=st.integers(0, 2), call=st.one_of(askings, askings, writes))
    def call(self, number: int, call: Asking | Write) -> None:
        self.call_while_others_wait(number, call)

    def call_while_others_wait(self, number: int, call: Asking | Write) -> None:
        task = self.begin(number, call)
        while task is not None and task in self.calls:
            owner, _ = self.calls[task]
            own = [step for step in self.world.gates.held if step.owner is owner]
            if not own:
                return
            self.let(own[0], Fate.DONE)

    @precondition(lambda self: self.world.gates.held)
    @rule(
        picks=st.lists(
            st.tuples(
                st.integers(0, 5),
                st.sampled_from((*[Fate.DONE] * 6, Fate.HELD, Fate.HELD, Fate.LOST)),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def take_steps(self, picks: list[tuple[int, Fate]]) -> None:
        for pick, fate in picks:
            held = self.world.gates.held
            if held:
                self.let(held[pick % len(held)], fate)

    @precondition(lambda self: self.calls)
    @rule(pick=st.integers(0, 5))
    def cancel(self, pick: int) -> None:
        task = list(self.calls)[pick % len(self.calls)]
        note(f"cancelled: {self.calls[task][0]}")
        task.cancel()
        self.settle()

    # What goes wrong

    @rule(number=st.integers(0, 2))
    def cut_off_or_mend(self, number: int) -> None:
        line = self.process(number).line
        line.cut = not line.cut
        note(f"{line} {'cut off' if line.cut else 'mended'}")

    @rule(number=st.integers(0, 2))
    def die(self, number: int) -> None:
        dead = self.process(number)
        note(f"{dead.line} died")
        dead.line.dead = True
        for task, (_, process) in list(self.calls.items()):
            if process is dead:
                task.cancel()
        self.settle()
        self.let_go(dead.line)
        self.run(dead.stop())
        self.let_go(dead.line)
        born = Process(self.world, dead.line.process)
        self.processes[self.processes.index(dead)] = born
        self.run(born.start())
        self.settle()

    @precondition(lambda self: self.world.keys)
    @rule(
        what=st.sampled_from(("key", "key", "key", "all", "intents", "leases")),
        pick=st.integers(0, 9),
    )
    def forget(self, what: str, pick: int) -> None:
        keys = list(self.world.keys)
        match what:
            case "key":
                self.evict([keys[pick % len(keys)]])
            case "all":
                self.evict(keys)
            case "leases":
                self.run(self.expire("lx"))
            case "intents":
                self.run(self.expire("i:"))
                for writing, _ in self.calls.values():
                    writing.breached |= not writing.committed

    @rule()
    def let_time_pass(self) -> None:
        self.pass_time()

    # How it is done

    def process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    def begin(self, number: int, call: Asking | Write) -> asyncio.Task[None] | None:
        if len(self.calls) >= MOST_CALLS:
            return None
        self.serial += 10
        process = self.process(number)
        failures = WRITE_FAILURES if isinstance(call, Write) else READ_FAILURES
        writing = Writing(f"{process.line}, {self.serial}", failures)
        note(f"{writing}: {call}")
        task = self.run(self.started(process, writing, call, self.serial))
        self.settle()
        return task

    async def started(
        self, process: Process, writing: Writing, call: Asking | Write, serial: int
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(self.called(process, writing, call, serial))
        self.calls[task] = writing, process
        task.add_done_callback(self.ended)
        return task

    async def called(
        self, process: Process, writing: Writing, call: Asking | Write, serial: int
    ) -> None:
        CALL.set(writing)
        if isinstance(call, Write):
            receipt = await call.ask(process.memory, serial)
            assert writing.fences or self.world.mode == "available"
            process.acknowledged(call, receipt)
            note(f"{writing}: {receipt.version} {receipt.cache_invalidation}")
            return
        judge = process.judge()
        seen = call.judged(await call.ask(process.memory), judge)
        note(f"{writing}: saw {seen.versions}")
        CachedMachine.hits += seen.cached
        for version in seen.versions:
            version.counts |= version.fenced

    def ended(self, task: asyncio.Task[None]) -> None:
        writing, process = self.calls.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is None or process.line.dead:
            return
        if isinstance(error, writing.failures):
            note(f"{writing}: {error!r}")
        else:
            self.wrong.append(error)

    def let(self, step: Held, fate: Fate) -> None:
        fate = Fate.DONE if step.answer and fate is Fate.HELD else fate
        note(f"{step}: {fate.value}")
        self.world.gates.let(step, fate)
        self.settle()

    def let_go(self, line: Line) -> None:
        while steps := [step for step in self.world.gates.held if step.line is line]:
            self.world.gates.let(steps[0], Fate.LOST)
            self.settle()

    def evict(self, keys: list[str]) -> None:
        note(f"evicted: {keys}")
        self.run(self.delete(keys))
        for writing, _ in self.calls.values():
            writing.breached |= not writing.committed and not writing.fences.isdisjoint(keys)

    async def delete(self, keys: list[str]) -> None:
        self.world.loop.outside += 1
        if keys:
            await self.redis.delete(*keys)
        self.world.loop.outside -= 1

    async def expire(self, *prefixes: str) -> None:
        """Let times be over that begin so in a name."""
        self.world.loop.outside += 1
        for key in self.world.keys:
            if not key.endswith(":epoch"):
                names = [name.decode() for name in await self.redis.hkeys(key)]
                over = {name: "1" for name in names if name.startswith(prefixes)}
                if over:
                    await self.redis.hset(key, mapping=over)
        self.world.loop.outside -= 1

    def pass_time(self, until: Any = lambda: True) -> None:
        for _ in range(50):
            self.run(asyncio.sleep(AGES))
            self.settle()
            if until():
                return
        raise AssertionError("it does not heal")

    def settle(self) -> None:
        self.run(self.world.loop.quiet())
        for process in self.processes:
            process.tell()
        self.raise_wrong()

    def raise_wrong(self) -> None:
        if self.wrong:
            raise self.wrong[0]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        yield runner


@pytest.fixture
def redis(runner: asyncio.Runner, redis_server: RedisServer) -> Iterator[Redis]:
    stack, loop = AsyncExitStack(), runner.get_loop()
    assert isinstance(loop, SteppedLoop)
    yield runner.run(stack.enter_async_context(connect(redis_server.url)))
    loop.outside += 1
    runner.run(stack.aclose())


def test_no_schedule_of_steps_shows_what_is_older_than_acknowledged(
    runner: asyncio.Runner, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = partial(Link, clock=runner.get_loop().time, chance=lambda: 0.5)
    monkeypatch.setattr(memory_module, "Link", timed)
    # With so few records a page would always look at all of them.
    monkeypatch.setattr(windows, "_SPARE", 0)
    CachedMachine.hits = 0
    profile = settings()
    run_state_machine_as_test(
        lambda: CachedMachine(runner, redis),
        settings=settings(
            max_examples=3 * profile.max_examples,
            stateful_step_count=2 * profile.stateful_step_count,
        ),
    )
    assert CachedMachine.hits > profile.max_examples
