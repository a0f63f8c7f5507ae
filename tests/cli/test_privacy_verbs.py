"""One user's records, written out or erased from the command line."""

import json
from pathlib import Path

import anyio
import pytest

import orchestra_memory as om

from .journals_left import STORE, keys_left, left_behind, living, put, texts


@pytest.fixture
def filled():
    async def fill():
        async with om.open_memory(STORE) as memory:
            for user in ("ann", "anna"):
                await memory.put(om.MemoryItem(id=user, user_id=user, text_content=user))
                await memory.sessions.start(user, "s")
            await memory.with_options(namespace="acme").put(
                om.MemoryItem(id="there", user_id="ann", text_content="there")
            )

    anyio.run(fill)


def said(done, code=0):
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


def test_without_yes_it_only_says_what_there_is(cli, filled):
    done = cli("privacy", "erase", "ann")
    assert done.exit_code == 2
    assert "memory items" in done.stdout
    assert "--yes" in done.stderr
    assert said(cli("privacy", "erase", "ann", "--json"), 2)["would_erase"] == {
        "memory_items": 1,
        "user_sessions": 1,
    }
    assert texts("ann") == ["ann"]


def test_production_wants_the_name(cli, filled, monkeypatch):
    monkeypatch.setenv("APP_ENV", "production")
    done = cli("privacy", "erase", "ann", "--yes", "--url", STORE)
    assert done.exit_code == 2
    assert "--confirm memory.db" in done.stderr
    monkeypatch.delenv("APP_ENV")
    assert texts("ann") == ["ann"]


def test_erase_takes_one_user_only_and_leaves_a_receipt(cli, filled):
    done = cli("privacy", "erase", "ann", "--yes", "--receipt", "receipt.json")
    assert done.exit_code == 0, done.stderr
    assert "erased 2 records" in done.stdout
    assert texts("ann", "anna") == [None, "anna"]
    assert texts("there", namespace="acme") == ["there"]
    receipt = json.loads(Path("receipt.json").read_text())
    assert receipt["namespaces"][0]["records"] == {"memory_items": 1, "user_sessions": 1}
    assert "ann" not in json.dumps(receipt)


def test_erase_goes_through_the_namespaces_that_are_named(cli, filled):
    receipt = said(cli("privacy", "erase", "ann", "--yes", "--in", "acme", "--json"))
    assert [each["namespace"] for each in receipt["namespaces"]] == [None, "acme"]
    assert texts("there", namespace="acme") == [None]
    done = cli("privacy", "erase", "ann", "--yes", "--in", "x", "--namespace", "acme")
    assert done.exit_code == 2


def test_erase_takes_what_dead_processes_left(cli, filled):
    left_behind(put("late"), om.Put(om.MemoryItem(id="b", user_id="bob", text_content="b")))
    left_behind(put("letter"), refused=["letter"])
    receipt = said(cli("privacy", "erase", "ann", "--yes", "--json"))
    forgotten = receipt["namespaces"][0]["forgotten"]
    assert forgotten["dead_letters"] == 1
    assert keys_left() == []
    assert texts("late", "letter", "b") == [None, None, "b"]


def test_erase_tells_of_journals_that_are_in_use(cli, filled):
    left_behind(put("late"))
    with living():
        done = cli("privacy", "erase", "ann", "--yes")
    assert done.exit_code == 3, done.stderr
    assert "living processes" in done.stderr


def test_export_writes_all_of_one_user(cli, filled):
    facts = said(cli("privacy", "export", "ann", "ann.jsonl", "--in", "acme", "--json"))
    assert facts == {"records": 3, "file": "ann.jsonl"}
    lines = [json.loads(line) for line in Path("ann.jsonl").read_text().splitlines()]
    assert {line["document"]["user_id"] for line in lines[1:]} == {"ann"}
    assert cli("privacy", "export", "ann", "x.jsonl", "--resume").exit_code == 1


def test_export_says_what_waits_elsewhere(cli, filled):
    left_behind(put("late"))
    assert "wait in journals" in cli("privacy", "export", "ann", "ann.jsonl").stderr
