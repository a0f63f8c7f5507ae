"""Local memory looks up records by their scopes, and finds what it would find without."""

import pytest

from orchestra_memory import Count, Delete, LocalMemory, Patch, Query, Record, Ref

pytestmark = pytest.mark.anyio


class Plain(Record, collection="shared"):
    """What one part of a program keeps in the collection."""

    id: str
    owner: str | int | None = None


class Scoped(Record, collection="shared", scopes=["owner"]):
    """What another part keeps in it."""

    id: str
    owner: str | int | None = None


async def ids(memory: LocalMemory, owner: str | int | None) -> list[str]:
    query = Query(Scoped, where={"owner": owner})
    found = [record.id async for record in memory.scan(query)]
    assert (await memory.aggregate(query, [Count()]))["count"] == len(found)
    return found


async def test_a_scope_holds_what_was_put_as_another_type_before_and_after() -> None:
    memory = LocalMemory()
    await memory.put(Plain(id="a", owner="ann"))
    await memory.put(Scoped(id="b", owner="ann"))
    await memory.put(Plain(id="c", owner="ann"))
    assert await ids(memory, "ann") == ["a", "b", "c"]


async def test_a_record_put_into_another_scope_leaves_its_own() -> None:
    memory = LocalMemory()
    await memory.put_many(Scoped(id=key, owner="ann") for key in "abc")
    await memory.put(Scoped(id="b", owner="bob"))
    await memory.put(Scoped(id="c", owner=7))
    assert await ids(memory, "ann") == ["a"]
    assert await ids(memory, "bob") == ["b"]
    assert await ids(memory, 7) == ["c"]
    await memory.write([Patch(Ref(Plain, "a"), set={"owner": None}), Delete(Ref(Plain, "b"))])
    assert [await ids(memory, owner) for owner in ("ann", "bob", None)] == [[], [], ["a"]]
