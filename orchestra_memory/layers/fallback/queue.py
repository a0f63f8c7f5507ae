"""The queue of writes that wait for their store: a journal, and what it holds as operations."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import anyio

from ...codec.operations import Basis, Models, decode_based, encode_operation, models_by_name
from ...errors import ConfigurationError, CorruptRecord, SchemaTooNew
from ...operations import Durability, Op, Ref, Revision
from ...record import Record
from ...resilience.journal import Adoption, Draft, Entry, Journal, JournalStatus, VolatileJournal
from ...slices import mapped, sliced
from .composing import Base
from .queued import PROVISIONAL, Index, Queued, Unknown, document_of

T = TypeVar("T")
AnyJournal: TypeAlias = Journal | VolatileJournal

log: Final = logging.getLogger("orchestra_memory.fallback")


class Queue:
    """Keeps operations in a journal, and knows at any time which ones wait for what.

    What is asked is answered from memory; what changes is on the disk first. A caller that is
    cancelled leaves a change whole: it goes on without being waited for.
    """

    def __init__(self, journal: AnyJournal) -> None:
        self._journal = journal
        self._index = Index()
        self._unknown = Unknown()
        self._loading = anyio.Lock()
        self._is_loaded = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self.changed: asyncio.Event = asyncio.Event()
        """Set when something came that can be replayed; whoever replays clears it."""
        self.built_on: Counter[str] = Counter()
        """The ids of writes on which others build that are on their way to the disk."""
        self.leaving: list[Callable[[Queued], Base | None]] = []
        """Each tells of some writes, which are being forgotten, how they left their documents."""

    def __repr__(self) -> str:
        return f"<Queue {len(self._index)} waiting, {len(self._unknown)} unknown>"

    def __len__(self) -> int:
        return len(self._index)

    @property
    def durability(self) -> Durability:
        """What it is worth that a write is in here."""
        persistent = self._journal.medium == "persistent"
        return Durability.JOURNALED if persistent else Durability.VOLATILE

    def status(self) -> JournalStatus:
        """How the journal is; without I/O."""
        return self._journal.status()

    def unknown(self) -> Mapping[str, int]:
        """Why entries wait that cannot be replayed here, and how many of them do.

        Their record types are not imported, or a later release wrote them. They block what comes
        after them for the same documents, and are looked at again by `load`.
        """
        return self._unknown.reasons()

    def holds_one_of(self, ops: Iterable[Op]) -> bool:
        """Whether `holds` is true for one of their documents."""
        # Asked by every write, mostly in vain.
        return not self._journal.is_empty and any(self.holds(op.ref) for op in ops)

    def holds(self, ref: Ref[Any]) -> bool:
        """Whether writes to this document wait, those on their way to the disk included."""
        return self._journal.holds(document_of(ref))

    def of(self, ref: Ref[Any]) -> Sequence[Queued]:
        """What waits for this document, in the order of replay."""
        # Asked by every read, mostly in vain.
        return self._index.of(document_of(ref)) if self._index else ()

    def is_blocked(self, ref: Ref[Any]) -> bool:
        """Whether an entry waits for this document that cannot be replayed here."""
        return document_of(ref) in self._unknown.documents

    def refs(self, collection: str, namespace: str | None) -> list[Ref[Record]]:
        """Documents of this collection that writes wait for, each by the ref of one of these."""
        return self._index.refs(collection, namespace)

    def holds_any(self, collection: str, namespace: str | None) -> bool:
        """Whether writes to any document of this collection wait."""
        return self._index.holds_any(collection, namespace)

    def waiting(self) -> list[Queued]:
        """What waits, in the order of replay."""
        return self._index.in_order()

    def find_provisional(self, revision: Revision) -> Queued | None:
        """The write that shows this revision, while it waits."""
        return self._index.get(revision - PROVISIONAL)

    async def append(self, ops: Sequence[tuple[Op, Basis]], *, commit: str | None) -> list[Queued]:
        """Keep operations in this order, all or none; they are on the disk when it returns.

        ``commit`` is the id of the one commit they go into, if they must go into one. Raises
        ``InvalidRecord`` for what no store can hold, ``JournalFull``, and ``DurabilityUnavailable``
        for what the journal cannot keep.
        """
        coming = Counter(basis.after for _, basis in ops if basis.after is not None)
        self.built_on += coming
        try:
            drafts = await mapped(partial(_draft, commit=commit), ops)
            # What the caller holds may change after this.
            own = await mapped(_read_back, zip(drafts, ops, strict=True))
        except BaseException:
            self.built_on -= coming
            raise
        return await self._whole(self._append(drafts, own, commit, coming))

    async def _append(
        self,
        drafts: Sequence[Draft],
        ops: Sequence[tuple[Op, Basis]],
        commit: str | None,
        coming: Counter[str],
    ) -> list[Queued]:
        try:
            numbers = await self._journal.append(drafts)
        finally:
            self.built_on -= coming
        held = map(self._journal.held, numbers)
        items = [
            Queued(each.id, each.number, *op, each.at, commit)
            for each, op in zip(held, ops, strict=True)
            if each is not None
        ]
        self._enter(items)
        return items

    async def bind(self, items: Sequence[Queued], commit: str) -> list[Queued]:
        """Note on the disk that these go into one commit, before it is sent.

        Raises ``DurabilityUnavailable``.
        """
        bound = [_bound(item, commit) for item in items]
        return await self._whole(self._bind(bound, commit))

    async def _bind(self, bound: list[Queued], commit: str) -> list[Queued]:
        await self._journal.bind(_numbers(bound), commit)
        self._index.replace(bound)
        return bound

    def put_in_place(self, items: Iterable[Queued]) -> None:
        """Have these replayed instead of those of the same numbers; the disk keeps what it has."""
        self._index.replace(items)

    async def settle(self, items: Iterable[Queued]) -> None:
        """Forget writes that are applied, or given up. Raises ``DurabilityUnavailable``."""
        await self._whole(self._settle(_numbers(items)))

    async def _settle(self, numbers: Sequence[int]) -> None:
        try:
            await self._journal.settle(numbers)
        finally:
            # Many are settled in several commits, of which the first may have succeeded.
            async for number in sliced(numbers):
                self._discard(number)

    async def dead_letter(self, item: Queued, reason: str) -> None:
        """Keep a write, but out of replay. The reason must not tell what it holds."""
        await self._whole(self._bury(item.number, reason))

    async def _bury(self, number: int, reason: str) -> None:
        await self._journal.dead_letter(number, reason)
        self._discard(number)

    async def revive(self, number: int) -> None:
        """Let a dead letter wait for replay again, at the place in the order that it had."""
        await self._whole(self._revive(number))

    async def _revive(self, number: int) -> None:
        held = self._journal.held(number)
        if held is not None:
            await self._journal.revive(number)
            await self._take_in(await self._journal.pending_for(held.document))

    async def dead_letters(self) -> list[Entry]:
        """What is kept out of replay. Raises ``DurabilityUnavailable``."""
        return await self._journal.dead_letters()

    async def discard(self, letters: Iterable[Entry]) -> None:
        """Forget dead letters for good. Raises ``DurabilityUnavailable``."""
        await self._whole(self._settle([letter.number for letter in letters]))

    async def load(self) -> Adoption:
        """Take over the journals of dead processes, and make operations of all that waits.

        What was loaded is not loaded again, but for entries that could not be made out. Raises
        ``DurabilityUnavailable``.
        """
        async with self._loading:
            # Whoever gives up loading leaves it to the next one to look at all that there is.
            was_loaded, self._is_loaded = self._is_loaded, False
            adoption = await self._journal.adopt()
            before = self.unknown()
            entries = self._unknown.entries()
            if adoption.entries or not was_loaded:
                entries = await self._journal.pending()
            await self._take_in(entries)
            self._is_loaded = True
            self._tell(before)
        return adoption

    async def _take_in(self, entries: Iterable[Entry]) -> None:
        models = known_models()
        async for entry in sliced(entries):
            if entry.number not in self._index:
                await self._take_in_one(entry, models)

    async def _take_in_one(self, entry: Entry, models: Models) -> None:
        self._unknown.discard(entry.number)
        try:
            op, basis = decode_based(entry.body, models)
        except (ConfigurationError, SchemaTooNew) as error:
            self._unknown.add(entry, str(error))
        except CorruptRecord as error:
            await self._journal.dead_letter(entry.number, str(error))
        else:
            size = len(entry.body)
            self._enter([Queued(entry.id, entry.number, op, basis, entry.at, entry.batch, size)])

    def _enter(self, items: Iterable[Queued]) -> None:
        for item in items:
            # It may have been settled while it was read.
            if self._journal.waits(item.number):
                self._index.add(item)
                self.changed.set()

    def _discard(self, number: int) -> None:
        if not self._journal.waits(number):
            self._index.discard(number)
            self._unknown.discard(number)

    def _tell(self, before: Mapping[str, int]) -> None:
        for why, count in self.unknown().items():
            if before.get(why) != count:
                log.warning("journal: %d entries wait and cannot be replayed: %s", count, why)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; it is done to its end even if nobody waits any more."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Seen here, in case nobody waits for it any more.
            task.exception()


def known_models() -> Models:
    """All record types that are imported now; of two that share collection and name, the last."""
    return models_by_name(_subclasses(Record))


def _subclasses(model: type[Record]) -> Iterator[type[Record]]:
    for each in model.__subclasses__():
        if hasattr(each, "__record__"):
            yield each
        yield from _subclasses(each)


def _bound(item: Queued, commit: str) -> Queued:
    # By `replace` it takes several times as long.
    own = item.id, item.number, item.op, item.basis, item.at
    return Queued(*own, commit, item.size, item.since)


def _read_back(pair: tuple[Draft, tuple[Op, Basis]]) -> tuple[Op, Basis]:
    draft, (op, _) = pair
    return decode_based(draft.body, models_by_name([op.ref.model]))


def _draft(pair: tuple[Op, Basis], *, commit: str | None) -> Draft:
    op, basis = pair
    return Draft(document_of(op.ref), encode_operation(op, basis), batch=commit)


def _numbers(items: Iterable[Queued]) -> list[int]:
    return [item.number for item in items]
