"""Backups from the command line: taken, refused, restored elsewhere, resumed after a kill."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory import MemoryItem, Query, open_memory

STORE = "sqlite:///state.db"


def fill(count, url=STORE, text="secret"):
    async def write():
        async with open_memory(url) as memory:
            await memory.put_many(
                MemoryItem(id=f"{n:06}", user_id="ann", text_content=text) for n in range(count)
            )

    anyio.run(write)


def stored(url=STORE):
    async def read():
        async with open_memory(url) as memory:
            return {item.key: item.text_content async for item in memory.scan(Query(MemoryItem))}

    return anyio.run(read)


def answered(done):
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_backup_is_taken_and_restored_into_an_empty_store(cli):
    fill(3)
    taken = answered(cli("--url", STORE, "--json", "backup", "b.jsonl.gz"))
    assert (taken["records"], taken["collections"]["memory_items"]) == (3, 3)
    assert taken["left_out"] == []
    assert isinstance(taken["as_of"], int)
    done = answered(cli("--url", "sqlite:///other.db", "--json", "restore", "b.jsonl.gz"))
    assert (done["records"], done["problems"], done["dry_run"]) == (3, 0, False)
    assert done["source"] == STORE
    assert stored("sqlite:///other.db") == stored()


def test_what_people_read_names_collections_and_the_moment(cli):
    fill(2)
    told = cli("--url", STORE, "backup", "b.jsonl").stdout
    assert "memory_items" in told
    assert "backed up 2 records to b.jsonl, as of one moment" in told
    told = cli("--url", STORE, "restore", "b.jsonl", "--dry-run").stdout
    assert f"backup of {STORE}" in told
    assert "would restore 2 records" in told
    assert "secret" not in told


def test_a_backup_keeps_what_it_is_given_the_name_of(cli, tmp_path):
    fill(1)
    (tmp_path / "b.jsonl").write_text("another")
    done = cli("--url", STORE, "backup", "b.jsonl")
    assert done.exit_code == 1
    assert "b.jsonl" in done.stderr
    assert (tmp_path / "b.jsonl").read_text() == "another"


def test_a_folder_is_no_name_for_a_backup(cli):
    done = cli("--url", STORE, "backup", ".")
    assert done.exit_code == 1
    assert "name another" in done.stderr


def test_a_dry_run_counts_and_writes_nothing(cli, tmp_path):
    fill(4)
    plan = answered(cli("--url", STORE, "--json", "backup", "b.jsonl", "--dry-run"))
    assert plan["collections"]["memory_items"] == 4
    assert not (tmp_path / "b.jsonl").exists()
    cli("--url", STORE, "backup", "b.jsonl")
    other = "sqlite:///other.db"
    plan = answered(cli("--url", other, "--json", "restore", "b.jsonl", "--dry-run"))
    assert (plan["dry_run"], plan["records"]) == (True, 4)
    assert plan["collections"]["memory_items"] == {"backed_up": 4, "present": 0}
    assert stored(other) == {}


def test_over_what_is_there_only_with_yes(cli):
    fill(2, text="old")
    cli("--url", STORE, "backup", "b.jsonl")
    fill(1, text="new")
    refused = cli("--url", STORE, "restore", "b.jsonl")
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert stored() == {"000000": "new", "000001": "old"}
    assert cli("--url", STORE, "restore", "b.jsonl", "--yes").exit_code == 0
    assert stored() == {"000000": "old", "000001": "old"}


def test_in_production_only_with_its_name(cli, monkeypatch):
    fill(1)
    cli("--url", STORE, "backup", "b.jsonl")
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    refused = cli("--url", STORE, "restore", "b.jsonl", "--yes")
    assert refused.exit_code == 2
    assert "--confirm state.db" in " ".join(refused.stderr.split())
    done = cli("--url", STORE, "restore", "b.jsonl", "--yes", "--confirm", "state.db")
    assert done.exit_code == 0, done.stderr


def test_it_goes_where_it_came_from_unless_told_otherwise(cli):
    fill(2, f"{STORE}?namespace=acme")
    cli("--url", STORE, "--namespace", "acme", "backup", "b.jsonl")
    other = "sqlite:///other.db"
    cli("--url", other, "restore", "b.jsonl")
    cli("--url", other, "--namespace", "beta", "restore", "b.jsonl")
    assert len(stored(f"{other}?namespace=acme")) == 2
    assert len(stored(f"{other}?namespace=beta")) == 2
    assert stored(other) == {}
    cli("--url", other, "restore", "b.jsonl", "--top-level")
    assert len(stored(other)) == 2
    assert cli("--url", f"{other}?namespace=a", "restore", "b.jsonl", "--top-level").exit_code == 2


def test_a_changed_backup_is_refused(cli, tmp_path):
    fill(2)
    cli("--url", STORE, "backup", "b.jsonl")
    path = tmp_path / "b.jsonl"
    path.write_bytes(path.read_bytes().replace(b"secret", b"sacred", 1))
    done = cli("--url", "sqlite:///other.db", "restore", "b.jsonl")
    assert done.exit_code == 1
    assert "SHA-256" in done.stderr
    assert stored("sqlite:///other.db") == {}


def test_past_moments_are_for_firestore(cli):
    done = cli("--url", STORE, "backup", "b.jsonl", "--as-of", "2026-01-31T08:00")
    assert done.exit_code == 2


MODULE = """
import orchestra_memory as om

