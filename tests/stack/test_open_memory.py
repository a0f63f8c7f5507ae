"""``open_memory()`` on embedded stores, and what it yields."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

import orchestra_memory as om
from orchestra_memory.backends.sqlite.memory import SqliteMemory
from orchestra_memory.operations import DEFAULT

pytestmark = pytest.mark.anyio


def item(**fields: str) -> om.MemoryItem:
    return om.MemoryItem(user_id="u", session_id="s", **fields)


async def test_without_a_word_memory_is_a_file_below_orchestra_home() -> None:
    stored = item(text_content="kept")
    async with om.open_memory() as memory:
        await memory.put(stored)
    assert await anyio.Path(".orchestra/memory.db").is_file()
    async with om.open_memory("sqlite:///.orchestra/memory.db") as memory:
        assert await memory.get(om.MemoryItem, stored.id) == stored


async def test_the_home_directory_is_only_for_its_owner() -> None:
    async with om.open_memory(settings=om.Settings(home=Path("deep/home"))):
        assert (await anyio.Path("deep/home").stat()).st_mode & 0o077 == 0


async def test_a_directory_that_cannot_be_made_says_what_to_set() -> None:
    await anyio.Path("file").write_text("")
    with pytest.raises(om.ConfigurationError, match="set ORCHESTRA_HOME"):
        async with om.open_memory("sqlite:///file/below/state.db"):
            pass


async def test_memory_is_a_memory_manager() -> None:
    async with om.open_memory("local:") as memory:
        assert isinstance(memory, om.Memory)
        stored = item()
        receipt = await memory.put(stored)
        assert receipt.durability is om.Durability.COMMITTED
        assert (await memory.read([om.Ref(om.MemoryItem, stored.id)])).records == [stored]
        assert (await memory.find(om.Query(om.MemoryItem))).records == [stored]
        assert (await memory.aggregate(om.Query(om.MemoryItem), [om.Count()]))["count"] == 1
        assert (await memory.health()).status is om.Status.OK


async def test_settings_are_read_once_and_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRA_URL", "local:")
    async with om.open_memory() as memory:
        monkeypatch.setenv("ORCHESTRA_TIMEOUT", "9")
        assert memory.settings.timeout == 2.0
        assert memory.settings.origins()["url"] == "environment"
    given = om.Settings(url="local:")
    async with om.open_memory(settings=given) as memory:
        assert memory.settings is given


async def test_the_description_names_the_parts_outermost_first_and_why() -> None:
    async with om.open_memory("sqlite:///state.db") as memory:
        described = memory.describe()
    assert described.parts == ("GuardedMemory 2 s", "MeteredMemory", "SqliteMemory state.db")
    assert described.reasons[0] == "store sqlite:///state.db: the argument says so"
    assert str(described).startswith(
        "GuardedMemory 2 s > MeteredMemory > SqliteMemory state.db [store sqlite:"
    )
    async with om.open_memory("local:") as memory:
        assert memory.describe().parts == ("MeteredMemory", "LocalMemory")


async def test_one_info_line_names_the_stack_and_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")
    monkeypatch.setenv("GCP_SA_KEY_JSON", "hunter2")
    with caplog.at_level(logging.DEBUG):
        async with om.open_memory("local:") as memory:
            assert "hunter2" not in repr(memory)
    (line,) = [r for r in caplog.records if r.name == "orchestra_memory"]
    assert line.levelno == logging.INFO
    assert "LocalMemory" in line.getMessage()
    assert "hunter2" not in caplog.text


async def test_a_namespace_of_the_url_is_bound_and_stays() -> None:
    stored = item()
    async with om.open_memory("sqlite:///state.db?namespace=acme") as memory:
        await memory.put(stored)
        with pytest.raises(om.InvalidQuery):
            memory.with_options(namespace="other")
    async with om.open_memory("sqlite:///state.db") as memory:
        assert await memory.get(om.MemoryItem, stored.id) is None
        acme = memory.with_options(namespace="acme")
        assert await acme.get(om.MemoryItem, stored.id) == stored


async def test_a_narrower_view_is_a_memory_again_with_services_of_its_own() -> None:
    async with om.open_memory("local:") as memory:
        acme = memory.with_options(namespace="acme")
        assert isinstance(acme, om.Memory)
        assert acme.settings is memory.settings
        assert acme.describe() == memory.describe()
        await acme.conversations.add(item(text_content="hello"))
        page = await acme.conversations.history(user_id="u")
        assert [found.text_content for found in page.records] == ["hello"]
        assert (await memory.conversations.history(user_id="u")).records == []
        assert isinstance(acme.with_options(timeout=1.0), om.Memory)


async def test_the_services_are_made_once() -> None:
    async with om.open_memory("local:") as memory:
        for name in ("conversations", "sessions", "agent_data", "records"):
            assert getattr(memory, name) is getattr(memory, name)


async def test_conversations_know_the_dimensions_of_the_settings() -> None:
    settings = om.Settings(embedding_dimensions=2)
    async with om.open_memory("local:", settings=settings) as memory:
        with pytest.raises(ValueError, match="2"):
            await memory.conversations.add(item().evolve(embedding=[1.0, 2.0, 3.0]))


@pytest.mark.parametrize("url", ["local:", "sqlite:///state.db?namespace=acme"])
async def test_a_memory_knows_what_it_cost(url: str) -> None:
    async with om.open_memory(url) as memory:
        assert memory.cost() == om.Cost()
        stored = item()
        await memory.put(stored)
        view = memory.with_options(timeout=5.0)
        await view.get(om.MemoryItem, stored.id)
        await view.conversations.history(user_id="u")
        await memory.aggregate(om.Query(om.MemoryItem), [om.Count()])
        one = om.Billed(reads=1)
        expected = om.Cost(one, om.Billed(writes=1), one, one, calls=4)
        assert memory.cost() == view.cost() == expected
    async with om.open_memory(url) as another:
        assert another.cost() == om.Cost()


class Busy(om.LocalMemory):
    """Too busy for the first call."""

    answers = False

    async def read(self, refs, *, options=DEFAULT):
        if not self.answers:
            self.answers = True
            raise om.Overloaded("busy")
        return await super().read(refs, options=options)


async def test_a_repeated_call_counts_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def opened(path: str) -> AsyncIterator[om.LocalMemory]:
        yield Busy()

    monkeypatch.setattr(SqliteMemory, "open", opened)
    async with om.open_memory() as memory:
        await memory.get(om.MemoryItem, "absent")
        assert memory.cost() == om.Cost(read=om.Billed(reads=1), calls=2, failed=1)


class Recorder(om.LocalMemory):
    """Keeps the options of the last write."""

    async def write(self, ops, *, options=DEFAULT):
        self.seen = options
        return await super().write(ops, options=options)


async def test_min_durability_of_the_settings_holds_for_every_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Recorder()
    monkeypatch.setattr("orchestra_memory.backends.local.LocalMemory", lambda: store)
    async with om.open_memory("local:", settings=om.Settings(min_durability="committed")) as memory:
        await memory.put(item())
        assert store.seen.min_durability is om.Durability.COMMITTED
        await memory.put(item(), options=om.Options(min_durability=om.Durability.VOLATILE))
        assert store.seen.min_durability is om.Durability.VOLATILE


class Opened:
    """Stands in for ``SqliteMemory.open`` and notes how it ends."""

    def __init__(self) -> None:
        self.closed = 0

    @asynccontextmanager
    async def __call__(self, path: str) -> AsyncIterator[om.LocalMemory]:
        try:
            yield om.LocalMemory()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                self.closed += 1


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    stand_in = Opened()
    monkeypatch.setattr(SqliteMemory, "open", stand_in)
    return stand_in


async def test_what_was_opened_is_closed_at_the_end(opened: Opened) -> None:
    async with om.open_memory():
        assert opened.closed == 0
    assert opened.closed == 1


async def test_what_was_opened_is_closed_after_an_error_inside(opened: Opened) -> None:
    with pytest.raises(KeyError):
        async with om.open_memory():
            raise KeyError
    assert opened.closed == 1


async def test_what_was_opened_is_closed_when_opening_fails_half_way(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("half way")

    monkeypatch.setattr("orchestra_memory.layers.guarded.GuardedMemory", broken)
    with pytest.raises(RuntimeError, match="half way"):
        async with om.open_memory():
            pass
    assert opened.closed == 1


async def test_what_was_opened_is_closed_after_a_cancellation(opened: Opened) -> None:
    with anyio.CancelScope() as scope:
        async with om.open_memory():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert opened.closed == 1


def test_importing_the_package_does_not_import_the_settings_library() -> None:
    code = "import orchestra_memory, sys; sys.exit('pydantic_settings' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
