"""Everything of one user: shown, written out, and erased for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias

from ..errors import Conflict, InvalidQuery
from ..layers.fallback.queue import known_models
from ..operations import FREE, Billed
from ..ownership import digest, owner_paths
from ..protocol import MemoryManager
from ..record import Record, checked_key, spec_of
from .belongings import Place, conflicts_of, places
from .counting import Counting
from .erasing import Erasing

ROUNDS: Final = 10
"""Searches, each after the one before found something, after which somebody must be writing."""

Forget: TypeAlias = Callable[[str, str | None], Awaitable[Mapping[str, int]]]
"""Has something forget a user of a namespace, and tells how much of what it forgot."""


@dataclass(frozen=True, slots=True)
class NamespaceErasure:
    """What was erased in one namespace.

    ``records`` counts documents by collection, also of runs that were stopped before this one
    ended. ``forgotten`` counts what this run had the cache, the journal and the copies in memory
    forget. At ``finished_at`` a search of every collection found nothing.
    """

    namespace: str | None
    records: Mapping[str, int]
    forgotten: Mapping[str, int]
    started_at: datetime
    finished_at: datetime | None
    billed: Billed


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """That a user was erased. ``subject`` is the SHA-256 of the user's id: it names nobody."""

    subject: str
    namespaces: tuple[NamespaceErasure, ...]

    @property
    def records(self) -> int:
        """How many documents that were."""
        return sum(sum(each.records.values()) for each in self.namespaces)

    @property
    def billed(self) -> Billed:
        return sum((each.billed for each in self.namespaces), FREE)


class Privacy:
    """What `memory` knows of single users.

    A record is a user's if its field ``user_id`` says so or, where its type has none, ``user_id``
    in one of its maps ``metadata``, ``context``, ``task_context``, ``agent_config`` and
    ``collaboration_context``, as far as stores can be asked for it. It is compared as a whole.
    ``models`` are the record types looked through, by default all that are imported. ``namespace``
    is the one that `memory` is bound to, if it is to any. ``forgetting`` are the caches and the
    like in it.
    """

    def __init__(
        self,
        memory: MemoryManager,
        *,
        models: Iterable[type[Record]] | None = None,
        namespace: str | None = None,
        forgetting: Sequence[Forget] = (),
    ) -> None:
        self._memory = memory
        self._models = None if models is None else tuple(models)
        self._namespace = namespace
        self._forgetting = tuple(forgetting)

    def __repr__(self) -> str:
        return f"<Privacy in {self._memory!r}>"

    async def count(
        self, user_id: str, *, namespaces: Iterable[str | None] = (None,)
    ) -> dict[str, int]:
        """How many documents of the user there are, by collection, where there are any.

        One that says in two ways whose it is counts twice. Raises ``Unavailable`` in an outage, and
        ``InvalidQuery`` for what can be no user's id.
        """
        user_id = _checked(user_id)
        found: Counter[str] = Counter()
        for namespace in _several(namespaces):
            memory = self._in(namespace)
            where = self._places()
            counts = await Counting(memory).counts(place.query(user_id) for place in where)
            for place, count in zip(where, counts, strict=True):
                found[spec_of(place.model).collection] += count
            async with aclosing(conflicts_of(memory, user_id)) as conflicts:
                async for each in conflicts:
                    found["conflicts"] += len(each)
        return {name: count for name, count in found.items() if count}

    async def export(
        self,
        user_id: str,
        path: str | PathLike[str],
        *,
        namespaces: Iterable[str | None] = (None,),
        resume: bool = False,
    ) -> int:
        """Write everything of the user to `path` as JSON lines; how many records.

        It is packed if the name ends in ``.gz``, and replaces what has that name. Expired records
        and versions that lost in an outage are in it, too. With `resume` it goes on with the
        ``.part`` that an earlier run left. Raises ``Unavailable`` in an outage, ``UnreadableFile``
        where there is nothing to resume, and ``InvalidQuery`` for what can be no user's id.
        """
        from .exporting_users import UserExport

        user_id = _checked(user_id)
        where = [(each or self._namespace, self._in(each)) for each in _several(namespaces)]
        return await UserExport(Path(path), user_id, self._places(), where).run(resume=resume)

    async def erase(
        self, user_id: str, *, namespaces: Iterable[str | None] = (None,)
    ) -> ErasureReceipt:
        """Erase everything of the user, and search for it until nothing is found.

        A mark that names nobody stays in each namespace: what processes elsewhere have queued for
        this user until now is not written when they replay it. Whatever ends this early, call it
        again: it goes on, and the receipt counts all. A user who comes back afterwards is new.

        Raises ``Unavailable`` or ``DurabilityUnavailable`` in an outage, as nothing less than
        ``COMMITTED`` will do, ``Conflict`` where somebody keeps writing for this user, and
        ``InvalidQuery`` for what can be no user's id.
        """
        user_id = _checked(user_id)
        done = [await self._erase_in(each, user_id) for each in _several(namespaces)]
        return ErasureReceipt(digest(user_id), tuple(done))

    async def _erase_in(self, namespace: str | None, user_id: str) -> NamespaceErasure:
        where = namespace or self._namespace
        erasing = Erasing(self._in(namespace), self._places(), user_id)
        await erasing.begin()
        forgotten = await self._forget(user_id, where)
        for _ in range(ROUNDS):
            if not await erasing.erase():
                break
            forgotten.update(await self._forget(user_id, where))
        else:
            raise Conflict(
                "records of this user keep coming; stop what writes them, and erase again",
                operation="erase",
            )
        mark = await erasing.finish()
        return NamespaceErasure(
            where,
            dict(mark.counts),
            dict(forgotten),
            mark.started_at,
            mark.finished_at,
            erasing.billed,
        )

    async def _forget(self, user_id: str, namespace: str | None) -> Counter[str]:
        forgotten: Counter[str] = Counter()
        for forget in self._forgetting:
            forgotten.update(await forget(user_id, namespace))
        return forgotten

    def _in(self, namespace: str | None) -> MemoryManager:
        if namespace is None:
            return self._memory
        return self._memory.with_options(namespace=namespace)

    def _places(self) -> list[Place]:
        models = known_models().values() if self._models is None else self._models
        return places({model for model in models if owner_paths(model)})


def _checked(user_id: str) -> str:
    """An id that is empty for want of a value must not look like a user of whom nothing is left."""
    try:
        return checked_key(user_id)
    except ValueError as error:
        raise InvalidQuery(f"user_id: {error}", field="user_id") from None


def _several(namespaces: Iterable[str | None]) -> Iterable[str | None]:
    """A name alone would count as one namespace for each of its letters."""
    if isinstance(namespaces, str):
        raise InvalidQuery("namespaces: a str; give a list of names", field="namespaces")
    return namespaces
