"""Deciding what becomes of records, batch by batch: created, there already, or left out.

A record is never put over another one: what a run created can be undone, and nothing else changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from anyio import to_thread

from ...codec.document import encode
from ...errors import Conflict, CorruptRecord, InvalidBatch, SchemaTooNew
from ...models import SystemState
from ...operations import ABSENT, Options, Put, Ref
from ...protocol import MemoryManager
from ...record import Record
from ...values import same
from ..jsonl import named
from ..legacy.found import Found, digest_of
from .chunks import BATCH_BYTES
from .ledger import Created, Ledger
from .rehearsal import Rehearsal
from .result import Result
from .stored import PATIENCE

Key = tuple[str, str]


class Mode(StrEnum):
    """What a run does to the store: write, nothing, or compare it with the source."""

    WRITE = "write"
    REHEARSE = "rehearse"
    VERIFY = "verify"


_REFUSED: Final = "the store has a document under this id that cannot be read"


@dataclass(frozen=True, slots=True)
class Piece:
    """A found piece and the place it is from."""

    place: str
    found: Found

    @property
    def key(self) -> Key | None:
        record = self.found.record
        return None if record is None else (type(record).__name__, self.found.key)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a piece, and why."""

    piece: Piece
    result: Result
    why: str = ""

    def line(self) -> dict[str, Any]:
        """As it stands in the report."""
        found, key = self.piece.found, self.piece.key
        line: dict[str, Any] = {"place": self.piece.place, "inside": found.inside}
        line |= {} if key is None else {"type": key[0], "key": key[1]}
        line["result"] = self.result.value
        line |= {"why": self.why} if self.why else {}
        line |= {"warnings": found.warnings} if found.warnings else {}
        line |= {"defaulted": found.defaulted} if found.defaulted else {}
        return line


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """What is stored under an id, but is no record."""

    why: str


_Held = Record | _Unreadable | None


