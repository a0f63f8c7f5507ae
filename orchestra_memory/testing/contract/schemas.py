"""Documents outlive the record types they were written with."""

from __future__ import annotations

import pytest

from ...errors import CorruptRecord, SchemaTooNew
from ...operations import Count, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import (
    SOME_TIME,
    Event,
    EventOfOld,
    EventTomorrow,
    EventUpgraded,
    EventWithoutTime,
    LooseEvent,
)


class SchemaContract(Contract):
    async def test_unknown_fields_survive_read_evolve_and_put(self, memory: MemoryManager) -> None:
        extra = {"nested": [[1], {"a.b": b"x"}], "at": SOME_TIME}
        await memory.put(LooseEvent(id="a", size=1, extra=extra))
        event = await memory.get(Event, "a")
        assert event is not None
        assert (event.at, event.size) == (SOME_TIME, 1)
        assert dict(event.unknown_fields) == {"extra": extra}
        await memory.put(event.evolve(size=2))
        await memory.update(Event, "a", lambda old: old.evolve(size=old.size + 1))
        assert await memory.get(LooseEvent, "a") == LooseEvent(id="a", size=3, extra=extra)

    async def test_unknown_fields_survive_a_query(self, memory: MemoryManager) -> None:
        await memory.put(LooseEvent(id="a", size=1, extra="kept"))
        (event,) = (await memory.find(Query(Event))).records
        assert dict(event.unknown_fields) == {"extra": "kept"}

    async def test_a_new_record_over_an_old_one_forgets_its_unknown_fields(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(LooseEvent(id="a", extra="forgotten"))
        await memory.put(Event(id="a", at=SOME_TIME))
        loose = await memory.get(LooseEvent, "a")
        assert loose is not None
        assert loose.extra is None

    async def test_a_document_of_a_newer_version_says_so(self, memory: MemoryManager) -> None:
        await memory.put(EventTomorrow(id="a"))
        with pytest.raises(SchemaTooNew) as caught:
            await memory.get(Event, "a")
        error = caught.value
        assert (error.stored, error.known) == (7, 1)
        assert (error.collection, error.key) == ("contract_events", "a")
        with pytest.raises(SchemaTooNew):
            await memory.find(Query(Event))

    async def test_what_does_not_fit_is_named(self, memory: MemoryManager) -> None:
        await memory.put(LooseEvent(id="a", size="s3cret"))
        with pytest.raises(CorruptRecord) as caught:
            await memory.get(Event, "a")
        error = caught.value
        assert error.fields == ("size",)
        assert (error.collection, error.key) == ("contract_events", "a")
        assert "s3cret" not in str(error)
        assert "s3cret" not in repr((error.__cause__, error.__context__))
        with pytest.raises(CorruptRecord):
            await memory.find(Query(Event))

    async def test_a_time_that_was_not_stored_is_not_invented(self, memory: MemoryManager) -> None:
        await memory.put(EventWithoutTime(id="a"))
        with pytest.raises(CorruptRecord) as caught:
            await memory.get(Event, "a")
        assert caught.value.fields == ("at",)

    async def test_one_bad_document_is_no_bar_to_counting_or_deleting(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(LooseEvent(id="bad", size="text"))
        await memory.put(Event(id="good"))
        assert (await memory.aggregate(Query(Event), [Count()]))["count"] == 2
        await memory.delete(Event, "bad")
        assert [event.id for event in (await memory.find(Query(Event))).records] == ["good"]

    async def test_documents_of_older_versions_are_upgraded_on_read(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(EventOfOld(id="old", weight=5))
        await memory.put(Event(id="one", at=SOME_TIME, size=6))
        await memory.put(EventUpgraded(id="two", at=SOME_TIME, size=7))
        snapshot = await memory.read([Ref(EventUpgraded, key) for key in ("old", "one", "two")])
        expected = [
            EventUpgraded(id="old", at=SOME_TIME, size=5, read_from=0),
            EventUpgraded(id="one", at=SOME_TIME, size=6, read_from=1),
            EventUpgraded(id="two", at=SOME_TIME, size=7, read_from=2),
        ]
        assert snapshot.records == expected
        assert (await memory.find(Query(EventUpgraded))).records == expected

    async def test_an_upgraded_record_is_written_in_its_new_form(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(EventOfOld(id="a", weight=5))
        upgraded = await memory.get(EventUpgraded, "a")
        assert upgraded is not None
        await memory.put(upgraded)
        assert await memory.get(EventUpgraded, "a") == upgraded
        with pytest.raises(SchemaTooNew):
            await memory.get(Event, "a")
