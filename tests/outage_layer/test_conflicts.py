"""Where somebody else has changed a document: what is applied, what is kept, and by whose rule."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from orchestra_memory import ABSENT, Delete, MemoryItem, Patch, Put, Ref
from orchestra_memory.codec.bytes import loads
from orchestra_memory.layers.fallback.replay import Drained
from orchestra_memory.values import utc_now

from .replaying import Doc, Process, Recorded, kept, operation_in

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")


class Scene:
    """A document that a process knows, and that another one changes during its outage."""

    def __init__(self, policy=None) -> None:
        self.store = Recorded()
        self.process = Process(self.store, {Doc: policy} if policy else None)

    async def known(self, **fields) -> None:
        await self.store.put(Doc(id="a", **fields))
        (found,) = await self.store.read([A])
        self.process.standby.saw(A, found)

    async def update(self, **changes) -> None:
        """As ``update`` does it: on the revision that was read."""
        found = self.process.visible("a")
        await self.process.write(Put(found.record.evolve(**changes), found.revision))

    async def ended(self) -> tuple[Doc | None, list, Drained]:
        drained = await self.process.drain_all()
        assert not len(self.process.queue)
        return await self.store.get(Doc, "a"), await kept(self.store), drained


async def test_a_put_goes_over_what_others_wrote_and_that_is_kept():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Put(Doc(id="a", text="ours")))
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, (version,), drained = await scene.ended()
    assert doc.text == "ours"
    assert (version.side, version.reason, version.document_key) == ("remote", "overwritten", "a")
    assert loads(version.document)["text"] == "theirs"
    assert (drained.replayed, drained.conflicts) == (1, 1)


async def test_a_version_that_was_known_is_not_kept():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Put(Doc(id="a", text="ours")))
    doc, versions, _ = await scene.ended()
    assert (doc.text, versions) == ("ours", [])


async def test_a_put_brings_back_what_others_deleted_and_that_is_told():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Put(Doc(id="a", text="ours")))
    await scene.store.delete(Doc, "a")
    doc, (version,), drained = await scene.ended()
    assert doc.text == "ours"
    assert (version.side, version.reason, version.document_key) == ("remote", "overwritten", "a")
    assert (loads(version.document), version.revision) == (None, None)
    assert (drained.replayed, drained.conflicts) == (1, 1)


async def test_what_has_expired_meanwhile_was_deleted_by_nobody():
    store = Recorded()
    process = Process(store)
    soon = utc_now() + timedelta(hours=1)
    item = MemoryItem(id="a", user_id="u", text_content="known", expiration=soon)
    await store.put(item)
    (found,) = await store.read([Ref(MemoryItem, "a")])
    process.standby.saw(Ref(MemoryItem, "a"), found)
    await process.write(Put(item.evolve(text_content="ours")))
    await store.delete(MemoryItem, "a")
    await process.drain_all()
    assert await kept(store) == []
    assert (await store.get(MemoryItem, "a")).text_content == "ours"


async def test_what_was_not_there_before_was_deleted_by_nobody():
    scene = Scene()
    await scene.process.write(Put(Doc(id="a", text="ours")))
    doc, versions, _ = await scene.ended()
    assert (doc.text, versions) == ("ours", [])


async def test_an_own_deletion_is_no_conflict():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Delete(A))
    await scene.process.write(Put(Doc(id="a", text="ours")))
    doc, versions, _ = await scene.ended()
    assert (doc.text, versions) == ("ours", [])


async def test_a_delete_keeps_what_others_wrote():
    scene = Scene()
    await scene.known()
    await scene.process.write(Delete(A))
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, (version,), _ = await scene.ended()
    assert doc is None
    assert loads(version.document)["text"] == "theirs"


@pytest.mark.parametrize("op", [Put(Doc(id="a", text="ours")), Delete(A)])
async def test_of_a_document_nothing_is_known_of_what_is_there_is_kept(op):
    scene = Scene()
    await scene.store.put(Doc(id="a", text="theirs"))
    await scene.process.write(op)
    _, (version,), _ = await scene.ended()
    assert loads(version.document)["text"] == "theirs"


async def test_changes_to_different_fields_are_merged():
    scene = Scene()
    await scene.known(text="known", note="known")
    await scene.update(text="ours")
    await scene.store.write([Patch(A, set={"note": "theirs"}, increment={"count": 5})])
    doc, versions, _ = await scene.ended()
    assert (doc.text, doc.note, doc.count, versions) == ("ours", "theirs", 5, [])


async def test_a_patch_is_merged_with_what_others_did_to_other_fields():
    scene = Scene()
    await scene.known()
    await scene.process.write(Patch(A, set={"text": "ours"}, increment={"count": 2}))
    await scene.store.write([Patch(A, set={"note": "theirs"}, increment={"count": 5})])
    doc, versions, _ = await scene.ended()
    assert (doc.text, doc.note, doc.count, versions) == ("ours", "theirs", 7, [])


@pytest.mark.parametrize("way", ["update", "patch"])
async def test_what_cannot_be_merged_is_kept_and_listed_by_default(way):
    scene = Scene()
    await scene.known(text="known")
    if way == "update":
        await scene.update(text="ours")
    else:
        await scene.process.write(Patch(A, set={"text": "ours"}))
    await scene.store.write([Patch(A, set={"text": "theirs"})])
    doc, (version,), drained = await scene.ended()
    assert doc.text == "theirs"
    assert (version.side, version.reason, version.model) == ("local", "refused", "Doc")
    again = operation_in(version)
    assert again.record if isinstance(again, Put) else again.set
    assert (drained.replayed, drained.conflicts) == (0, 1)


async def test_the_same_change_by_both_is_no_conflict():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Patch(A, set={"text": "agreed"}))
    await scene.store.write([Patch(A, set={"text": "agreed", "note": "theirs"})])
    doc, versions, _ = await scene.ended()
    assert (doc.text, doc.note, versions) == ("agreed", "theirs", [])


async def test_keep_local_writes_ours_and_keeps_theirs():
    scene = Scene("keep_local")
    await scene.known()
    await scene.update(text="ours")
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, (version,), _ = await scene.ended()
    assert doc.text == "ours"
    assert (version.side, version.reason) == ("remote", "overwritten")


async def test_a_deletion_over_a_deletion_puts_nothing_away():
    scene = Scene("keep_local")
    await scene.known()
    await scene.process.write(Patch(A, set={"text": "ours"}))
    await scene.process.write(Delete(A, scene.process.visible("a").revision))
    await scene.store.delete(Doc, "a")
    doc, versions, _ = await scene.ended()
    # What was patched is gone; the deletion that was to follow has nothing left to do.
    assert doc is None
    assert [(each.side, each.reason) for each in versions] == [("local", "refused")]


async def test_keep_remote_leaves_theirs_and_keeps_ours():
    scene = Scene("keep_remote")
    await scene.known()
    await scene.update(text="ours")
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, (version,), _ = await scene.ended()
    assert doc.text == "theirs"
    assert (version.side, version.reason) == ("local", "overwritten")
    assert operation_in(version).record.text == "ours"


async def test_a_function_makes_one_of_both_and_both_are_kept():
    scene = Scene(lambda local, remote: remote.evolve(text=f"{remote.text} and {local.text}"))
    await scene.known()
    await scene.update(text="ours")
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, versions, _ = await scene.ended()
    assert doc.text == "theirs and ours"
    assert {(each.side, each.reason) for each in versions} == {
        ("local", "merged"),
        ("remote", "merged"),
    }


@pytest.mark.parametrize(
    "function", [lambda local, remote: 1 / 0, lambda local, remote: remote.evolve(id="other")]
)
async def test_a_function_that_fails_loses_nothing(function, caplog):
    scene = Scene(function)
    await scene.known()
    await scene.update(text="ours")
    await scene.store.put(Doc(id="a", text="theirs"))
    with caplog.at_level(logging.ERROR):
        doc, (version,), _ = await scene.ended()
    assert (doc.text, version.reason) == ("theirs", "refused")
    assert caplog.records


async def test_what_others_deleted_is_not_brought_back_by_a_patch():
    scene = Scene("keep_local")
    await scene.known()
    await scene.process.write(Patch(A, set={"text": "ours"}))
    await scene.store.delete(Doc, "a")
    doc, (version,), _ = await scene.ended()
    assert doc is None
    assert version.side == "local"
    assert version.revision is None


async def test_what_builds_on_a_refused_write_is_refused_too():
    scene = Scene()
    await scene.known(text="known", note="known")
    await scene.update(text="ours")
    await scene.update(note="on top of ours")
    await scene.store.write([Patch(A, set={"text": "theirs"})])
    doc, versions, _ = await scene.ended()
    assert (doc.text, doc.note) == ("theirs", "known")
    assert [each.side for each in versions] == ["local", "local"]


async def test_an_atomic_write_of_which_one_part_conflicts_is_kept_whole():
    scene = Scene()
    await scene.known(text="known")
    await scene.process.write(Patch(A, set={"text": "ours"}), Put(Doc(id="b", text="ours")))
    await scene.store.write([Patch(A, set={"text": "theirs"})])
    doc, versions, _ = await scene.ended()
    assert doc.text == "theirs"
    assert await scene.store.get(Doc, "b") is None
    assert sorted(each.document_key for each in versions) == ["a", "b"]


async def test_a_version_is_kept_in_the_namespace_of_its_document():
    scene = Scene()
    await scene.store.write([Put(Doc(id="a", text="theirs"), namespace="acme")])
    await scene.process.write(Put(Doc(id="a", text="ours"), namespace="acme"))
    await scene.process.drain_all()
    assert await kept(scene.store) == []
    (version,) = await kept(scene.store.with_options(namespace="acme"))
    assert loads(version.document)["text"] == "theirs"


async def test_a_document_as_deep_as_may_be_can_be_kept():
    scene = Scene()
    deep: dict = {"x": 1}
    for _ in range(19):
        deep = {"x": deep}
    await scene.store.put(Doc(id="a", seen=deep))
    await scene.process.write(Put(Doc(id="a")))
    _, (version,), _ = await scene.ended()
    assert loads(version.document)["seen"] == deep


async def test_two_that_were_created_under_one_id_are_told_apart():
    scene = Scene()
    await scene.process.write(Put(Doc(id="a", text="ours"), ABSENT))
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, (version,), _ = await scene.ended()
    assert doc.text == "theirs"
    assert operation_in(version).record.text == "ours"
