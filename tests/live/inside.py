"""A layer that keeps everything, namespaces included, under names that begin alike."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from orchestra_memory import (
    Conflict,
    Health,
    MemoryManager,
    Options,
    Page,
    PartialWrite,
    Query,
    Receipt,
    Ref,
    Snapshot,
    Totals,
)
from orchestra_memory.operations import DEFAULT, Delete, Measure, Op, Patch, Put


class Inside(MemoryManager):
    """Puts every namespace, or none, behind `prefix`; errors speak of the plain ones."""

    def __init__(self, inner: MemoryManager, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        return await self._inner.read([self._ref(ref) for ref in refs], options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        placed = [self._op(op) for op in ops]
        with self._as_given(ops, placed):
            return await self._inner.write(placed, options=options)

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        return await self._inner.find(self._query(query), options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._inner.aggregate(self._query(query), measures, options=options)

    async def health(self) -> Health:
        return await self._inner.health()

    def _space(self, namespace: str | None) -> str:
        return self._prefix if namespace is None else f"{self._prefix}-{namespace}"

    def _ref(self, ref: Ref[Any]) -> Ref[Any]:
        return replace(ref, namespace=self._space(ref.namespace))

    def _op(self, op: Op) -> Op:
        if isinstance(op, Put):
            return Put(op.record, op.expect, self._space(op.namespace))
        if isinstance(op, Patch):
            return replace(op, ref=self._ref(op.ref))
        return Delete(self._ref(op.ref), op.expect)

    def _query(self, query: Query[Any]) -> Query[Any]:
        return query.with_(namespace=self._space(query.namespace))

    @contextmanager
    def _as_given(self, ops: Sequence[Op], placed: Sequence[Op]) -> Iterator[None]:
        given = {id(there): op for there, op in zip(placed, ops, strict=True)}
        refs = {there.ref: op.ref for there, op in zip(placed, ops, strict=True)}
        try:
            yield
        except Conflict as error:
            error.refs = tuple(refs[ref] for ref in error.refs)
            raise
        except PartialWrite as error:
            error.committed = tuple(given[id(op)] for op in error.committed)
            error.remaining = tuple(given[id(op)] for op in error.remaining)
            raise
