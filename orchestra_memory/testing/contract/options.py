"""Options, views and health."""

from __future__ import annotations

import json

import pytest

from ...errors import InvalidBatch
from ...health import Status
from ...operations import Options, Put
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note


class OptionsContract(Contract):
    async def test_a_view_makes_every_call_with_its_options(self, memory: MemoryManager) -> None:
        chunking = memory.with_options(atomic=False, timeout=60)
        receipt = await chunking.write([Put(Note(id=f"n{i}")) for i in range(401)])
        assert len(receipt.revisions) == 401

    async def test_a_calls_own_options_go_before_the_views(self, memory: MemoryManager) -> None:
        chunking = memory.with_options(atomic=False)
        ops = [Put(Note(id=f"n{i}")) for i in range(401)]
        with pytest.raises(InvalidBatch):
            await chunking.write(ops, options=Options(atomic=True))

    async def test_views_of_views_narrow_further(self, memory: MemoryManager) -> None:
        view = memory.with_options(atomic=False).with_options(namespace="ours")
        await view.write([Put(Note(id=f"n{i}")) for i in range(401)])
        assert (await view.find(Query(Note, page_size=1))).cursor is not None
        assert (await memory.find(Query(Note))).records == []

    async def test_a_view_of_everything_changes_nothing(self, memory: MemoryManager) -> None:
        await memory.with_options().put(Note(id="a"))
        assert await memory.get(Note, "a") == Note(id="a")

    async def test_a_generous_timeout_is_no_hindrance(self, memory: MemoryManager) -> None:
        options = Options(timeout=30.0, cache="bypass", max_age=60.0)
        await memory.put(Note(id="a"), options=options)
        assert await memory.get(Note, "a", options=options) == Note(id="a")
        assert (await memory.find(Query(Note), options=options)).records == [Note(id="a")]

    async def test_a_working_store_is_healthy(self, memory: MemoryManager) -> None:
        health = await memory.health()
        assert health.status is Status.OK
        assert health.component
        assert json.loads(json.dumps(health.as_dict()))["status"] == "ok"
        assert (await memory.with_options(namespace="ours").health()).status is Status.OK

    async def test_a_memory_shows_itself_without_its_content(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", title="s3cret"))
        assert "s3cret" not in repr(memory)
        assert "s3cret" not in repr(memory.with_options(namespace="ours"))
