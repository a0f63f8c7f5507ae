"""What was written past the cache is seen once it is invalidated, and nothing else is forgotten."""

from functools import partial

import anyio
import pytest

import orchestra_memory as om

from .cached_store import (
    SECRET,
    STORE,
    in_memory,
    item,
    outside,
    put,
    said,
    text_of,
    texts_of_history,
)


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
