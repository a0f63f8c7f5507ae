"""The verbs about the cache, and what those that write say where there is none."""

import json
import re
from functools import partial

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.stack import cache_name
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port
from orchestra_memory.urls import SqliteUrl

from .conftest import REPOSITORY

SECRET = "the text of ann"
STORE = "sqlite:///.orchestra/memory.db"


@pytest.fixture
def cache(redis_server, monkeypatch):
    """The environment names the Redis of the tests."""
    monkeypatch.setenv("ORCHESTRA_CACHE", redis_server.url)
    return redis_server.url


def item(key, user="ann", **fields):
    return om.MemoryItem(id=key, user_id=user, session_id="s", text_content=SECRET, **fields)


def in_memory(work, *, cached=True, namespace=None):
    """The result of `work`, done on the store of this folder, through its cache or past it."""

    async def run():
        async with om.open_memory(STORE, cache=None if cached else "none") as memory:
            view = memory if namespace is None else memory.with_options(namespace=namespace)
            return await work(view)

    return anyio.run(run)


def put(*items, **where):
    async def work(memory):
        for each in items:
            await memory.put(each)

    in_memory(work, **where)


def text_of(key, **where):
    async def work(memory):
        found = await memory.get(om.MemoryItem, key)
        return found and found.text_content

    return in_memory(work, **where)


def texts_of_history(user, **where):
    async def work(memory):
        page = await memory.conversations.history(user, session_id="s")
        return [found.text_content for found in page.records]

    return in_memory(work, **where)


def said(done):
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_status_tells_which_redis_it_is_and_how_it_is_set_up(cli, cache):
    put(item("a"))
    status = said(cli("cache", "status", "--json"))
    assert status["cache"] == cache
    assert status["store"].startswith("sqlite/")
    assert status["epoch"]
    assert (status["mode"], status["ttl_seconds"], status["timeout_ms"]) == ("available", 3600, 50)
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
    assert done.stderr.startswith("error: the cache did not answer (connection)")
    assert "hunter2" not in done.stderr


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


def outside(*items, **where):
    """Written past the cache, as another program would."""
    put(*items, cached=False, **where)


def test_a_record_written_from_outside_is_seen_after_invalidating_it(cli, cache):
    put(item("a"))
    outside(item("a").evolve(text_content="new"))
    assert text_of("a") == SECRET
    done = cli("cache", "invalidate", "--model", "MemoryItem", "--key", "a")
    assert done.exit_code == 0
    assert done.stdout.startswith("forgotten: MemoryItem a (")
    assert text_of("a") == "new"


def test_a_record_made_outside_is_in_the_lists_after_invalidating_it(cli, cache):
    put(item("a"))
    assert texts_of_history("ann") == [SECRET]
    outside(item("b").evolve(text_content="new"))
    assert texts_of_history("ann") == [SECRET]
    assert cli("cache", "invalidate", "--model", "MemoryItem", "--key", "b").exit_code == 0
    assert sorted(texts_of_history("ann")) == ["new", SECRET]


def test_a_record_deleted_outside_is_gone_after_invalidating_it(cli, cache):
    put(item("a"))
    in_memory(lambda memory: memory.delete(om.MemoryItem, "a"), cached=False)
    assert text_of("a") == SECRET
    assert cli("cache", "invalidate", "--model", "MemoryItem", "--key", "a").exit_code == 0
    assert text_of("a") is None


def test_a_user_is_invalidated_and_nobody_else(cli, cache):
    put(item("a"), item("b", "bob"), item("c", 'an"n'))
    assert text_of("new") is None
    assert texts_of_history("ann") == texts_of_history("bob") == [SECRET]
    changed = [item("a"), item("b", "bob"), item("c", 'an"n'), item("new")]
    outside(*(each.evolve(text_content="new") for each in changed))
    assert said(cli("cache", "invalidate", "--user", "ann", "--json"))["number"] > 0
    assert (text_of("a"), text_of("new"), text_of("b")) == ("new", "new", SECRET)
    assert texts_of_history("ann") == ["new", "new"]
    assert texts_of_history("bob") == [SECRET]
    assert cli("cache", "invalidate", "--user", 'an"n').exit_code == 0
    assert text_of("c") == "new"


def test_a_namespace_is_invalidated_and_no_other(cli, cache):
    for namespace in (None, "acme", "ac*"):
        put(item("a"), namespace=namespace)
        outside(item("a").evolve(text_content="new"), namespace=namespace)
    assert cli("cache", "invalidate", "--namespace", "ac*").stdout == "forgotten: namespace ac*\n"
    assert text_of("a", namespace="ac*") == "new"
    assert text_of("a", namespace="acme") == text_of("a") == SECRET