class Recipe(om.Record, collection="backup_recipes"):
    id: str
    steps: int = 0
"""


def test_record_types_of_ones_own_are_named(command, tmp_path):
    (tmp_path / "bakery.py").write_text(MODULE)
    code = (
        "import anyio, bakery, orchestra_memory as om\n"
        "async def main():\n"
        f"    async with om.open_memory({STORE!r}) as memory:\n"
        "        await memory.put(bakery.Recipe(id='rye', steps=7))\n"
        "anyio.run(main)\n"
    )
    (tmp_path / "write.py").write_text(code)
    subprocess.run([sys.executable, "write.py"], check=True, timeout=60)
    taken = command("--url", STORE, "--json", "backup", "b.jsonl", "--import", "bakery")
    assert json.loads(taken.stdout)["collections"]["backup_recipes"] == 1
    refused = command("--url", "sqlite:///other.db", "restore", "b.jsonl")
    assert refused.returncode == 1
    assert b"Recipe" in refused.stderr
    done = command("--url", "sqlite:///o.db", "--json", "restore", "b.jsonl", "--import", "bakery")
    assert json.loads(done.stdout)["records"] == 1


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz"])
def test_killed_and_resumed_a_backup_holds_every_record_once(cli, started, tmp_path, name):
    fill(10_000)
    part = tmp_path / f"{name}.part"
    process = started("--url", STORE, "backup", name)
    killed_at = wait_for(process, lambda: part.exists() and part.stat().st_size > 50_000)
    done = cli("--url", STORE, "--json", "backup", name, "--resume")
    if not killed_at:
        pytest.skip("it was through before it could be killed")
    report = answered(done)
    assert (report["records"], report["left_out"]) == (10_000, [])
    assert report["as_of"] is not None
    restored = answered(cli("--url", "sqlite:///other.db", "--json", "restore", name))
    assert restored["records"] == 10_000
    assert len(stored("sqlite:///other.db")) == 10_000


def test_killed_and_resumed_a_restore_stores_everything(cli, started, tmp_path):
    fill(10_000)
    cli("--url", STORE, "backup", "b.jsonl")
    other = "sqlite:///other.db"
    process = started("--url", other, "restore", "b.jsonl")
    kept = tmp_path / ".orchestra" / "imports"
    if not wait_for(process, lambda: any(kept.glob("*.json"))):
        pytest.skip("it was through before it could be killed")
    assert 0 < len(stored(other)) < 10_000
    assert answered(cli("--url", other, "--json", "restore", "b.jsonl", "--resume"))
    assert stored(other) == stored()


def wait_for(process, reached):
    """Kill the process when `reached`; false if it came to its end before."""
    until = time.monotonic() + 60
    while not reached():
        if process.poll() is not None:
            return False
        assert time.monotonic() < until
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait(30) == -signal.SIGKILL


def test_documents_that_cannot_be_read_are_named_with_exit_code_3(cli):
    class Item(om.Record, collection="memory_items"):
        """Another program's."""

        id: str
        user_id: int = 0

    async def spoil():
        async with open_memory(STORE) as memory:
            await memory.put(Item(id="broken"))

    fill(2)
    anyio.run(spoil)
    done = cli("--url", STORE, "--json", "backup", "b.jsonl")
    assert done.exit_code == 3
    report = json.loads(done.stdout)
    assert (report["records"], report["left_out"]) == (2, ["memory_items/broken"])


def test_a_past_moment_of_firestore_comes_back(cli, firestore_emulator, firestore_project):
    url = f"firestore://{firestore_project}/(default)?emulator={firestore_emulator.host}"
    fill(3, url, text="before")
    early = answered(cli("--url", url, "--json", "backup", "early.jsonl"))
    fill(5, url, text="after")
    moment = datetime.fromtimestamp(early["as_of"] / 1_000_000, UTC).isoformat()
    done = cli("--url", url, "backup", "past.jsonl", "--as-of", moment)
    assert f"backed up 3 records to past.jsonl, as of {moment[:19].replace('T', ' ')}" in (
        done.stdout
    )
    assert cli("--url", url, "restore", "past.jsonl", "--yes").exit_code == 0
    assert sorted(stored(url).values()) == ["after", "after", "before", "before", "before"]
    contradiction = cli("--url", url, "backup", "x.jsonl", "--as-of", moment, "--moving")
    assert contradiction.exit_code == 2
