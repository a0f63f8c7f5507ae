"""What a write touches, and what becomes of it in the cache: decided without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeAlias

from ...backends.batches import record_of
from ...codec.document import Document, encode
from ...errors import InvalidRecord
from ...operations import Delete, Op, Patch, Put, Receipt, Ref, Revision
from ...record import Record, spec_of, timed_by_store
from .entries import Text, sealed
from .filling import change_for
from .members import Member
from .policy import Policies
from .preparing import MEANWHILE, PreparedPut
from .replies import Intended, Published
from .scopes import Scope, matters_to_windows, scopes_of
from .scripts import Action, Change, Drop, KeepAbsent, KeepLive
from .steps import Step, Target

BULK: Final = 50
"""Operations beyond which a chunked write is a load, whose records nobody may ask for soon."""
LONGEST_COMMIT: Final = 10.0
"""Seconds a commit may take where the caller sets no deadline."""
SECONDS_PER_OPERATION: Final = 0.02
"""What each operation adds to that."""
MARGIN: Final = 5.0
"""Seconds by which a fence outlives the call it was raised for."""


@dataclass(slots=True)
class Work:
    """A write, and the entries it touches.

    ``last`` is the place of the last operation on each record, ``scopes`` the places of those that
    touch each scope; ``moved`` tells the scopes in which patches move their records.
    """

    ops: Sequence[Op]
    moved: Mapping[Ref[Any], Sequence[Scope]]
    is_one_commit: bool = True
    """Whether the receipt's version is that of every operation."""
    last: dict[Hashable, int] = field(default_factory=dict[Hashable, int])
    scopes: dict[Scope, list[int]] = field(default_factory=dict[Scope, list[int]])
    puts: dict[int, PreparedPut] = field(default_factory=dict[int, PreparedPut])
    """What is put, by the places of the operations that are the last on their record."""

    @property
    def bulk(self) -> bool:
        return not self.is_one_commit and len(self.ops) > BULK

    @property
    def is_small(self) -> bool:
        """Whether all of it may be done at once while somebody else is waited for."""
        return self.is_one_commit and len(self.ops) <= MEANWHILE

    def touch(self, place: int) -> None:
        """Take the operation at this place into account."""
        op = self.ops[place]
        self.last[(op.ref.namespace, op.ref.collection, op.ref.key)] = place
        record = record_of(op)
        scopes = [] if record is None else scopes_of(op.ref, told_scopes(record))
        if self.moved and op.ref in self.moved:
            scopes = list(dict.fromkeys([*scopes, *self.moved[op.ref]]))
        for scope in scopes:
            self.scopes.setdefault(scope, []).append(place)

    def prepare(self) -> None:
        """Make ready all that is put, as it is now. Raises ``InvalidRecord``."""
        for place in () if self.bulk else self.last.values():
            op, known = self.ops[place], self.puts.get(place)
            if isinstance(op, Put) and (known is None or not known.is_still(op.record)):
                scopes = [scope for scope, places in self.scopes.items() if place in places]
                self.puts[place] = PreparedPut(op, scopes)

    def prepare_early(self) -> None:
        """The same before it has to be, with all that is made of it later."""
        with suppress(InvalidRecord):
            self.prepare()
            for put in self.puts.values():
                put.make_all()

    def targets(self) -> list[Target]:
        """The records, then the scopes."""
        return [*(self.ops[place].ref for place in self.last.values()), *self.scopes]


def told_scopes(record: Record) -> Document:
    """A document of which the fields that make scopes are as they are stored."""
    values = vars(record)
    for name in spec_of(type(record)).scope_fields:
        value = values[name]
        if value is not None and not (type(value) is str and value.isascii()):
            return encode(record)
    return values


def scopes_by_key(ref: Ref[Any]) -> list[Scope] | None:
    """The scopes of a record, if its id alone tells them."""
    spec = spec_of(ref.model)
    if not spec.scope_fields <= set(spec.key):
        return None
    return scopes_of(ref, dict(zip(spec.key, ref.model.key_parts(ref.key), strict=False)))


def moved_by(op: Op) -> bool:
    """Whether the operation may move a record within scopes that it does not tell itself."""
    if not isinstance(op, Patch) or not spec_of(op.ref.model).scopes:
        return False
    return matters_to_windows(op if op.or_create is None else replace(op, or_create=None))


@dataclass(slots=True)
class Moves:
    """Records that patches move within their scopes: what is known of those beforehand.

    ``versions`` has the revisions of the entries in the cache that told the scopes; others were
    told by ids, and so are sure.
    """

    refs: Mapping[Ref[Any], None]
    scopes: dict[Ref[Any], Sequence[Scope]] = field(default_factory=dict[Ref[Any], Sequence[Scope]])
    versions: dict[Ref[Any], Revision] = field(default_factory=dict[Ref[Any], Revision])

    def take_scopes_of_keys(self) -> None:
        """Know the scopes that ids tell."""
        for ref in self.refs:
            scopes = scopes_by_key(ref)
            if scopes is not None:
                self.scopes[ref] = scopes

    def unknown(self) -> list[Ref[Any]]:
        """The records whose scopes nothing told yet."""
        return [ref for ref in self.refs if ref not in self.scopes]

    def unsure(
        self,
        targets: Sequence[Target],
        intended: Sequence[Intended] | None,
        published: Sequence[Published] | None,
    ) -> list[Ref[Any]]:
        """The records whose scopes may be others than those that were told of the write.

        They are not where the entry was current and nobody else wrote until it was published.
        """
        sure = {
            target
            for target, before, after in zip(targets, intended or (), published or (), strict=False)
            if before.ready
            and not isinstance(target, Scope)
            and before.version == self.versions.get(target)
            and after.sequence == before.sequence
        }
        by_id = self.scopes.keys() - self.versions.keys()
        return [ref for ref in self.refs if ref not in sure and ref not in by_id]