class Settler:
    """Settles pieces against a memory. ``pending`` is what an interrupted run may have created."""

    def __init__(
        self, memory: MemoryManager, ledger: Ledger, mode: Mode, pending: Mapping[Key, str]
    ) -> None:
        self._memory = memory
        self._ledger = ledger
        self._mode = mode
        self._pending = dict(pending)
        self._rehearsal = Rehearsal() if mode is Mode.REHEARSE else None

    def close(self) -> None:
        if self._rehearsal is not None:
            self._rehearsal.close()

    async def recover(self) -> None:
        """Find out what an interrupted run created without being able to say so, and say it."""
        names = named()
        pending = [Created(*key, digest) for key, digest in self._pending.items()]
        refs = [Ref(names[one.type], one.key) for one in pending]
        held = await self._read(refs)
        created = [
            one
            for one, stored in zip(pending, held, strict=True)
            if isinstance(stored, Record) and digest_of(stored) == one.digest
        ]
        if created:
            await to_thread.run_sync(self._ledger.creating, created)
            await to_thread.run_sync(self._ledger.created, len(created))

    async def settle(self, pieces: Sequence[Piece], *, system: bool = False) -> list[Verdict]:
        """What becomes of each, in order. Parts of the system's state are only gathered."""
        verdicts: list[Verdict] = []
        for group in _groups(pieces):
            apart, single = _sorted_out(group, system=system)
            settled = await self._settled(single)
            apart |= {id(verdict.piece): verdict for verdict in settled}
            verdicts += [apart[id(piece)] for piece in group]
        return verdicts

    async def _settled(self, pieces: Sequence[Piece]) -> list[Verdict]:
        """Raises ``Conflict`` when others keep writing the same records."""
        for _ in range(10):
            held = await self._held(pieces)
            known = await to_thread.run_sync(self._known, pieces, held)
            missing = [p for p, verdict in zip(pieces, known, strict=True) if verdict is None]
            absent = Result.MISSING if self._mode is Mode.VERIFY else Result.MIGRATED
            try:
                if missing and self._mode is not Mode.VERIFY:
                    await self._create(missing)
            except Conflict:
                # Somebody else wrote one of them in between.
                continue
            for piece in pieces:
                self._pending.pop(_identity(piece), None)
            return [
                verdict or Verdict(piece, absent)
                for piece, verdict in zip(pieces, known, strict=True)
            ]
        raise Conflict("others kept writing the same records; go on when they rest")

    async def _held(self, pieces: Sequence[Piece]) -> list[_Held]:
        founds = [piece.found for piece in pieces]
        return await self._read([Ref(type(f.record), f.key) for f in founds if f.record])

    async def _read(self, refs: Sequence[Ref[Record]]) -> list[_Held]:
        if not refs:
            return []
        options = Options(cache="bypass", timeout=PATIENCE)
        try:
            return list((await self._memory.read(refs, options=options)).records)
        except (CorruptRecord, SchemaTooNew):
            return [await self._one_held(ref, options) for ref in refs]

    async def _one_held(self, ref: Ref[Record], options: Options) -> _Held:
        try:
            return (await self._memory.read([ref], options=options)).records[0]
        except (CorruptRecord, SchemaTooNew) as error:
            return _Unreadable(f"{_REFUSED} ({type(error).__name__})")

    def _known(self, pieces: Sequence[Piece], held: Sequence[_Held]) -> list[Verdict | None]:
        rehearsed = self._rehearsal.held(map(_identity, pieces)) if self._rehearsal else {}
        return [
            self._verdict(piece, stored) or self._of_rehearsal(piece, rehearsed)
            for piece, stored in zip(pieces, held, strict=True)
        ]

    def _of_rehearsal(self, piece: Piece, rehearsed: Mapping[Key, str]) -> Verdict | None:
        digest = rehearsed.get(_identity(piece))
        if digest is None:
            return None
        if digest == piece.found.digest:
            return Verdict(piece, Result.UNCHANGED, "the same was there before")
        return Verdict(piece, Result.KEPT, "another record with this id came before")

    def _verdict(self, piece: Piece, stored: _Held) -> Verdict | None:
        verify = self._mode is Mode.VERIFY
        if stored is None:
            return None
        if isinstance(stored, _Unreadable):
            return Verdict(piece, Result.DIFFERS if verify else Result.KEPT, stored.why)
        if digest_of(stored) != piece.found.digest:
            why = f"the store has another record under this id: {_differences(piece, stored)}"
            return Verdict(piece, Result.DIFFERS if verify else Result.KEPT, why)
        if verify:
            return Verdict(piece, Result.VERIFIED)
        if self._pending.get(_identity(piece)) == piece.found.digest:
            return Verdict(piece, Result.MIGRATED)
        return Verdict(piece, Result.UNCHANGED)

    async def _create(self, pieces: Sequence[Piece]) -> None:
        created = [Created(*_identity(piece), piece.found.digest) for piece in pieces]
        if self._rehearsal is not None:
            await to_thread.run_sync(self._rehearsal.create, created)
            return
        await to_thread.run_sync(self._ledger.creating, created)
        ops = [Put(p.found.record, expect=ABSENT) for p in pieces if p.found.record is not None]
        try:
            await self._memory.write(ops, options=Options(timeout=PATIENCE))
        except InvalidBatch:
            if len(pieces) == 1:
                raise
            half = len(pieces) // 2
            await self._create(pieces[:half])
            await self._create(pieces[half:])
            return
        await to_thread.run_sync(self._ledger.created, len(created))


def _identity(piece: Piece) -> Key:
    key = piece.key
    assert key is not None
    return key


def _groups(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces that fit into one commit. A page of a store may be larger than that."""
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        if groups[-1] and size + piece.found.size > BATCH_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += piece.found.size
    return groups


def _sorted_out(pieces: Sequence[Piece], *, system: bool) -> tuple[dict[int, Verdict], list[Piece]]:
    """Verdicts that need no look at the store, and the pieces that do, each id once."""
    apart: dict[int, Verdict] = {}
    first: dict[Key, Piece] = {}
    for piece in pieces:
        key = piece.key
        if key is None:
            failed = bool(piece.found.problem)
            result = Result.FAILED if failed else Result.LEFT_OUT
            apart[id(piece)] = Verdict(piece, result, piece.found.problem)
        elif isinstance(piece.found.record, SystemState) and not system:
            apart[id(piece)] = Verdict(piece, Result.MERGED)
        elif key not in first:
            first[key] = piece
        elif first[key].found.digest == piece.found.digest:
            apart[id(piece)] = Verdict(piece, Result.UNCHANGED, "the same was there before")
        else:
            apart[id(piece)] = Verdict(
                piece, Result.KEPT, "another record with this id came before"
            )
    return apart, list(first.values())


def _differences(piece: Piece, stored: Record) -> str:
    """The fields in which two records differ; without what is in them."""
    assert piece.found.record is not None
    ours, theirs = encode(piece.found.record), encode(stored)
    names = sorted(
        name
        for name in ours.keys() | theirs.keys()
        if name not in ours or name not in theirs or not same(ours[name], theirs[name])
    )
    return f"{', '.join(names)} differ"
