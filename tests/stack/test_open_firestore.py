"""``open_memory()`` on Firestore."""

import os
from decimal import Decimal

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.backends.firestore import client as firestore_client
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.testing.emulator import Emulator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # An emulator that has just started takes its time for the first commit.
    monkeypatch.setenv("ORCHESTRA_TIMEOUT", "30")


@pytest.fixture
def url(firestore_emulator: Emulator, firestore_project: str) -> str:
    return f"firestore://{firestore_project}?emulator={firestore_emulator.host}"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clients that were closed."""
    seen: list[object] = []

    async def closing(client: object) -> None:
        await close_client(client)  # type: ignore[arg-type]
        seen.append(client)

    monkeypatch.setattr(firestore_client, "close_client", closing)
    return seen


def item() -> om.MemoryItem:
    return om.MemoryItem(user_id="u", session_id="s", text_content="hello")


async def test_a_url_with_an_emulator_needs_no_environment(url: str, closed: list[object]) -> None:
    stored = item()
    async with om.open_memory(url) as memory:
        await memory.put(stored)
        assert await memory.get(om.MemoryItem, stored.id) == stored
        guarded, metered, firestore = memory.describe().parts
        assert (guarded, metered) == ("GuardedMemory 30 s", "MeteredMemory")
        assert "/(default) on the emulator at " in firestore
        assert not closed
    assert len(closed) == 1
    assert "FIRESTORE_EMULATOR_HOST" not in os.environ


async def test_the_environment_names_the_emulator_of_a_url(
    firestore_emulator: Emulator, firestore_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)
    async with om.open_memory(f"firestore://{firestore_project}/other") as memory:
        stored = item()
        await memory.put(stored)
        assert await memory.get(om.MemoryItem, stored.id) == stored
        assert "/other on the emulator" in memory.describe().parts[-1]


async def test_an_emulator_of_the_process_is_not_used_against_the_url(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    async with om.open_memory(url) as memory:
        assert await memory.get(om.MemoryItem, "absent") is None


@pytest.mark.parametrize("collections", ["acme_", {"memory_items": "items"}])
async def test_collections_are_renamed_in_the_store(
    url: str, collections: str | dict[str, str]
) -> None:
    stored = item()
    async with om.open_memory(url, settings=om.Settings(collections=collections)) as memory:  # type: ignore[arg-type]
        await memory.put(stored)
        assert await memory.get(om.MemoryItem, stored.id) == stored
        assert (await memory.find(om.Query(om.MemoryItem))).records == [stored]
    async with om.open_memory(url) as memory:
        assert await memory.get(om.MemoryItem, stored.id) is None


async def test_a_namespace_is_bound(url: str) -> None:
    stored = item()
    async with om.open_memory(f"{url}&namespace=acme") as memory:
        await memory.put(stored)
        assert await memory.get(om.MemoryItem, stored.id) == stored
    async with om.open_memory(url) as memory:
        assert await memory.get(om.MemoryItem, stored.id) is None


async def test_the_client_is_closed_when_opening_fails_half_way(
    closed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("half way")

    monkeypatch.setattr("orchestra_memory.layers.guarded.GuardedMemory", broken)
    with pytest.raises(RuntimeError, match="half way"):
        async with om.open_memory("firestore://p?emulator=127.0.0.1:1"):
            pass
    assert len(closed) == 1


async def test_the_client_is_closed_after_a_cancellation(closed: list[object]) -> None:
    with anyio.move_on_after(10) as scope:
        async with om.open_memory("firestore://p?emulator=127.0.0.1:1"):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert len(closed) == 1


async def test_the_cost_is_that_of_all_views_together(url: str) -> None:
    async with om.open_memory(url) as memory:
        before = memory.cost()
        assert before == om.Cost()
        acme = memory.with_options(namespace="acme")
        await memory.conversations.add(item())
        await acme.put_many([item(), item()])
        await acme.get(om.MemoryItem, "absent")
        assert acme.cost() == memory.cost()
        assert memory.cost() - before == om.Cost(
            read=om.Billed(reads=1), write=om.Billed(writes=3), calls=3
        )
    assert memory.cost().dollars(om.Prices.at("us-central1")) == Decimal("0.000003")


async def test_a_dead_firestore_opens_and_then_is_unavailable() -> None:
    async with om.open_memory("firestore://p?emulator=127.0.0.1:1") as memory:
        with pytest.raises(om.Unavailable):
            await memory.get(om.MemoryItem, "x", options=om.Options(timeout=0.5))
        assert (await memory.health()).status is om.Status.DOWN


async def test_credentials_are_loaded_only_without_an_emulator() -> None:
    settings = om.Settings(gcp_sa_key_json="hunter2")
    async with om.open_memory("firestore://p?emulator=127.0.0.1:1", settings=settings):
        pass
    with pytest.raises(om.ConfigurationError, match="GCP_SA_KEY_JSON") as refused:
        async with om.open_memory("firestore://p", settings=settings):
            pass
    assert "hunter2" not in str(refused.value)