def test_all_namespaces_of_the_store_are_invalidated_and_no_other_store(cli, cache, tmp_path):
    other = "sqlite:///other.db"
    for namespace in (None, "acme"):
        put(item("a"), namespace=namespace)
        outside(item("a").evolve(text_content="new"), namespace=namespace)

    async def fill_other():
        async with om.open_memory(other) as memory:
            await memory.put(item("a"))

    anyio.run(fill_other)
    assert said(cli("cache", "invalidate", "--all", "--json")) == {
        "invalidated": "all namespaces of the store",
        "number": 2,
    }
    assert text_of("a") == text_of("a", namespace="acme") == "new"
    entry = said(cli("cache", "inspect", "MemoryItem", "a", "--json", "--url", other))
    assert entry["state"] == "record"


def test_a_process_that_runs_on_reads_anew_after_an_invalidation(cli, cache):
    async def work(memory):
        await memory.put(item("a"))
        async with om.open_memory(STORE, cache="none") as elsewhere:
            await elsewhere.put(item("a").evolve(text_content="new"))
        done = await anyio.to_thread.run_sync(partial(cli, "cache", "invalidate", "--all"))
        assert done.exit_code == 0
        return (await memory.get(om.MemoryItem, "a")).text_content

    assert in_memory(work) == "new"


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--model", "MemoryItem"],
        ["--key", "a"],
        ["--user", "ann", "--all"],
        ["--namespace", "acme", "--all"],
        ["--model", "MemoryItem", "--key", "a", "--user", "ann"],
        ["--model", "Nothing", "--key", "a"],
    ],
)
def test_what_to_invalidate_must_be_one_thing(cli, cache, options):
    assert cli("cache", "invalidate", *options).exit_code == 2


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


CHAT = {"id": "c", "user_id": "ann", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def chat(tmp_path):
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(CHAT))
    return path


@pytest.fixture
def production(monkeypatch):
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("ORCHESTRA_URL", "firestore://p")
    monkeypatch.setenv("ORCHESTRA_FALLBACK", "none")


def test_an_import_past_the_cache_of_production_must_be_meant(cli, chat, production, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    done = cli("import", chat)
    assert done.exit_code == 1
    assert "APP_ENV=production" in done.stderr
    assert "--no-cache" in done.stderr
    assert "cache invalidate --all" in done.stderr
    # It gets as far as the credentials, which these tests have not.
    assert "no Google credentials" in cli("import", chat, "--no-cache").stderr


def test_no_cache_needs_none_to_be_named(cli, chat, production):
    assert "half configured" in cli("import", chat).stderr
    assert "no Google credentials" in cli("import", chat, "--no-cache").stderr


def test_a_dry_run_writes_nothing_and_may_do_without(cli, chat, production, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    assert cli("import", chat, "--dry-run").exit_code == 0


def test_a_demo_on_the_firestore_of_production_must_be_meant(
    cli, production, redis_server, monkeypatch
):
    monkeypatch.setenv("ORCHESTRA_CACHE", redis_server.url)
    done = cli("demo", "--url", "firestore://p")
    assert done.exit_code == 1
    assert "--no-cache" in done.stderr
    assert "no Google credentials" in cli("demo", "--url", "firestore://p", "--no-cache").stderr


def test_an_import_elsewhere_needs_no_word_on_the_cache(cli, chat, monkeypatch):
    assert cli("import", chat).exit_code == 0
    monkeypatch.setenv("APP_ENV", "production")
    assert cli("import", chat, "--url", "sqlite:///a.db").exit_code == 0


def test_an_import_invalidates_what_it_replaces(cli, cache, chat):
    assert cli("import", chat).exit_code == 0
    assert texts_of_history("ann") == []
    (key,) = in_memory(ids_of_ann)
    outside(om.MemoryItem(id=key, user_id="ann", session_id="s", text_content="changed"))
    assert cli("import", chat).exit_code == 0
    assert text_of(key) == "hello"


async def ids_of_ann(memory):
    page = await memory.conversations.history("ann")
    return [found.id for found in page.records]


def test_an_import_that_cannot_tell_the_cache_stores_nothing(cli, chat, monkeypatch):
    monkeypatch.setenv("ORCHESTRA_CACHE", f"redis://127.0.0.1:{free_port()}")
    done = cli("import", chat)
    assert done.exit_code == 4
    assert "the cache did not answer" in done.stderr
    assert json.loads(cli("count", "--json").stdout)["memory_items"] == 0
    assert cli("import", chat, "--no-cache").exit_code == 0


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
