"""A memory and `LocalMemory` as its model: whatever is done to both, they answer alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestra_memory import (
    Average,
    Conflict,
    Count,
    LocalMemory,
    MemoryManager,
    OrchestraMemoryError,
    Put,
    Query,
    Ref,
    Sum,
)
from orchestra_memory.testing.contract.models import Lease, Note
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import utc_now

from .steps import KEYS, NOW, Step, days_left, keys, lease, namespaces, queries, steps

Clock = Callable[[], datetime]
Opened = AbstractAsyncContextManager[MemoryManager]


class AgreesWithLocal(RuleBasedStateMachine):
    """``opened`` gives an empty memory that tells the time by the given clock, if it can."""

    def __init__(
        self, runner: asyncio.Runner, opened: Callable[[Clock], Opened], *, clocked: bool = True
    ) -> None:
        super().__init__()
        self.runner = runner
        self.now = NOW if clocked else utc_now()
        self.clocked = clocked
        self.serial = 0
        self.exits = AsyncExitStack()
        self.model = LocalMemory(clock=lambda: self.now)
        self.subject = self.run(self.exits.enter_async_context(opened(lambda: self.now)))
        self.revisions: dict[int, int] = {}
        """The subject's revision for each of the model's."""

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await awaitable

        return self.runner.run(awaited())

    def teardown(self) -> None:
        self.run(self.exits.aclose())

    def both(self, ask: Callable[[MemoryManager], Awaitable[Any]]) -> tuple[Any, Any]:
        """The two answers, which must be alike if they are errors."""
        ours, theirs = (self.run(outcome(ask(memory))) for memory in (self.model, self.subject))
        failed_alike(ours, theirs)
        return ours, theirs

    def known(self, model_revision: int | None, subject_revision: int | None) -> None:
        if model_revision is not None and subject_revision is not None:
            before = self.revisions.setdefault(model_revision, subject_revision)
            assert before == subject_revision

    def write(self, wanted: Sequence[Step]) -> None:
        first = self.serial + 1
        self.serial += len(wanted)
        model_revisions = list(self.revisions)

        def operations(of: Callable[[int], int]) -> list[Any]:
            return [
                step.operation(first + i, self.expected(step.expect, model_revisions, of))
                for i, step in enumerate(wanted)
            ]

        ours = self.run(outcome(self.model.write(operations(lambda known: known))))
        theirs = self.run(outcome(self.subject.write(operations(self.revisions.__getitem__))))
        if failed_alike(ours, theirs):
            return
        for step, model_revision, revision in zip(
            wanted, ours.revisions, theirs.revisions, strict=True
        ):
            assert (revision is None) == (step.kind == "delete") or model_revision is None
            self.known(model_revision, revision)
        self.known(ours.version, theirs.version)

    @staticmethod
    def expected(expect: Any, known: list[int], of: Callable[[int], int]) -> Any:
        if not isinstance(expect, int):
            return expect
        return of(known[-1 - expect % len(known)]) if known else None

    @rule(step=steps)
    def one_operation(self, step: Step) -> None:
        self.write([step])

    @rule(batch=st.lists(steps, min_size=2, max_size=6))
    def several_operations(self, batch: list[Step]) -> None:
        self.write(batch)

    @rule(key=keys, days=days_left)
    def put_something_that_expires(self, key: str, days: int | None) -> None:
        put = Put(lease(key, days, self.now))
        self.both(lambda memory: memory.write([put]))

    @precondition(lambda self: self.clocked)
    @rule(days=st.integers(0, 2))
    def let_time_pass(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(namespace=namespaces)
    def read(self, namespace: str | None) -> None:
        refs = [Ref(Note, key, namespace) for key in KEYS]
        ours, theirs = self.both(lambda memory: memory.read(refs))
        assert shown(ours) == shown(theirs)
        for our, their in zip(ours, theirs, strict=True):
            self.known(our and our.revision, their and their.revision)

    @rule(query=queries())
    def find(self, query: Query[Note] | None) -> None:
        if query is not None:
            note(f"{query}")
            ours, theirs = self.both(lambda memory: gathered(pages(memory, query)))
            assert ours == theirs

    @rule(
        metric=st.sampled_from(("euclidean", "dot_product")),
        limit=st.integers(1, 4),
        namespace=namespaces,
    )
    def find_nearest(self, metric: Any, limit: int, namespace: str | None) -> None:
        query = Query(Note, namespace=namespace).near(
            "vector", [1.0, 2.0], limit=limit, metric=metric
        )
        ours, theirs = self.both(lambda memory: memory.find(query))
        assert shown(ours.items) == shown(theirs.items)
        assert [item.distance for item in ours.items] == [item.distance for item in theirs.items]

    @rule(query=queries())
    def aggregate(self, query: Query[Note] | None) -> None:
        if query is not None:
            note(f"{query}")
            measures = [
                Count("count"),
                Sum("whole", of="rank"),
                Sum("sum", of="score"),
                Average("mean", of="score"),
            ]
            ours, theirs = self.both(lambda memory: memory.aggregate(query, measures))
            assert exact(dict(ours)) == exact(dict(theirs))

    @invariant()
    def what_expires_is_seen_alike(self) -> None:
        async def seen(memory: MemoryManager) -> Any:
            page = await memory.find(Query(Lease, order_by="-rank", page_size=2))
            counted = await memory.aggregate(Query(Lease), [Count(), Sum("sum", of="rank")])
            return shown(page.items), page.cursor is None, exact(dict(counted))

        ours, theirs = self.both(seen)
        assert ours == theirs

    @invariant()
    def revisions_rise_alike(self) -> None:
        in_order = [self.revisions[known] for known in sorted(self.revisions)]
        assert in_order == sorted(set(in_order))


async def outcome(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except OrchestraMemoryError as error:
        return error


def failed_alike(ours: Any, theirs: Any) -> bool:
    """Whether both failed, and for the same reason; it is an error if only one did."""
    failures = [each for each in (theirs, ours) if isinstance(each, OrchestraMemoryError)]
    if failures and described(ours) != described(theirs):
        raise AssertionError(f"{described(ours)} != {described(theirs)}") from failures[0]
    return bool(failures)


def described(answer: Any) -> Any:
    """What two stores must say alike of a failure."""
    if isinstance(answer, Conflict):
        return Conflict, {(ref.namespace, ref.key) for ref in answer.refs}
    return type(answer), str(answer) if isinstance(answer, OrchestraMemoryError) else ""


def shown(stored: Any) -> list[Any]:
    return [each and exact(dict(each.record)) for each in stored]


async def pages(memory: MemoryManager, query: Query[Any]) -> AsyncIterator[list[Any]]:
    while True:
        page = await memory.find(query)
        yield shown(page.items)
        if page.cursor is None:
            return
        query = query.with_(after=page.cursor)


async def gathered(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
