"""Processes that share a cache, and whose steps fall as a test decides."""

import asyncio
import re
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from redis.asyncio import Redis

from orchestra_memory import (
    CacheUnavailable,
    Conflict,
    Source,
    Unavailable,
)
from orchestra_memory.layers.cached.scripts import FILL, FILL_WINDOW, PUBLISH

from .calls import KEYS, OWNERS, Asking, Find, Read, Total, Write, askings, writes
from .processes import Process, World
from .stepped import (
    CALL,
    SCRIPTS,
    Fate,
    Held,
    Line,
    SteppedLoop,
    Writing,
)

T = TypeVar("T")

MOST_CALLS = 5
AGES = 3.0
"""Seconds in which a breaker probes and closes again."""
READ_FAILURES = (Unavailable,)
WRITE_FAILURES = (Unavailable, CacheUnavailable, Conflict)


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
        # `Runner.run` would set the handler of Ctrl-C anew each time, which is much of the time.
        return self.runner.get_loop().run_until_complete(coroutine)

    @initialize(
        mode=st.sampled_from(("strict", "available")),
        window=st.sampled_from((1, 2, 100)),
        count=st.integers(2, 3),
        warm=st.sampled_from(("ann", "ann", "bob", None)),
    )
    def start(self, mode: str, window: int, count: int, warm: str | None) -> None:
        loop = self.runner.get_loop()
        assert isinstance(loop, SteppedLoop)
        self.world = World(loop, self.redis, mode, window)
        self.run(self.load_scripts())
        self.processes = [Process(self.world, number) for number in range(count)]
        for process in self.processes:
            self.run(process.start())
        self.settle()
        if warm is not None:
            self.warm(warm)

    def warm(self, owner: str) -> None:
        """Begin with records that are there, and in the cache; the last one is the owner's."""
        first = Write([("a", "put", "ann"), ("b", "put", "ann"), ("c", "put", owner)])
        for call in (first, Read(KEYS), *map(Find, OWNERS)):
            self.go_on(self.begin(0, call))

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
        self.run(self.expire("i", "lx"))

    def is_healed(self) -> bool:
        return not self.calls and all(
            process.memory.status().state == "closed" and not process.memory.status().pending
            for process in self.processes
        )

    def check_the_end(self) -> None:
        """What is there is found again, and from now on in the cache."""
        firsts = [Find(owner, limit=1) for owner in OWNERS]
        for process in self.processes:
            for asking in (Read(KEYS), *firsts, *map(Find, OWNERS), *map(Total, OWNERS)) * 2:
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
        self.go_on(self.begin(number, call))

    @rule(
        reader=st.integers(0, 2),
        writer=st.integers(0, 2),
        asking=askings,
        write=writes,
        forgotten=st.sampled_from((None, None, "key", "key", "all", "intents")),
        pick=st.integers(0, 9),
    )
    def overtake(
        self,
        reader: int,
        writer: int,
        asking: Asking,
        write: Write,
        forgotten: str | None,
        pick: int,
    ) -> None:
        """A writer comes and goes while a reader is about to fill, and perhaps Redis forgets."""
        reading = self.begin(reader, asking)
        self.go_on(reading, until={FILL.name, FILL_WINDOW.name})
        self.go_on(self.begin(writer, write))
        if forgotten is not None:
            self.lose(forgotten, pick)
        self.go_on(reading)
        self.go_on(self.begin(reader + 1, asking))

    @rule(
        writer=st.integers(0, 2),
        reader=st.integers(0, 2),
        write=writes,
        owner=st.sampled_from(OWNERS),
    )
    def list_first(self, writer: int, reader: int, write: Write, owner: str) -> None:
        """A write, and then who is first in a list."""
        self.go_on(self.begin(writer, write))
        self.go_on(self.begin(reader, Find(owner, limit=1)))

    @rule(
        writer=st.integers(0, 2),
        reader=st.integers(0, 2),
        write=writes,
        asking=askings,
        dies=st.booleans(),
    )
    def leave_untold(
        self, writer: int, reader: int, write: Write, asking: Asking, dies: bool
    ) -> None:
        """A write is committed, the cache is not told of it, and somebody reads."""
        writing = self.begin(writer, write)
        self.go_on(writing, until={PUBLISH.name})
        if dies:
            self.die(writer)
        elif writing in self.calls:
            owner, _ = self.calls[writing]
            for step in [step for step in self.world.gates.held if step.owner is owner]:
                self.let(step, Fate.LOST)
        self.go_on(self.begin(reader, asking))

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
    def crash(self, number: int) -> None:
        self.die(number)

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

    @rule(
        what=st.sampled_from(("key", "key", "key", "all", "intents", "leases")),
        pick=st.integers(0, 9),
    )
    def forget(self, what: str, pick: int) -> None:
        self.lose(what, pick)

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

    def go_on(self, task: asyncio.Task[None] | None, until: Collection[str] = ()) -> None:
        """Let a call take its steps, while all others wait."""
        while task in self.calls:
            writing, _ = self.calls[task]
            own = [step for step in self.world.gates.held if step.owner is writing]
            if not own or own[0].name in until:
                return
            self.let(own[0], Fate.DONE)

    def let(self, step: Held, fate: Fate) -> None:
        fate = Fate.DONE if step.answer and fate is Fate.HELD else fate
        note(f"{step}: {fate.value}")
        self.world.gates.let(step, fate)
        self.settle()

    def let_go(self, line: Line) -> None:
        while steps := [step for step in self.world.gates.held if step.line is line]:
            self.world.gates.let(steps[0], Fate.LOST)
            self.settle()

    def lose(self, what: str, pick: int) -> None:
        """What Redis forgets: a key, all of them, or that time is not over yet."""
        keys = list(self.world.keys)
        match what:
            case "key" if keys:
                self.evict([keys[pick % len(keys)]])
            case "all":
                self.evict(keys)
            case "leases":
                self.run(self.expire("lx"))
            case "intents":
                self.run(self.expire("i"))
                for writing, _ in self.calls.values():
                    writing.breached |= not writing.committed

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

    async def expire(self, *names: str) -> None:
        """Let the times in these fields be over."""
        self.world.loop.outside += 1
        for key in self.world.keys:
            if await self.redis.type(key) == b"hash":
                found = await self.redis.hmget(key, names)
                over = {
                    name: re.sub(rb"\d+(?= |$)", b"1", text)
                    for name, text in zip(names, found, strict=True)
                    if text
                }
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
