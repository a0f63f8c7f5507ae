"""What the verbs that write do about the cache, and what they say where there is none."""

import json

import pytest

import orchestra_memory as om
from orchestra_memory.testing.probe import free_port

from .cached_store import in_memory, outside, text_of, texts_of_history

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
