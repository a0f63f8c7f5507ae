"""What the doctor finds on real stores, caches and journals."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.cli import doctor
from orchestra_memory.opening import cache_name
from orchestra_memory.resilience.journal import DocumentKey, Draft, Journal
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port
from orchestra_memory.urls import FirestoreUrl

from .conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/howto/cache.md").read_text()
RIGHTS = re.search(r"^user orchestra on >PASSWORD (.*)$", PAGE, re.MULTILINE)[1].split()
STORE = "sqlite:///.orchestra/memory.db"


@pytest.fixture
def findings(cli):
    """What the doctor finds, by what it is about."""

    def found(*arguments):
        done = cli("doctor", "--json", *arguments)
        assert done.stdout, done.output
        report = json.loads(done.stdout)
        grades = {each["grade"] for each in report["findings"]}
        assert report["verdict"] == next(g for g in ("fail", "warn", "ok") if g in grades)
        assert done.exit_code == ("fail" in grades)
        assert all(each["remedy"] for each in report["findings"] if each["grade"] == "warn")
        about = {}
        for each in report["findings"]:
            about.setdefault(each["what"], []).append(each)
        return about

    return found


@pytest.fixture
def firestore(firestore_emulator, firestore_project):
    return f"firestore://{firestore_project}?emulator={firestore_emulator.host}"


def grades(found):
    return [each["grade"] for each in found]


def text(found):
    return "\n".join(each["detail"] for each in found)


def test_firestore_is_asked_for_its_time(findings, firestore):
    found = findings("--url", firestore)
    assert grades(found["firestore"]) == grades(found["probe"]) == grades(found["clock"]) == ["ok"]
    assert "Firestore" in text(found["clock"])
    assert grades(found["expiry"]) == ["ok"]
    assert "emulator" in text(found["expiry"])


def test_a_store_that_hangs_is_called_what_it_is(findings, monkeypatch):
    monkeypatch.setattr(doctor, "FIRST_CALL", 0.3)
    monkeypatch.setenv("ORCHESTRA_TIMEOUT", "0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (found,) = findings("--url", f"firestore://demo?emulator=127.0.0.1:{port}")["store"]
    assert found["grade"] == "fail"
    assert "no answer in 0.3 s" in found["detail"]


def test_a_file_that_was_not_there_is_told_from_the_one_that_is_looked_for(findings):
    first, again = findings(), findings()
    assert "there was no .orchestra/memory.db here" in text(first["store"])
    assert "store" not in again


def test_a_store_of_this_machine_has_no_clock_of_its_own(findings):
    assert "clock" not in findings()


def put(*records, url=STORE, **options):
    async def run():
        async with om.open_memory(url, cache="none", fallback=False) as memory:
            for record in records:
                await memory.with_options(**options).put(record)

    anyio.run(run)


def note(version):
    """A type that stores in the place of `MemoryRecord`, by another version of it."""

    class Note(om.Record, collection="memory_records", key="record_id", schema_version=version):
        record_id: str

    return Note(record_id=f"v{version}")


@pytest.mark.parametrize("store", ["sqlite", "firestore"])
def test_schema_versions_are_those_of_a_sample(findings, request, store):
    url = STORE if store == "sqlite" else request.getfixturevalue("firestore")
    put(om.MemoryItem(user_id="ann"), om.UserSession(user_id="a_n", session_id="s"), url=url)
    put(om.AgentState(agent_type="t", agent_id="a", session_id="s"), url=url)
    (found,) = findings("--url", url)["schemas"]
    assert found["detail"] == "memory_items v1; user_sessions v1; agent_states v1"


def test_older_versions_are_no_trouble(findings):
    put(note(0), om.MemoryRecord(record_id="new"))
    (found,) = findings()["schemas"]
    assert found["grade"] == "ok"
    assert "memory_records v0, v1 (older ones are upgraded when read)" in found["detail"]


def test_a_version_of_a_later_release_is_named(findings):
    put(note(7), om.MemoryItem(user_id="ann"))
    newer, others = findings()["schemas"]
    assert newer["grade"] == "fail"
    assert "memory_records: some are of version 7, this release knows 1" in newer["detail"]
    assert "upgrade" in newer["remedy"]
    assert others["detail"] == "memory_items v1"


def test_the_sample_is_of_the_namespace_asked_for(findings):
    put(note(7), namespace="acme")
    assert grades(findings()["schemas"]) == ["ok"]
    assert grades(findings("--namespace", "acme")["schemas"])[0] == "fail"


def test_a_redis_that_answers(findings, redis_server, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", redis_server.url)
    found = findings()
    assert grades(found["redis"]) == grades(found["rights"]) == grades(found["clock"]) == ["ok"]
    assert "Redis" in text(found["clock"])
    assert grades(found["eviction"]) == ["ok"]


def test_a_redis_that_does_not_answer(findings, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", f"redis://orchestra:hunter2@127.0.0.1:{free_port()}")
    found = findings()
    assert grades(found["redis"]) == ["fail"]
    assert "the connection was refused" in text(found["redis"])
    assert "hunter2" not in str(found)
    assert grades(found["probe"]) == ["ok"]


@pytest.fixture(scope="module")
def guarded_redis():
    """One with users: of the documented rights, of all but some, and of other keys."""
    few = [right for right in RIGHTS if right not in {"+hset", "+time", "+info"}]
    elsewhere = [right if right != "~om:*" else "~other:*" for right in RIGHTS]
    options = []
    for name, rights in {"documented": RIGHTS, "few": few, "elsewhere": elsewhere}.items():
        options += ["--user", name, "on", ">pw", *rights]
    options += ["--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"]
    with redis_servers.start(*options) as server:
        yield server.url


@pytest.fixture
def as_user(guarded_redis, monkeypatch):
    def use(name):
        url = guarded_redis.replace("redis://", f"redis://{name}:pw@")
        monkeypatch.setenv("ORCHESTRA_CACHE", url)

    return use


def test_the_documented_rights_are_enough_for_a_cache(findings, as_user):
    as_user("documented")
    found = findings()
    assert [(each["grade"], each["remedy"]) for each in found["rights"]] == [
        ("warn", "ACL SETUSER <user> +hget +scan")
    ]
    assert found["eviction"][0]["detail"] == "allkeys-lru, at 20 MiB"
    assert grades(found["redis"]) == grades(found["clock"]) == ["ok"]


def test_rights_that_lack_are_named_with_what_gives_them(findings, as_user):
    as_user("few")
    found = findings()
    assert found["rights"][0]["grade"] == "fail"
    assert found["rights"][0]["remedy"] == "ACL SETUSER <user> +time +info +hset"
    assert grades(found["eviction"]) == ["warn"]
    assert grades(found["redis"]) == ["ok"]
    assert "clock" not in found


def test_keys_that_are_not_the_users_are_found_out(findings, as_user):
    as_user("elsewhere")
    found = findings()
    assert found["rights"][0]["remedy"] == "give it the keys: ~om:*"
    assert "redis" not in found
    assert grades(found["clock"]) == ["ok"]


def test_a_wrong_password_is_told_from_an_outage(findings, guarded_redis, monkeypatch):
    url = guarded_redis.replace("redis://", "redis://documented:wrong@")
    monkeypatch.setenv("ORCHESTRA_CACHE", url)
    (found,) = findings()["redis"]
    assert "correct the user and the password" in found["remedy"]
    assert "wrong" not in found["detail"].replace("wrong password", "")


def test_a_full_redis_is_found_out(findings, monkeypatch):
    with redis_servers.start("--maxmemory", "1") as server:
        monkeypatch.setenv("ORCHESTRA_CACHE", server.url)
        found = findings()
    assert grades(found["eviction"]) == ["warn"]
    assert "out of memory" in text(found["redis"])


@pytest.fixture
def journal(monkeypatch, firestore):
    """Where the journals are, and what leaves one there."""
    monkeypatch.setenv("ORCHESTRA_JOURNAL_DIR", "journals")
    project, _, emulator = firestore.removeprefix("firestore://").partition("?emulator=")
    store = FirestoreUrl(project, "(default)", emulator=emulator)

    async def leave(*keys, dead=(), target=None):
        target = target or await cache_name(store, om.Settings())
        async with Journal.open("journals", target=target) as opened:
            drafts = [Draft(DocumentKey(None, "notes", key), b"private") for key in keys]
            numbers = await opened.append(drafts)
            for number in numbers[: len(dead)]:
                await opened.dead_letter(number, dead[0])

    return lambda *keys, **how: anyio.run(lambda: leave(*keys, **how))


def test_no_journal_is_no_trouble(findings, firestore, journal):
    place, none = findings("--url", firestore)["journal"]
    assert place["detail"].startswith("journals, not made yet: ")
    assert none["detail"].startswith("there is none")


def files_of(directory):
    return sorted((path.name, path.read_bytes()) for path in Path(directory).glob("*.db*"))


def test_what_a_dead_process_left_is_named(findings, firestore, journal):
    journal("a", "b", "c", dead=["PermissionDenied"])
    before = files_of("journals")
    found = findings("--url", firestore)["journal"]
    assert grades(found) == ["ok", "warn", "warn"]
    assert "2 entries wait" in found[1]["detail"]
    assert f"process ({os.getpid()}) is gone" in found[1]["detail"]
    assert "orchestra-memory journal replay" in found[1]["remedy"]
    assert "1 dead letter" in found[2]["detail"]
    assert "private" not in str(found)
    assert before == sorted(
        (path.name, path.read_bytes()) for path in Path("journals").glob("*.db*")
    )


def test_a_journal_for_another_store_is_named(findings, firestore, journal):
    journal("a", target="other/(default)")
    found = findings("--url", firestore)["journal"]
    assert "its entries are for other/(default)" in found[1]["detail"]


HOLD = """
import asyncio, sys
from orchestra_memory.resilience.journal import DocumentKey, Draft, Journal
async def main():
    async with Journal.open("journals", target=sys.argv[1]) as journal:
        if sys.argv[2] == "full":
            await journal.append([Draft(DocumentKey(None, "notes", "a"), b"x")])
        print("open", flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.parametrize("holds", ["full", "empty"])
def test_a_journal_in_use_is_told_with_its_holder(findings, firestore, journal, holds):
    project, _, emulator = firestore.removeprefix("firestore://").partition("?emulator=")
    target = f"{project}/(default)/{emulator}"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, target, holds], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "open\n"
        found = findings("--url", firestore)["journal"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert grades(found) == ["ok", "ok"]
    assert f"process {process.pid}" in found[1]["detail"]
    assert ("1 entry waits" in found[1]["detail"]) == (holds == "full")


def test_a_directory_that_cannot_be_one_is_a_failure(findings, firestore, monkeypatch):
    Path("file").write_text("")
    monkeypatch.setenv("ORCHESTRA_JOURNAL_DIR", "file/journals")
    (found,) = findings("--url", firestore)["journal"]
    assert found["grade"] == "fail"
    assert "ORCHESTRA_JOURNAL_DIR" in found["remedy"]


def test_on_cloud_run_the_medium_is_ephemeral(findings, firestore, journal, monkeypatch):
    monkeypatch.setenv("K_SERVICE", "agents")
    assert "ephemeral" in findings("--url", firestore)["journal"][0]["detail"]


def test_the_doctor_ends_with_a_count(cli, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", f"redis://127.0.0.1:{free_port()}")
    lines = cli("doctor").stdout.splitlines()
    assert re.fullmatch(r"1 to mend, \d to look at, the rest is well", lines[-1])


@pytest.mark.parametrize("width", [40, 120])
def test_what_the_doctor_says_fits_the_terminal(argv, width):
    primary, secondary = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    process = subprocess.Popen([*argv, "doctor"], stdout=secondary, env=environment)
    os.close(secondary)
    shown = b""
    with suppress(OSError):  # which is how a terminal ends
        while part := os.read(primary, 65_536):
            shown += part
    os.close(primary)
    assert process.wait(timeout=60) == 0
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown.decode())
    assert "probe" in plain
    # The last line is no row of the table.
    assert max(map(len, plain.splitlines()[:-1])) <= width
