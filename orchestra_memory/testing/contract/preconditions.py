"""``expect``: changes that happen only if the store is as the caller believes."""

from __future__ import annotations

import pytest

from ...errors import Conflict
from ...operations import ABSENT, PRESENT, Delete, Expect, Op, Patch, Put, Ref
from ...protocol import MemoryManager
from .base import Contract
from .models import Note

A, B = Ref(Note, "a"), Ref(Note, "b")


async def revision(memory: MemoryManager, ref: Ref[Note] = A) -> int:
    (stored,) = await memory.read([ref])
    assert stored is not None
    return stored.revision


async def refused(memory: MemoryManager, *ops: Op) -> list[str]:
    """The ids that a write's ``Conflict`` names."""
    with pytest.raises(Conflict) as caught:
        await memory.write(ops)
    assert all(ref.collection == "contract_notes" for ref in caught.value.refs)
    return [ref.key for ref in caught.value.refs]


def change(kind: str, expect: Expect) -> Op:
    """An operation on record ``a``."""
    if kind == "put":
        return Put(Note(id="a", rank=9), expect)
    if kind == "patch":
        assert expect is not None
        return Patch(A, set={"rank": 9}, expect=expect)
    return Delete(A, expect)


class PreconditionContract(Contract):
    async def test_absent_holds_for_what_is_not_there(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"), expect=ABSENT)
        assert await memory.get(Note, "a") == Note(id="a")

    async def test_absent_refuses_what_is_there(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=1))
        assert await refused(memory, Put(Note(id="a", rank=2), ABSENT)) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_absent_holds_again_after_a_delete(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=1))
        await memory.delete(Note, "a")
        await memory.put(Note(id="a", rank=2), expect=ABSENT)
        assert await memory.get(Note, "a") == Note(id="a", rank=2)

    @pytest.mark.parametrize("kind", ["put", "patch", "delete"])
    async def test_present_needs_the_record(self, memory: MemoryManager, kind: str) -> None:
        assert await refused(memory, change(kind, PRESENT)) == ["a"]
        assert await memory.get(Note, "a") is None
        await memory.put(Note(id="a", rank=1))
        await memory.write([change(kind, PRESENT)])
        after = await memory.get(Note, "a")
        assert after == (None if kind == "delete" else Note(id="a", rank=9))

    @pytest.mark.parametrize("kind", ["put", "patch", "delete"])
    async def test_the_right_revision_holds(self, memory: MemoryManager, kind: str) -> None:
        await memory.put(Note(id="a", rank=1))
        await memory.write([change(kind, await revision(memory))])
        after = await memory.get(Note, "a")
        assert after == (None if kind == "delete" else Note(id="a", rank=9))

    @pytest.mark.parametrize("kind", ["put", "patch", "delete"])
    async def test_an_older_revision_is_refused(self, memory: MemoryManager, kind: str) -> None:
        await memory.put(Note(id="a", rank=1))
        old = await revision(memory)
        await memory.put(Note(id="a", rank=2))
        assert await refused(memory, change(kind, old)) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a", rank=2)

    @pytest.mark.parametrize("kind", ["put", "patch", "delete"])
    async def test_a_revision_not_yet_reached_is_refused(
        self, memory: MemoryManager, kind: str
    ) -> None:
        await memory.put(Note(id="a", rank=1))
        future = await revision(memory) + 3_600_000_000
        assert await refused(memory, change(kind, future)) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    @pytest.mark.parametrize("kind", ["put", "patch", "delete"])
    async def test_a_revision_of_something_deleted_is_refused(
        self, memory: MemoryManager, kind: str
    ) -> None:
        await memory.put(Note(id="a"))
        old = await revision(memory)
        await memory.delete(Note, "a")
        assert await refused(memory, change(kind, old)) == ["a"]
        await memory.put(Note(id="a"))
        assert await refused(memory, change(kind, old)) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a")

    async def test_a_revision_of_another_record_does_not_serve(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))
        await memory.put(Note(id="b"))
        assert await refused(memory, Put(Note(id="a", rank=1), await revision(memory, B))) == ["a"]

    async def test_deleting_what_should_be_absent_is_refused_where_it_is_not(
        self, memory: MemoryManager
    ) -> None:
        await memory.write([Delete(A, ABSENT)])
        await memory.put(Note(id="a"))
        assert await refused(memory, Delete(A, ABSENT)) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a")

    async def test_a_conflict_names_exactly_what_failed(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=key) for key in ("here", "there", "plain"))
        here = await revision(memory, Ref(Note, "here"))
        names = await refused(
            memory,
            Put(Note(id="here", rank=1), here),
            Put(Note(id="there", rank=1), ABSENT),
            Put(Note(id="plain", rank=1)),
            Patch(Ref(Note, "gone"), set={"rank": 1}),
            Put(Note(id="new"), ABSENT),
            Delete(Ref(Note, "nowhere"), PRESENT),
        )
        assert names == ["there", "gone", "nowhere"]

    async def test_a_conflict_applies_nothing(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=1))
        await refused(
            memory,
            Put(Note(id="b")),
            Delete(A),
            Put(Note(id="c"), PRESENT),
        )
        assert await memory.get_many(Note, "abc") == [Note(id="a", rank=1), None, None]

    async def test_a_conflict_tells_no_content(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", title="s3cret"))
        with pytest.raises(Conflict) as caught:
            await memory.put(Note(id="a", title="s3cret too"), expect=ABSENT)
        assert (caught.value.collection, caught.value.key) == ("contract_notes", "a")
        assert caught.value.operation == "write"
        assert "s3cret" not in repr(caught.value)
        assert "s3cret" not in str(caught.value)

    async def test_an_unconditional_put_cannot_conflict(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))
        await memory.write([Put(Note(id="a", rank=1)), Delete(B)])
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_conditions_see_what_the_batch_did_before(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a")), Put(Note(id="a", rank=1), PRESENT)])
        await memory.write([Delete(A), Put(Note(id="a", rank=2), ABSENT)])
        assert await memory.get(Note, "a") == Note(id="a", rank=2)
        assert await refused(memory, Delete(A), Patch(A, set={"rank": 3})) == ["a"]
        assert await refused(memory, Put(Note(id="b")), Put(Note(id="b"), ABSENT)) == ["b"]
        assert await memory.get_many(Note, "ab") == [Note(id="a", rank=2), None]

    async def test_a_revision_does_not_hold_after_a_change_in_the_same_batch(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Note(id="a", rank=1))
        known = await revision(memory)
        for later in (
            Put(Note(id="a"), known),
            Patch(A, set={"rank": 3}, expect=known),
            Patch(A, set={"rank": 3}, expect=known, or_create=Note(id="a")),
            Delete(A, known),
        ):
            assert await refused(memory, Patch(A, set={"rank": 2}), later) == ["a"]
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_a_patch_of_the_absent_is_a_conflict(self, memory: MemoryManager) -> None:
        with pytest.raises(Conflict) as caught:
            await memory.write([Patch(A, increment={"rank": 1})])
        assert [ref.key for ref in caught.value.refs] == ["a"]
        assert await memory.get(Note, "a") is None
