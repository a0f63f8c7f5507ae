"""The verbs that look into the cache, and what all of them say where it does not answer."""

import re

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.opening import cache_name
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port
from orchestra_memory.urls import SqliteUrl

from .cached_store import SECRET, item, put, said, text_of
from .conftest import REPOSITORY

RIGHTS = ("+get", "+client|setname")


def test_status_tells_which_redis_it_is_and_how_it_is_set_up(cli, cache):
    put(item("a"))
    status = said(cli("cache", "status", "--json"))
    assert status["cache"] == cache
    assert status["store"].startswith("sqlite/")
    assert status["epoch"]
    assert (status["mode"], status["ttl_seconds"]) == ("available", 3600)
    assert status["timeout_ms"] == 5000
    assert status["latency_ms"] > 0
    assert status["role"] == "master"
    assert status["advice"] == []
    shown = cli("cache", "status").stdout
    assert f"cache             {cache}\n" in shown


def test_status_changes_nothing(cli, cache):
    put(item("a"), namespace="other")
    assert said(cli("cache", "status", "--json", "--namespace", "acme"))["epoch"] is None
    assert said(cli("cache", "status", "--json", "--namespace", "acme"))["epoch"] is None
    assert said(cli("cache", "status", "--json", "--namespace", "other"))["epoch"]


def test_status_gives_advice_on_a_redis_that_refuses_when_it_is_full(cli, monkeypatch):
    put(item("a"), cached=False)
    with redis_servers.start("--maxmemory", "50mb", "--maxmemory-policy", "noeviction") as server:
        monkeypatch.setenv("ORCHESTRA_CACHE", server.url)
        done = cli("cache", "status")
    assert done.exit_code == 3
    assert "maxmemory-policy" in done.stderr


@pytest.mark.parametrize(
    "verb",
    [
        ["status"],
        ["inspect", "MemoryItem", "a"],
        ["invalidate", "--all"],
        ["invalidate", "--user", "ann"],
        ["invalidate", "--namespace", "acme"],
        ["invalidate", "--model", "MemoryItem", "--key", "a"],
    ],
)
def test_a_redis_that_does_not_answer_has_its_exit_code(cli, monkeypatch, verb):
    put(item("a"), cached=False)
    monkeypatch.setenv("ORCHESTRA_CACHE", f"redis://:hunter2@127.0.0.1:{free_port()}")
    done = cli("cache", *verb)
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith("error: the cache did not answer (refused)")
    assert "hunter2" not in done.stderr


def test_status_says_that_there_is_more_than_its_user_may_know(cli, monkeypatch):
    put(item("a"), cached=False)
    with redis_servers.start("--user", "few", "on", ">pw", "~om:*", *RIGHTS) as server:
        monkeypatch.setenv("ORCHESTRA_CACHE", server.url.replace("redis://", "redis://few:pw@"))
        done = cli("cache", "status")
    assert done.exit_code == 0
    assert "orchestra-memory doctor" in done.stderr


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (["--model", "MemoryItem", "--key", "a"], "3 entries"),
        (["--user", "ann"], "3 entries"),
        (["--all"], "1 namespace"),
    ],
)
def test_invalidate_says_what_it_counts(cli, cache, options, number):
    put(item("a"))
    assert cli("cache", "invalidate", *options).stdout.endswith(f" ({number})\n")


def test_without_a_cache_it_says_where_to_name_one(cli):
    done = cli("cache", "status")
    assert done.exit_code == 1
    assert "ORCHESTRA_CACHE" in done.stderr


def test_a_store_without_a_shared_cache_is_refused(cli, cache):
    done = cli("cache", "status", "--url", "local:")
    assert done.exit_code == 1
    assert "its process alone" in done.stderr
    done = cli("cache", "status", "--url", "sqlite:///missing.db")
    assert done.exit_code == 1
    assert "there is no missing.db yet" in done.stderr


def test_inspect_tells_what_is_known_but_not_the_content(cli, cache):
    put(item("a"))
    for done in (
        cli("cache", "inspect", "MemoryItem", "a"),
        cli("cache", "inspect", "memory_items", "a", "--json"),
    ):
        assert done.exit_code == 0
        assert SECRET not in done.output
    entry = said(cli("cache", "inspect", "MemoryItem", "a", "--json"))
    assert (entry["state"], entry["being_filled"], entry["writes_under_way"]) == (
        "record",
        False,
        0,
    )
    assert entry["bytes"] > 100
    assert 3_000 < entry["expires_in_seconds"] < 4_000
    assert "state               record\n" in cli("cache", "inspect", "MemoryItem", "a").stdout


def test_inspect_shows_the_content_when_told_to(cli, cache):
    put(item("a"))
    shown = said(cli("cache", "inspect", "MemoryItem", "a", "--json", "--show-content"))
    assert shown["content"]["text_content"] == SECRET
    assert SECRET in cli("cache", "inspect", "MemoryItem", "a", "--show-content").stdout


def test_inspect_knows_absence_and_ignorance(cli, cache):
    assert text_of("a") is None
    assert said(cli("cache", "inspect", "MemoryItem", "a", "--json"))["state"] == "absent"
    entry = said(cli("cache", "inspect", "MemoryItem", "b", "--json"))
    assert entry["state"] == "unknown"
    assert entry["floor"] is None


def test_inspect_looks_into_one_namespace(cli, cache):
    put(item("a"), namespace="acme")
    assert said(cli("cache", "inspect", "MemoryItem", "a", "--json"))["state"] == "unknown"
    found = said(cli("cache", "inspect", "MemoryItem", "a", "--json", "--namespace", "acme"))
    assert (found["state"], found["namespace"]) == ("record", "acme")


def test_inspect_knows_the_record_types(cli, cache):
    put(item("a"))
    done = cli("cache", "inspect", "Nothing", "a")
    assert done.exit_code == 2
    assert "MemoryItem" in done.stderr


def test_the_documented_rights_are_enough(cli, monkeypatch):
    put(item("a"), cached=False)
    page = (REPOSITORY / "docs/howto/cache.md").read_text()
    rights = re.search(r"^user orchestra on >PASSWORD (.*)$", page, re.MULTILINE)[1].split()
    more = re.search(r"^(\+hget .*)$", page, re.MULTILINE)[1].split()
    with redis_servers.start("--user", "orchestra", "on", ">pw", *rights, *more) as server:
        url = server.url.replace("redis://", "redis://orchestra:pw@")
        monkeypatch.setenv("ORCHESTRA_CACHE", url)
        for verb in (
            ["invalidate", "--all"],
            ["invalidate", "--namespace", "acme"],
            ["invalidate", "--user", "ann"],
            ["invalidate", "--model", "MemoryItem", "--key", "a"],
            ["inspect", "MemoryItem", "a"],
            ["status"],
        ):
            done = cli("cache", *verb)
            assert done.exit_code == 0, (verb, done.stderr)


def test_health_has_the_cache(cli, cache):
    assert said(cli("health", "--json"))["component"] == "cache"


def test_the_store_of_the_verbs_is_that_of_the_library(cli, cache):
    put(item("a"))

    async def keys():
        name = await cache_name(SqliteUrl(".orchestra/memory.db"), om.Settings())
        async with connect(cache) as redis:
            return [key async for key in redis.scan_iter(match=f"*{name.rpartition('/')[2]}*")]

    assert anyio.run(keys)
    assert said(cli("cache", "status", "--json"))["store"] == anyio.run(
        cache_name, SqliteUrl(".orchestra/memory.db"), om.Settings()
    )
