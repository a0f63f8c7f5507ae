"""What processes ask of a cache, and whether an answer is one that they may get."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from hypothesis import strategies as st

from orchestra_memory import (
    Count,
    Delete,
    MemoryManager,
    Options,
    Patch,
    Put,
    Query,
    Receipt,
    Record,
    Ref,
    Source,
    Stored,
    Sum,
)
from orchestra_memory.operations import CacheMode, Op
from orchestra_memory.values import NonEmpty

from .stepped import History, Version


class Item(Record, collection="stepped_items", scopes=["owner"], indexes=[("owner", "-rank")]):
    """One of few, in one of two lists."""

    id: NonEmpty
    owner: str
    rank: int
    done: bool = False


KEYS = ("a", "b", "c")
OWNERS = ("ann", "bob")


@dataclass
class Seen:
    """What an answer told: versions that records have had, and how much came from the cache."""

    versions: list[Version] = field(default_factory=list)
    cached: int = 0


@dataclass(frozen=True)
class Judge:
    """Knows what records have been, and the oldest revisions that an answer may be of."""

    history: History
    needed: Mapping[str, int]
    listed: Mapping[str, int]
    """The same for whether a record is in a list at all."""

    @classmethod
    def now(cls, history: History, own: Collection[Version]) -> Self:
        """For a call that begins now, in a process to which these were acknowledged."""
        needed = {
            key: max(v.revision for v in history.of(key) if v.counts_for(own)) for key in KEYS
        }
        listed = {
            key: max(v.revision for v in history.of(key) if v.is_listed_for(own)) for key in KEYS
        }
        return cls(history, needed, listed)

    def allowed(self, key: str) -> list[Version]:
        return [v for v in self.history.of(key) if v.revision >= self.needed[key]]

    def listable(self, key: str) -> list[Version]:
        return [v for v in self.history.of(key) if v.revision >= self.listed[key]]

    def version_of(self, key: str, stored: Stored[Any] | None) -> Version:
        """The version that an answer shows, if it may show it."""
        allowed = self.allowed(key)
        if stored is None:
            fitting = [version for version in allowed if version.state is None]
        else:
            state = stored.record.model_dump()
            fitting = [v for v in allowed if v.revision == stored.revision and v.state == state]
        shown = None if stored is None else (stored.revision, stored.record, stored.source)
        assert fitting, f"{key}: {shown} of {allowed}, all: {self.history.of(key)}"
        return fitting[0]

    def may_lack(self, key: str, is_shown: Callable[[Mapping[str, Any]], bool]) -> bool:
        return any(v.state is None or not is_shown(v.state) for v in self.listable(key))

    def may_have(self, key: str, is_shown: Callable[[Mapping[str, Any]], bool]) -> bool:
        return any(v.state is not None and is_shown(v.state) for v in self.listable(key))


@dataclass(frozen=True)
class Read:
    keys: Sequence[str]
    cache: CacheMode = "use"

    async def ask(self, memory: MemoryManager) -> Any:
        refs = [Ref(Item, key) for key in self.keys]
        return await memory.read(refs, options=Options(cache=self.cache))

    def judged(self, answer: Any, judge: Judge) -> Seen:
        versions = [judge.version_of(*each) for each in zip(self.keys, answer, strict=True)]
        cached = sum(stored is not None and stored.source is Source.CACHE for stored in answer)
        return Seen(versions, cached)


@dataclass(frozen=True)
class Find:
    owner: str
    only_done: bool = False
    ordered: bool = True
    limit: int | None = None
    cache: CacheMode = "use"

    def query(self) -> Query[Item]:
        done = [("done", "==", True)] if self.only_done else []
        return Query(
            Item,
            where=[("owner", "==", self.owner), *done],
            order_by=["-rank"] if self.ordered else [],
            limit=self.limit,
        )

    async def ask(self, memory: MemoryManager) -> Any:
        return await memory.find(self.query(), options=Options(cache=self.cache))

    def judged(self, answer: Any, judge: Judge) -> Seen:
        shown = {stored.record.id: stored for stored in answer.items}
        assert len(shown) == len(answer.items)
        versions = [judge.version_of(*each) for each in shown.items()]
        places = [self._place(version.state) for version in versions if version.state]
        assert all(version.state and self._matches(version.state) for version in versions)
        assert places == sorted(places)
        is_full = self.limit is not None and len(places) >= self.limit

        def belongs(state: Mapping[str, Any]) -> bool:
            return self._matches(state) and not (is_full and self._place(state) > places[-1])

        for key in KEYS:
            assert key in shown or judge.may_lack(key, belongs), (
                f"{key} is not in {self}: {judge.listable(key)}"
            )
        return Seen(versions, int(answer.source is Source.CACHE))

    def _matches(self, state: Mapping[str, Any]) -> bool:
        return state["owner"] == self.owner and (state["done"] or not self.only_done)

    def _place(self, state: Mapping[str, Any]) -> Any:
        return -state["rank"] if self.ordered else state["id"]


@dataclass(frozen=True)
class Total:
    owner: str
    cache: CacheMode = "use"

    async def ask(self, memory: MemoryManager) -> Any:
        query = Query(Item, where=[("owner", "==", self.owner)])
        measures = [Count(), Sum("ranks", of="rank")]
        return await memory.aggregate(query, measures, options=Options(cache=self.cache))

    def judged(self, answer: Any, judge: Judge) -> Seen:
        def is_own(state: Mapping[str, Any]) -> bool:
            return bool(state["owner"] == self.owner)

        least = sum(not judge.may_lack(key, is_own) for key in KEYS)
        most = sum(judge.may_have(key, is_own) for key in KEYS)
        told = {key: judge.listable(key) for key in KEYS}
        assert least <= answer["count"] <= most, f"{answer['count']} of {told}"
        if all(len(allowed) == 1 for allowed in told.values()):
            states = [allowed[0].state for allowed in told.values()]
            ranks = [state["rank"] for state in states if state and is_own(state)]
            assert answer["ranks"] == sum(ranks), f"{answer['ranks']} of {told}"
        return Seen(cached=int(answer.as_of is None))


Asking = Read | Find | Total


@dataclass(frozen=True)
class Write:
    """``steps`` are key, kind and owner of what is written together."""

    steps: Sequence[tuple[str, str, str]]

    def ops(self, serial: int) -> list[Op]:
        return [self._op(serial + n, *step) for n, step in enumerate(self.steps)]

    async def ask(self, memory: MemoryManager, serial: int) -> Receipt:
        return await memory.write(self.ops(serial))

    @staticmethod
    def _op(serial: int, key: str, kind: str, owner: str) -> Op:
        """`serial` makes each another; negative, it goes to the end of lists."""
        ref = Ref(Item, key)
        item = Item(id=key, owner=owner, rank=serial, done=serial % 2 == 0)
        match kind:
            case "put":
                return Put(item)
            case "put last":
                return Put(item.evolve(rank=-serial))
            case "move":
                return Patch(ref, set={"rank": serial, "done": serial % 2 == 0})
            case "move, or create":
                return Patch(ref, set={"rank": serial}, or_create=item)
            case "tick":
                return Patch(ref, set={"done": serial % 2 == 0})
        return Delete(ref)


modes = st.sampled_from(("use", "use", "use", "use", "refresh", "bypass", "only"))
askings = st.one_of(
    st.builds(Read, st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True), modes),
    st.builds(
        Find,
        st.sampled_from(OWNERS),
        only_done=st.sampled_from((False, False, True)),
        ordered=st.sampled_from((True, True, False)),
        limit=st.sampled_from((None, 1, 1, 2)),
        cache=modes,
    ),
    st.builds(Total, st.sampled_from(OWNERS), modes),
)
kinds = st.sampled_from(("put", "put", "put last", "move", "move, or create", "tick", "delete"))
writes = st.builds(
    Write,
    st.lists(
        st.tuples(st.sampled_from(KEYS), kinds, st.sampled_from(OWNERS)),
        min_size=1,
        max_size=2,
        unique_by=lambda step: step[0],
    ),
)
