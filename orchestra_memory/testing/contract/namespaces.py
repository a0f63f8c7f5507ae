"""Tenants neither see nor change one another's records."""

from __future__ import annotations

import pytest

from ...errors import InvalidQuery
from ...operations import Count, Delete, Patch, Put, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note

NAMES = ("acme", "acme2", "acm", "ACME", "acme.", "acme%2Fx", "~acme", "ακμη", "a" * 1_000)


class NamespaceContract(Contract):
    async def test_names_that_look_alike_are_apart(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="n", title="of nobody"))
        for name in NAMES:
            await memory.with_options(namespace=name).put(Note(id="n", title=name))
        for name in NAMES:
            view = memory.with_options(namespace=name)
            assert await view.get(Note, "n") == Note(id="n", title=name)
            assert (await view.find(Query(Note))).records == [Note(id="n", title=name)]
            assert (await view.aggregate(Query(Note), [Count()]))["count"] == 1
        assert (await memory.find(Query(Note))).records == [Note(id="n", title="of nobody")]

    async def test_changes_stay_in_their_namespace(self, memory: MemoryManager) -> None:
        ours, theirs = (memory.with_options(namespace=name) for name in ("ours", "theirs"))
        for view in (memory, ours, theirs):
            await view.put(Note(id="a", rank=1))
            await view.put(Note(id="b"))
        await ours.write([Patch(Ref(Note, "a"), increment={"rank": 1}), Delete(Ref(Note, "b"))])
        assert await ours.get_many(Note, "ab") == [Note(id="a", rank=2), None]
        for view in (memory, theirs):
            assert await view.get_many(Note, "ab") == [Note(id="a", rank=1), Note(id="b")]
        await ours.delete_many(Note, "ab")
        assert await theirs.get(Note, "a") == Note(id="a", rank=1)

    async def test_update_and_scan_stay_in_their_namespace(self, memory: MemoryManager) -> None:
        view = memory.with_options(namespace="ours")
        await memory.put(Note(id="a"))
        await view.put(Note(id="a"))
        await view.update(Note, "a", lambda note: note.evolve(rank=5))
        assert [note.rank async for note in view.scan(Query(Note))] == [5]
        assert [note.rank async for note in memory.scan(Query(Note))] == [0]

    async def test_a_ref_a_put_and_a_query_can_name_one(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a"), namespace="ours"), Put(Note(id="b"))])
        assert (await memory.read([Ref(Note, "a"), Ref(Note, "a", "ours")])).records == [
            None,
            Note(id="a"),
        ]
        assert (await memory.find(Query(Note, namespace="ours"))).records == [Note(id="a")]
        await memory.write([Delete(Ref(Note, "a", "ours"))])
        assert await memory.with_options(namespace="ours").get(Note, "a") is None

    async def test_one_batch_can_reach_several(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a", title=name), namespace=name) for name in NAMES])
        snapshot = await memory.read([Ref(Note, "a", name) for name in NAMES])
        assert [note and note.title for note in snapshot.records] == list(NAMES)

    async def test_a_cursor_does_not_open_another_namespace(self, memory: MemoryManager) -> None:
        ours, theirs = (memory.with_options(namespace=name) for name in ("ours", "theirs"))
        for view in (ours, theirs):
            await view.put_many(Note(id=key) for key in "abc")
        page = await ours.find(Query(Note, page_size=1))
        with pytest.raises(InvalidQuery):
            await theirs.find(Query(Note, page_size=1, after=page.cursor))

    async def test_a_bound_memory_cannot_be_bound_again(self, memory: MemoryManager) -> None:
        view = memory.with_options(namespace="ours")
        with pytest.raises(InvalidQuery) as caught:
            view.with_options(namespace="theirs")
        assert caught.value.field == "namespace"
        for ref in (Ref(Note, "a", "theirs"), Ref(Note, "a", "ours2")):
            with pytest.raises(InvalidQuery):
                await view.read([ref])
            with pytest.raises(InvalidQuery):
                await view.write([Delete(ref)])
            with pytest.raises(InvalidQuery):
                await view.find(Query(Note, namespace=ref.namespace))
            with pytest.raises(InvalidQuery):
                await view.aggregate(Query(Note, namespace=ref.namespace), [Count()])

    async def test_naming_the_bound_one_again_is_fine(self, memory: MemoryManager) -> None:
        view = memory.with_options(namespace="ours").with_options(namespace="ours")
        await view.write([Put(Note(id="a"), namespace="ours")])
        assert (await view.find(Query(Note, namespace="ours"))).records == [Note(id="a")]

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "__x__", "é" * 751])
    async def test_unusable_names_are_refused(self, memory: MemoryManager, name: str) -> None:
        with pytest.raises(InvalidQuery) as caught:
            memory.with_options(namespace=name)
        assert caught.value.field == "namespace"
