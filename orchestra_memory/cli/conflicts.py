"""Verbs about versions that lost in a replay: list, show, resolve."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from ..codec.bytes import loads
from ..codec.document import decode
from ..codec.operations import decode_operation
from ..errors import ConfigurationError, OrchestraMemoryError
from ..layers.fallback.conflicts import DELETED, Conflicted
from ..layers.fallback.queue import known_models
from ..operations import (
    ABSENT,
    PRESENT,
    Delete,
    Durability,
    Op,
    Options,
    Patch,
    Put,
    Ref,
    Stored,
)
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record
from .imports import import_all
from .opening import opened, opened_to_write
from .output import clean, emit, fields_of, note, show_facts
from .verb import Target

FRESH: Final = Options(cache="bypass")


class NoSuchConflict(OrchestraMemoryError):
    """The id is not among the versions kept in this namespace."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options of ``resolve`` say."""

    keep: str
    imports: tuple[str, ...]
    no_cache: bool


def list_(target: Target) -> None:
    async def ask() -> list[Conflicted]:
        async with opened(target) as memory:
            return [each async for each in memory.scan(Query(Conflicted, order_by="-at"))]

    found = anyio.run(ask)
    for each in found:
        if target.as_json:
            emit(_facts(each))
        else:
            print(_line(each))
    if not found and not target.as_json:
        note("no conflicts in this namespace")


def _place(kept: Conflicted) -> str:
    return f"{kept.collection}/{kept.document_key}"


def _facts(kept: Conflicted) -> dict[str, object]:
    facts = fields_of(kept)
    return {name: facts[name] for name in Conflicted.model_fields if name != "document"}


def _line(kept: Conflicted) -> str:
    document = clean(_place(kept))
    return f"{kept.at:%Y-%m-%d %H:%M:%S}  {kept.side:<6}  {kept.reason:<11}  {document}  {kept.id}"


def show(target: Target, key: str, imports: tuple[str, ...]) -> None:
    import_all(imports)

    async def ask() -> tuple[Conflicted, Stored[Any] | None]:
        async with opened(target) as memory:
            kept = await _kept(memory, key)
            model = known_models().get((kept.collection, kept.model))
            if model is None:
                return kept, None
            return kept, await _now(memory, Ref(model, kept.document_key))

    kept, now = anyio.run(ask)
    facts: dict[str, object] = {**_facts(kept), "stored_revision": now and now.revision}
    version: object = json.loads(kept.document)
    stored = None if now is None else fields_of(now.record)
    if target.as_json:
        emit({**facts, "kept": version, "stored": stored})
        return
    # Revisions are there to be compared, not counted.
    numbers = {name: str(facts[name]) for name in ("revision", "stored_revision") if facts[name]}
    show_facts({**facts, **numbers})
    for name, value in (("kept", version), ("stored", stored)):
        print(f"{name}:")
        emit(value)


async def _kept(memory: MemoryManager, key: str) -> Conflicted:
    kept = await memory.get(Conflicted, key, options=FRESH)
    if kept is None:
        raise NoSuchConflict(
            "there is no such conflict in this namespace; orchestra-memory conflicts list has them"
        )
    return kept


async def _now(memory: MemoryManager, ref: Ref[Any]) -> Stored[Any] | None:
    (stored,) = await memory.read([ref], options=FRESH)
    return stored


def resolve(target: Target, key: str, choice: Choice) -> None:
    import_all(choice.imports)

    async def do() -> Conflicted:
        async with opened_to_write(target, no_cache=choice.no_cache) as memory:
            kept = await _kept(memory, key)
            ops: list[Op] = [Delete(Ref(Conflicted, key), expect=PRESENT)]
            if kept.side == choice.keep:
                ops.insert(0, await _restoring(memory, kept))
            # Not to be queued in its turn.
            await memory.write(ops, options=Options(min_durability=Durability.COMMITTED))
            return kept

    kept = anyio.run(do)
    if target.as_json:
        emit({**_facts(kept), "kept": choice.keep})
    else:
        print(clean(f"{_place(kept)}: the {choice.keep} version is kept"))


async def _restoring(memory: MemoryManager, kept: Conflicted) -> Op:
    """The operation that puts the kept version into effect, over what is stored now."""
    models = known_models()
    model = models.get((kept.collection, kept.model))
    if model is None:
        raise ConfigurationError(
            f"{kept.collection}: a version of the record type {kept.model!r}, which is not known "
            "here; name the module that declares it with --import"
        )
    ref = Ref(model, kept.document_key)
    if kept.document == DELETED:
        op: Op = Delete(ref)
    elif kept.side == "remote":
        op = Put(decode(ref, loads(kept.document)))
    else:
        op = _here(decode_operation(kept.document.encode(), models))
    if isinstance(op, Put):
        # What was looked at is what is replaced.
        now = await _now(memory, op.ref)
        return replace(op, expect=ABSENT if now is None else now.revision)
    return replace(op, expect=PRESENT) if isinstance(op, Patch) else Delete(op.ref)


def _here(op: Op) -> Op:
    """The operation without its namespace: the memory is in it already."""
    if isinstance(op, Put):
        return replace(op, namespace=None)
    ref: Ref[Record] = replace(op.ref, namespace=None)
    return replace(op, ref=ref)
