"""What may be stored, given what was acknowledged and what was not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from orchestra_memory import Delete, Patch, Put, Record, Ref
from orchestra_memory.operations import Op

KEYS = ("a", "b", "c")


class Doc(Record, collection="outage_docs"):
    id: str
    total: int = 0
    text: str = ""


Value: TypeAlias = tuple[int, str] | None
World: TypeAlias = tuple[Value, ...]
"""What each document is, in the order of `KEYS`."""
NOTHING: World = (None,) * len(KEYS)


@dataclass(frozen=True)
class Change:
    """One operation on one document, and what it makes of it."""

    key: str
    op: Op
    change: Callable[[Value], Value]

    def __repr__(self) -> str:
        return f"{type(self.op).__name__}({self.key})"


def put(key: str, text: str) -> Change:
    return Change(key, Put(Doc(id=key, text=text)), lambda _: (0, text))


def count(key: str) -> Change:
    patch = Patch(Ref(Doc, key), increment={"total": 1}, or_create=Doc(id=key))
    return Change(key, patch, lambda value: ((value or (0, ""))[0] + 1, (value or (0, ""))[1]))


def note(key: str, text: str) -> Change:
    patch = Patch(Ref(Doc, key), set={"text": text}, or_create=Doc(id=key))
    return Change(key, patch, lambda value: ((value or (0, ""))[0], text))


def delete(key: str) -> Change:
    return Change(key, Delete(Ref(Doc, key)), lambda _: None)


def moved(change: Change, key: str) -> Change:
    """The same change of another document."""
    op = change.op
    if isinstance(op, Put):
        return replace(change, key=key, op=Put(op.record.evolve(id=key)))
    if isinstance(op, Delete):
        return delete(key)
    return replace(change, key=key, op=replace(op, ref=Ref(Doc, key), or_create=Doc(id=key)))


def applied(world: World, changes: Iterable[Change]) -> World:
    values = dict(zip(KEYS, world, strict=True))
    for each in changes:
        values[each.key] = each.change(values[each.key])
    return tuple(values.values())


def value_of(doc: Doc | None) -> Value:
    return None if doc is None else (doc.total, doc.text)


def world_of(docs: Mapping[str, Doc | None]) -> World:
    return tuple(value_of(docs.get(key)) for key in KEYS)


class Worlds:
    """All worlds that may be."""

    def __init__(self) -> None:
        self.all: set[World] = {NOTHING}

    def __repr__(self) -> str:
        return f"<Worlds {self.all}>"

    def acknowledged(self, changes: list[Change]) -> None:
        self.all = {applied(world, changes) for world in self.all}

    def unknown(self, changes: list[Change]) -> None:
        """They were not acknowledged: all of them are applied, or none."""
        self.all |= {applied(world, changes) for world in self.all}

    def values(self, key: str) -> set[Value]:
        return {world[KEYS.index(key)] for world in self.all}

    def known(self, world: World) -> None:
        """This one is."""
        assert world in self.all
        self.all = {world}

    def was(self, key: str, value: Value) -> None:
        """A write was decided on this value, and no other."""
        self.all = {world for world in self.all if world[KEYS.index(key)] == value}
        assert self.all, f"{key} was never {value}"
