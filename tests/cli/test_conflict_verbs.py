"""The verbs about versions that lost in a replay: they are listed, shown, and decided."""

import json

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.codec.operations import Basis
from orchestra_memory.layers.fallback.conflicts import Conflicted

from .journals_left import DIRECTORY, SECRET, STORE, put, queue_in, texts

REF = om.Ref(om.MemoryItem, "a")
THEIRS = "what another process wrote"
EARLIER = 1
"""The revision that writes were decided on: the first one of a SQLite store."""


@pytest.fixture(autouse=True)
def theirs():
    """Another process wrote the item while writes to it waited."""

    assert write_twice(None) == (EARLIER,)


def write_twice(namespace):
    async def write():
        async with om.open_memory(STORE) as memory:
            earlier = await memory.write([put("a", "earlier", namespace)])
            await memory.write([put("a", THEIRS, namespace)])
        return earlier.revisions

    return anyio.run(write)


def replayed(cli, op, *, namespace=None):
    """Replay a write that was decided on when the store was another, and return what was kept."""

    async def leave():
        async with queue_in(DIRECTORY) as queue:
            await queue.append([(op, Basis(revision=EARLIER))], commit=None)

    anyio.run(leave)
    assert cli("journal", "replay").exit_code == 3
    (kept,) = listed(cli, *([] if namespace is None else ["--namespace", namespace]))
    return kept


def listed(cli, *options):
    done = cli("conflicts", "list", "--json", *options)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def text():
    return texts("a")[0]


def overwritten(cli):
    return replayed(cli, put("a", SECRET))


def refused(cli):
    return replayed(cli, om.Put(put("a", SECRET).record, EARLIER))


def test_there_may_be_none(cli):
    assert listed(cli) == []
    assert "no conflicts" in cli("conflicts", "list").stderr


def test_list_tells_which_versions_lost_but_not_what_they_hold(cli):
    kept = overwritten(cli)
    assert (kept["side"], kept["reason"]) == ("remote", "overwritten")
    assert (kept["collection"], kept["document_key"], kept["model"]) == (
        "memory_items",
        "a",
        "MemoryItem",
    )
    line = cli("conflicts", "list").stdout
    assert kept["id"] in line
    assert "memory_items/a" in line
    assert "document" not in kept
    assert THEIRS not in line


def test_list_goes_by_namespace(cli):
    write_twice("acme")
    replayed(cli, put("a", SECRET, namespace="acme"), namespace="acme")
    assert listed(cli) == []


def test_show_tells_both_versions(cli):
    kept = overwritten(cli)
    done = cli("conflicts", "show", kept["id"], "--json")
    said = json.loads(done.stdout)
    assert said["kept"]["text_content"] == THEIRS
    assert said["stored"]["text_content"] == SECRET
    assert said["stored_revision"] > said["revision"]
    for version in (SECRET, THEIRS):
        assert version in cli("conflicts", "show", kept["id"]).stdout


def test_the_version_of_the_store_can_be_put_back(cli):
    kept = overwritten(cli)
    assert text() == SECRET
    done = cli("conflicts", "resolve", kept["id"], "--keep", "remote")
    assert done.stdout == "memory_items/a: the remote version is kept\n"
    assert (text(), listed(cli)) == (THEIRS, [])


@pytest.mark.parametrize(("keep", "left"), [("remote", None), ("local", SECRET)])
def test_a_deletion_that_was_overwritten_can_be_made_again(cli, keep, left):
    async def delete():
        async with om.open_memory(STORE) as memory:
            await memory.delete(om.MemoryItem, "a")

    anyio.run(delete)
    kept = overwritten(cli)
    shown = json.loads(cli("conflicts", "show", kept["id"], "--json").stdout)
    assert shown["kept"] is None
    assert cli("conflicts", "resolve", kept["id"], "--keep", keep).exit_code == 0
    assert text() == left
    assert listed(cli) == []


def test_the_version_that_was_replayed_can_be_kept(cli):
    kept = overwritten(cli)
    done = cli("conflicts", "resolve", kept["id"], "--keep", "local", "--json")
    assert json.loads(done.stdout)["kept"] == "local"
    assert (text(), listed(cli)) == (SECRET, [])


def test_a_write_that_was_refused_can_be_applied(cli):
    kept = refused(cli)
    assert (kept["side"], kept["reason"], text()) == ("local", "refused", THEIRS)
    assert cli("conflicts", "resolve", kept["id"], "--keep", "local").exit_code == 0
    assert (text(), listed(cli)) == (SECRET, [])


def test_a_patch_that_was_refused_can_be_applied_to_what_is_there_now(cli):
    kept = replayed(cli, om.Patch(REF, set={"persona_active": "chef"}, expect=EARLIER))
    assert cli("conflicts", "resolve", kept["id"], "--keep", "local").exit_code == 0
    stored = json.loads(cli("history", "ann", "--json").stdout)
    assert (stored["persona_active"], stored["text_content"]) == ("chef", THEIRS)


def test_a_deletion_that_was_refused_can_be_made(cli):
    kept = replayed(cli, om.Delete(REF, EARLIER))
    assert cli("conflicts", "resolve", kept["id"], "--keep", "local").exit_code == 0
    assert (text(), listed(cli)) == (None, [])


def test_a_write_that_was_refused_can_be_given_up(cli):
    kept = refused(cli)
    assert cli("conflicts", "resolve", kept["id"], "--keep", "remote").exit_code == 0
    assert (text(), listed(cli)) == (THEIRS, [])


def test_in_a_namespace_it_is_decided_there(cli):
    write_twice("acme")
    op = om.Put(put("a", SECRET).record, EARLIER, "acme")
    kept = replayed(cli, op, namespace="acme")
    done = cli("conflicts", "resolve", kept["id"], "--keep", "local", "--namespace", "acme")
    assert done.exit_code == 0
    assert (text(), texts("a", namespace="acme")) == (THEIRS, [SECRET])


def test_what_is_decided_already_is_no_conflict_any_more(cli):
    kept = overwritten(cli)
    cli("conflicts", "resolve", kept["id"], "--keep", "remote")
    for verb in (["show", kept["id"]], ["resolve", kept["id"], "--keep", "local"]):
        done = cli("conflicts", *verb)
        assert done.exit_code == 1
        assert "no such conflict" in done.stderr


def test_a_version_of_an_unknown_record_type_is_kept_until_that_is_imported(cli, tmp_path):
    async def write():
        async with om.open_memory(STORE) as memory:
            await memory.put(
                Conflicted(
                    id="x",
                    collection="ours",
                    document_key="k",
                    model="Ours",
                    at=om.MemoryItem(user_id="u").timestamp,
                    reason="overwritten",
                    side="remote",
                    document='{"id":"k","schema_version":1}',
                )
            )

    anyio.run(write)
    assert json.loads(cli("conflicts", "show", "x", "--json").stdout)["stored"] is None
    done = cli("conflicts", "resolve", "x", "--keep", "remote")
    assert done.exit_code == 1
    assert "--import" in done.stderr
    assert len(listed(cli)) == 1
    source = (
        "import orchestra_memory as om\nclass Ours(om.Record, collection='ours'):\n    id: str\n"
    )
    (tmp_path / "ours_to_import.py").write_text(source)
    resolving = ("conflicts", "resolve", "x", "--keep", "remote")
    assert cli(*resolving, "--import", "ours_to_import").exit_code == 0
    assert listed(cli) == []
