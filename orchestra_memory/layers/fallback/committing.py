"""One commit of queued writes: composed, sent, and brought to an end whatever it meets."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from typing import Any, Final, TypeVar

import anyio

from ...errors import (
    Conflict,
    CorruptRecord,
    InvalidBatch,
    InvalidRecord,
    OrchestraMemoryError,
    Overloaded,
    PermissionDenied,
    SchemaTooNew,
)
from ...operations import DEFAULT, Delete, Op, Options, Put, Receipt, Ref, Stored
from ...protocol import MemoryManager
from ...resilience.journal import DocumentKey
from ...slices import sliced
from .composing import (
    REFUSED,
    UNKNOWN,
    Base,
    Composition,
    Outcome,
    base_of,
    by_document,
    is_blind,
    is_sure,
    sent,
)
from .conflicts import kept_local
from .markers import Marker, commit_id, count_in, is_whole, mark
from .outcomes import Known, Left
from .queue import Queue
from .queued import Queued, document_of
from .resolving import Policies, Resolution
from .standby import Standby

T = TypeVar("T")
Remote = dict[DocumentKey, Stored[Any] | None]

REFUSALS: Final = (InvalidRecord, InvalidBatch, PermissionDenied, CorruptRecord, SchemaTooNew)
"""What will not be otherwise the next time; the last two of what is stored already."""
ATTEMPTS: Final = 5
"""Commits tried while others keep changing the same documents."""
PATIENCE: Final = 8
"""How often a store is asked that has too much to do."""
PAUSE: Final = 0.1
"""Seconds that the first pause between these lasts at most; each may be twice as long."""
_PAST_CACHE: Final = Options(cache="bypass")
_IN_CHUNKS: Final = Options(atomic=False)


@dataclass(slots=True)
class Tally:
    """What a replay has done so far."""

    replayed: int = 0
    conflicts: int = 0
    dead_letters: int = 0


class Committer:
    """Carries out commits, several at a time; those that touch the same document in their order.

    ``stuck`` gets the documents whose writes have to wait for another replay; ``ease`` is called
    when the store has too much to do.
    """

    def __init__(
        self,
        primary: MemoryManager,
        queue: Queue,
        known: Known,
        *,
        policies: Policies,
        standby: Standby | None,
        clock: Callable[[], datetime],
    ) -> None:
        self.tally: Tally = Tally()
        self.stuck: set[DocumentKey] = set()
        self.ease: Callable[[], None] = _nothing
        self._primary = primary
        self._queue = queue
        self._known = known
        self._policies = policies
        self._standby = standby
        self._clock = clock
        # One after another, so that the first commit is sent while others are bound.
        self._binding = anyio.Lock()

    async def carry_out(self, items: Sequence[Queued], bound: str | None) -> None:
        """Commit these, in the commit they are bound to or in a new one.

        Raises what keeps all commits from being made, such as ``Unavailable``.
        """
        if bound is None:
            bound = commit_id(len(items), whole=False)
            # What goes into a commit is on the disk before it is sent: its marker says it of all.
            async with self._binding:
                items = await self._queue.bind(items, bound)
        elif count_in(bound) != len(items):
            await self._carry_out_rest(items, bound)
            return
        try:
            await self._commit(items, bound)
        except REFUSALS as error:
            await self._refused(items, bound, error)

    async def _carry_out_rest(self, items: Sequence[Queued], bound: str) -> None:
        """Of a commit, some writes are done already, or cannot be read here."""
        if (marker := await self._marker(bound)) is not None:
            await self._decided(items, marker)
        elif is_whole(bound):
            self._stick(items)
        else:
            await self._split(bound, items, [items])

    async def _commit(self, items: Sequence[Queued], bound: str) -> None:
        documents = by_document(items)
        blind = [e for e in documents.values() if is_blind(e, self._known.outcomes)]
        remote: Remote = {}
        named: set[DocumentKey] = set()
        await self._look(remote, [entries[0].op.ref for entries in blind])
        for _ in range(ATTEMPTS):
            composition = await self._composed(items, documents, remote, whole=is_whole(bound))
            try:
                receipt = await self._send(composition, bound)
            except Conflict as conflict:
                if (marker := await self._marker_after(conflict, bound)) is not None:
                    await self._decided(items, marker)
                    return
                named = _named(conflict) & documents.keys() or set(documents)
                await self._look(remote, [documents[name][0].op.ref for name in named])
            else:
                await self._applied(items, composition, receipt)
                return
        await self._contended(items, bound, named)

    async def _look(self, remote: Remote, refs: Sequence[Ref[Any]]) -> None:
        if refs:
            snapshot = await self._patiently(lambda: self._primary.read(refs, options=_PAST_CACHE))
            remote.update(zip(map(document_of, refs), snapshot, strict=True))

    async def _composed(
        self,
        items: Sequence[Queued],
        documents: Mapping[DocumentKey, Sequence[Queued]],
        remote: Remote,
        *,
        whole: bool,
    ) -> Composition:
        composition = Composition()
        outcomes, now = self._known.outcomes, self._clock()
        async for document, entries in sliced(documents.items()):
            if document in remote:
                base = base_of(entries[0], outcomes)
                resolution = Resolution(remote[document], base, self._policies, now)
                resolution.decide_all(entries, composition)
            else:
                ops = sent(entries, outcomes)
                composition.add(entries, ops, sure=is_sure(ops))
        return refusal(items, remote, now) if whole and composition.refused else composition

    async def _send(self, composition: Composition, bound: str) -> Receipt:
        marker = mark(
            bound, self._clock(), refused=composition.refused, left=composition.otherwise()
        )
        ops, kept = composition.ops, composition.kept
        try:
            return await self._write([*ops, *kept, marker])
        except InvalidBatch:
            if not kept:
                raise
        # Before what they are kept from; their ids make it do no harm if that fails.
        await self._write(kept, _IN_CHUNKS)
        return await self._write([*ops, marker])

    async def _write(self, ops: Sequence[Op], options: Options = DEFAULT) -> Receipt:
        return await self._patiently(lambda: self._primary.write(ops, options=options))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in count():
            try:
                return await call()
            except Overloaded:
                if attempt + 1 == PATIENCE:
                    raise
                self.ease()
                await anyio.sleep(random.uniform(0, PAUSE * 2**attempt))
        raise AssertionError

    async def _marker(self, bound: str) -> Stored[Marker] | None:
        refs = [Ref(Marker, bound)]
        snapshot = await self._patiently(lambda: self._primary.read(refs, options=_PAST_CACHE))
        return snapshot[0]

    async def _marker_after(self, conflict: Conflict, bound: str) -> Stored[Marker] | None:
        """The marker, unless the conflict tells that it is not there."""
        marker = document_of(Ref(Marker, bound))
        if conflict.refs and marker not in _named(conflict):
            return None
        return await self._marker(bound)

    async def _applied(
        self, items: Sequence[Queued], composition: Composition, receipt: Receipt
    ) -> None:
        self.tally.conflicts += len(composition.kept)
        await self._tell_copies(composition, receipt)
        refused = set(composition.refused)

        def left(item: Queued) -> Outcome:
            if item.id in refused:
                return REFUSED
            return Outcome(composition.left(item.document, receipt))

        # What was there already is not what the copies say.
        self._keep_copies([i for i in items if i.document not in composition.last], left)
        await self._settle(items, left, len(refused))

    async def _tell_copies(self, composition: Composition, receipt: Receipt) -> None:
        """Have copies of all that was written, however much: it was known while it waited."""
        if self._standby is not None:
            ops = composition.ops
            revisions = receipt.revisions[: len(ops)]
            written = replace(receipt, revisions=revisions, count=len(ops))
            await self._standby.wrote_all(ops, written)

    async def _decided(self, items: Sequence[Queued], marker: Stored[Marker]) -> None:
        """An attempt whose answer was lost, or that of another process, has made this commit."""
        if marker.record.split:
            await self.carry_out(items, None)
            return
        gone = set(marker.record.refused)
        refused = sum(item.id in gone for item in items)
        self.tally.conflicts += refused

        def left(item: Queued) -> Outcome:
            return REFUSED if item.id in gone else Outcome(_left_by(item, marker))

        self._keep_copies(items, left)
        await self._settle(items, left, refused)

    def _keep_copies(self, items: Sequence[Queued], left: Left) -> None:
        """Let copies follow a commit of which only the marker tells, where that tells all."""
        self._forget(items)
        if self._standby is None:
            return
        for entries in by_document(items).values():
            op, revision = entries[-1].op, left(entries[-1]).base.revision
            if isinstance(op, Put) and revision is not None:
                self._standby.wrote([op], Receipt((revision,), revision))

    async def _settle(self, items: Sequence[Queued], left: Left, refused: int) -> None:
        self.tally.replayed += len(items) - refused
        documents = by_document(items)
        with self._known.leaving(documents, left):
            await self._queue.settle(self._known.hold(documents, left))
            self._known.forget(documents, left)

    async def _refused(
        self, items: Sequence[Queued], bound: str, error: OrchestraMemoryError
    ) -> None:
        """Find out which of the writes it is that the store will never take."""
        if len(items) == 1 or is_whole(bound):
            await self.give_up(items, f"{type(error).__name__}: {error}")
            return
        await self._split(bound, items, halves(items))

    async def _split(
        self, bound: str, items: Sequence[Queued], parts: Iterable[Sequence[Queued]]
    ) -> None:
        """Go on in several commits, once it is sure that this one will never be made."""
        try:
            await self._write([mark(bound, self._clock(), split=True)])
        except Conflict:
            marker = await self._marker(bound)
            if marker is not None and not marker.record.split:
                await self._decided(items, marker)
                return
        except REFUSALS as error:
            await self.give_up(items, f"{type(error).__name__}: {error}")
            return
        for part in parts:
            await self.carry_out(part, None)

    async def _contended(
        self, items: Sequence[Queued], bound: str, documents: set[DocumentKey]
    ) -> None:
        """Let what others keep changing wait, but nothing else."""
        rest = [item for item in items if item.document not in documents]
        if is_whole(bound) or not rest:
            self._stick(items)
            return
        self.stuck.update(documents)
        await self._split(bound, items, [rest])

    async def give_up(self, items: Sequence[Queued], reason: str) -> None:
        """Keep these in the journal, but out of replay."""
        self.tally.dead_letters += len(items)
        self._forget(items)
        for item in items:
            await self._queue.dead_letter(item, reason)
        await self._queue.settle(self._known.give_up(items))

    def _stick(self, items: Iterable[Queued]) -> None:
        self.stuck.update(item.document for item in items)

    def _forget(self, items: Iterable[Queued]) -> None:
        if self._standby is not None:
            self._standby.forget(item.op.ref for item in items)


def refusal(items: Sequence[Queued], remote: Remote, now: datetime) -> Composition:
    """The commit of writes that go together, of which one is refused: all of them are kept."""
    composition = Composition(refused=[item.id for item in items])
    for item in items:
        found = remote.get(item.document)
        revision = None if found is None else found.revision
        composition.kept.append(kept_local(item, revision, "refused", now))
    return composition


def _named(conflict: Conflict) -> set[DocumentKey]:
    return {DocumentKey(ref.namespace, ref.collection, ref.key) for ref in conflict.refs}


def halves(items: Sequence[Queued]) -> tuple[list[Queued], list[Queued]]:
    """Two commits for one; writes to one document in the same one, unless there is no other."""
    documents = list(by_document(items).values())
    if len(documents) == 1:
        documents = [[item] for item in items]
    half = len(documents) // 2
    return [*chain(*documents[:half])], [*chain(*documents[half:])]


def _left_by(item: Queued, marker: Stored[Marker]) -> Base:
    """How a write left its document, by the marker of its commit."""
    left, op = marker.record.left, item.op
    if isinstance(op, Delete):
        return Base(absent=True)
    if left is not None:
        return Base(left.get(item.id, marker.revision))
    is_sure = isinstance(op, Put) or isinstance(op.expect, int)
    return Base(marker.revision) if is_sure else UNKNOWN


def _nothing() -> None:
    return