def fence_seconds(count: int, timeout: float | None) -> float:
    """How long a fence stands if nobody lifts it."""
    longest = LONGEST_COMMIT + count * SECONDS_PER_OPERATION if timeout is None else timeout
    return longest + MARGIN


def floors_of(receipt: Receipt, count: int) -> list[Revision]:
    """The version that each operation made; where that is not told, the commit's own."""
    commit = receipt.version or 0
    if len(receipt.revisions) != count:
        return [commit] * count
    return [commit if revision is None else revision for revision in receipt.revisions]


def _is_known_put(op: Op) -> bool:
    """Whether what is stored is what was put, no more and no less."""
    return isinstance(op, Put) and timed_by_store(op.record) is None


Decision: TypeAlias = Callable[[Revision, bool], Action]
"""What becomes of an entry, by its floor and by whether that is what was made of the record."""


@dataclass(slots=True)
class Outcome:
    """What each entry that a write touches is to become once it is committed.

    ``intended`` is what was told of the write's targets, ``None`` where they have no fences.
    """

    work: Work
    intended: Sequence[Intended] | None
    policies: Policies
    _decided: Sequence[tuple[Target, Sequence[int], Decision]] = ()

    def decide(self) -> None:
        """Decide all that does not take a receipt; there is time while the store is at it."""
        self._decided = [*self._decisions()]

    def steps(self, receipt: Receipt) -> Iterator[Step]:
        """One for each of the write's targets, in their order."""
        revisions = receipt.revisions
        floors, told = floors_of(receipt, len(self.work.ops)), len(revisions) == len(self.work.ops)
        for target, places, decision in self._decided or self._decisions():
            floor = max([floors[place] for place in places])
            is_exact = told and revisions[places[-1]] is not None
            yield Step(target, decision(floor, is_exact))

    def drops(self, receipt: Receipt, found: Iterable[tuple[Ref[Any], Record]]) -> Iterator[Step]:
        """One for each scope of these records, beyond those of the write."""
        floor = max(floors_of(receipt, len(self.work.ops)))
        scopes = [scope for ref, record in found for scope in scopes_of(ref, told_scopes(record))]
        for scope in dict.fromkeys(scopes):
            yield Step(scope, Drop(floor))

    def _decisions(self) -> Iterator[tuple[Target, Sequence[int], Decision]]:
        """Of each target, with the places of the operations that touch it."""
        work = self.work
        for place in work.last.values():
            yield work.ops[place].ref, (place,), self._record_decision(place)
        fences = iter((self.intended or ())[len(work.last) :])
        for scope, places in work.scopes.items():
            yield scope, places, self._window_decision(scope, places, next(fences, None))

    def _record_decision(self, place: int) -> Decision:
        op = self.work.ops[place]
        model, policy = op.ref.model, self.policies.of(op.ref.model)
        if isinstance(op, Delete) and self.work.is_one_commit:
            return partial(_absent, ttl=self.policies.absent_ttl(model))
        put = self.work.puts.get(place)
        text = put.text() if put is not None and policy.records and _is_known_put(op) else None
        if text is None:
            return _drop
        return partial(_live, text=text, most=policy.max_bytes, ttl=self.policies.ttl(model))

    def _window_decision(
        self, scope: Scope, places: Sequence[int], intended: Intended | None
    ) -> Decision:
        puts, ops, policy = self.work.puts, self.work.ops, self.policies.of(scope.model)
        if intended is None or not policy.windows or self.work.bulk:
            return _drop
        if not all(_is_known_put(ops[place]) for place in places):
            return _drop
        sorts = {
            ops[place].ref.key: puts[place].sort_in(scope) for place in places if place in puts
        }
        changes = change_for(scope, intended, sorts, policy.window)
        if changes is None:
            return _drop
        return partial(_changed, sequence=intended.sequence, members=changes)


def _drop(floor: Revision, _: bool) -> Action:
    return Drop(floor)


def _absent(floor: Revision, _: bool, *, ttl: int) -> Action:
    return KeepAbsent(floor, ttl) if floor else Drop(floor)


def _live(floor: Revision, is_exact: bool, *, text: Text, most: int, ttl: int) -> Action:
    payload = sealed(text, floor, most) if is_exact else None
    return Drop(floor) if payload is None else KeepLive(floor, payload, ttl)


def _changed(floor: Revision, _: bool, *, sequence: int, members: Sequence[Member]) -> Action:
    return Change(floor, sequence, members)


def steps_if_refused(targets: Sequence[Target], intended: Sequence[Intended]) -> Iterator[Step]:
    """What becomes of entries when nothing was written.

    Windows stay as they are. A record may be other than the caller, and so the cache, thought.
    """
    for target, before in zip(targets, intended, strict=True):
        if isinstance(target, Scope) and before.ready:
            yield Step(target, Change(0, before.sequence, ()))
        else:
            yield Step(target, Drop(0))
