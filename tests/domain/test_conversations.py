"""What conversations promise, on every store."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import anyio
import pytest

from orchestra_memory import (
    InvalidQuery,
    InvalidRecord,
    LocalMemory,
    MemoryItem,
    Page,
    Patch,
    Query,
    Ref,
    Unavailable,
    UserSession,
)
from orchestra_memory.domain.conversations import Conversations

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def conversations(memory) -> Conversations:
    return Conversations(memory)


def said(number: int, user_id: str = "ann", **fields) -> MemoryItem:
    text = fields.pop("text_content", f"line {number}")
    time = START + timedelta(minutes=number)
    return MemoryItem(
        id=f"{user_id}-{number}", user_id=user_id, timestamp=time, text_content=text, **fields
    )


def texts(page: Page[MemoryItem]) -> list[str]:
    return [item.text_content for item in page.records]


async def test_what_is_added_by_fields_is_returned_as_stored(memory, conversations):
    item = await conversations.add(user_id="ann", session_id="s", text_content="hello")
    assert item.content_hash == sha256(b"hello").hexdigest()
    assert await memory.get(MemoryItem, item.id) == item


async def test_a_ready_item_keeps_its_id_and_its_own_hash(memory, conversations):
    item = await conversations.add(said(1, content_hash="mine"))
    assert (item.id, item.content_hash) == ("ann-1", "mine")
    assert await memory.get(MemoryItem, "ann-1") == item


async def test_fields_that_do_not_fit_are_named():
    conversations = Conversations(LocalMemory())
    with pytest.raises(InvalidRecord, match="user_id"):
        await conversations.add(text_content="whose?")
    with pytest.raises(InvalidRecord, match="text"):
        await conversations.add(user_id="ann", text="no such field")


@pytest.mark.decided
async def test_many_are_added_at_once_with_their_hashes(memory, conversations):
    items = [said(n) for n in range(450)]
    receipt = await conversations.add_many(items)
    assert len(receipt.revisions) == 450
    assert None not in receipt.revisions
    stored = await memory.get(MemoryItem, "ann-449")
    assert stored is not None
    assert stored.content_hash == sha256(b"line 449").hexdigest()
    assert await conversations.count("ann") == 450


async def test_items_are_taken_from_iterators_as_they_come(memory, conversations):
    async def saying():
        for n in range(450):
            yield said(n)

    await conversations.add_many(said(n) for n in range(5))
    await conversations.add_many(saying())
    assert await conversations.count("ann") == 450


async def test_history_is_newest_first_and_pages_neither_repeat_nor_skip(conversations):
    await conversations.add_many(said(n) for n in range(7))
    seen, after = [], None
    while True:
        page = await conversations.history("ann", page_size=3, after=after)
        seen += texts(page)
        after = page.cursor
        if after is None:
            break
    assert seen == [f"line {n}" for n in reversed(range(7))]


async def test_history_takes_every_combination_of_filters(conversations):
    kinds = [
        {"session_id": session, "item_type": kind, "persona_active": persona}
        for session in ("s1", "s2")
        for kind in ("conversation", "note")
        for persona in ("guide", None)
    ]
    await conversations.add_many(said(n, **fields) for n, fields in enumerate(kinds))

    async def found(**filters) -> list[str]:
        return texts(await conversations.history("ann", **filters))

    assert await found(session_id="s1") == ["line 3", "line 2", "line 1", "line 0"]
    assert await found(item_type="note") == ["line 7", "line 6", "line 3", "line 2"]
    assert await found(persona="guide") == ["line 6", "line 4", "line 2", "line 0"]
    assert await found(session_id="s2", item_type="note") == ["line 7", "line 6"]
    assert await found(session_id="s2", item_type="note", persona="guide") == ["line 6"]
    assert await found(session_id="s3") == []


async def test_history_of_a_span_of_time_leaves_out_its_end(conversations):
    await conversations.add_many(said(n) for n in range(5))
    page = await conversations.history(
        "ann", start=START + timedelta(minutes=1), end=START + timedelta(minutes=3)
    )
    assert texts(page) == ["line 2", "line 1"]


async def test_a_limit_counts_over_all_pages(conversations):
    await conversations.add_many(said(n) for n in range(6))
    first = await conversations.history("ann", page_size=2, limit=3)
    second = await conversations.history("ann", page_size=2, limit=3, after=first.cursor)
    assert (len(first.items), len(second.items), second.cursor) == (2, 1, None)


async def test_a_scan_goes_through_the_whole_history(conversations):
    await conversations.add_many(said(n, session_id="s") for n in range(25))
    scanned = [item.text_content async for item in conversations.scan("ann", page_size=10)]
    assert scanned == [f"line {n}" for n in reversed(range(25))]
    assert [i.id async for i in conversations.scan("ann", session_id="s", limit=1)] == ["ann-24"]


@pytest.mark.parametrize("other", ["anna", "an", "ann/", "ann_s", "Ann", "ann "])
async def test_users_whose_ids_begin_alike_never_meet(conversations, other):
    same = {"session_id": "s", "embedding": [1.0, 0.0], "text_content": "shared"}
    await conversations.add_many([said(1, "ann", **same), said(2, other, **same)])
    assert [i.user_id for i in (await conversations.history("ann")).records] == ["ann"]
    near = await conversations.search("ann", embedding=[1.0, 0.0])
    assert [i.user_id for i in near.records] == ["ann"]
    assert await conversations.count("ann") == 1
    assert await conversations.forget_session("ann", "s") == 1
    assert not await conversations.is_duplicate("ann", "shared")
    assert await conversations.is_duplicate(other, "shared")
    assert [i.user_id for i in (await conversations.history(other)).records] == [other]


async def test_a_search_by_vector_is_nearest_first_with_distances(conversations):
    vectors = {0: [1.0, 0.0], 1: [0.0, 1.0], 2: [1.0, 1.0], 3: None}
    await conversations.add_many(said(n, embedding=v) for n, v in vectors.items())
    page = await conversations.search("ann", embedding=[1.0, 0.0])
    assert texts(page) == ["line 0", "line 2", "line 1"]
    assert [item.distance for item in page.items] == pytest.approx([0.0, 1 - 0.5**0.5, 1.0])
    assert len((await conversations.search("ann", embedding=[1.0, 0.0], limit=2)).items) == 2
    far = await conversations.search("ann", embedding=[3.0, 4.0], metric="euclidean", limit=1)
    assert texts(far) == ["line 2"]


async def test_a_search_by_vector_takes_filters(conversations):
    await conversations.add_many(
        said(n, embedding=[1.0, float(n)], session_id=f"s{n % 2}", persona_active=f"p{n // 2}")
        for n in range(4)
    )

    async def found(**filters) -> list[str]:
        return texts(await conversations.search("ann", embedding=[1.0, 0.0], **filters))

    assert await found(session_id="s1") == ["line 1", "line 3"]
    assert await found(persona="p1") == ["line 2", "line 3"]
    assert await found(persona="p1", session_id="s0") == ["line 2"]
    assert await found(item_type="note") == []


async def test_a_search_without_a_vector_finds_the_newest_of_a_persona(conversations):
    await conversations.add_many(said(n, persona_active=f"p{n % 2}") for n in range(6))
    page = await conversations.search("ann", persona="p1", limit=2)
    assert texts(page) == ["line 5", "line 3"]
    assert page.cursor is None


async def test_vectors_of_another_length_are_refused_before_anything_is_stored(memory):
    conversations = Conversations(memory, dimensions=3)
    with pytest.raises(InvalidRecord, match=r"embedding.*2 numbers.*takes 3") as refused:
        await conversations.add(said(1, embedding=[1.0, 2.0]))
    assert refused.value.field == "embedding"
    with pytest.raises(InvalidRecord, match=r"takes 3"):
        await conversations.add_many([said(1, embedding=[1.0, 2.0, 3.0]), said(2, embedding=[1.0])])
    assert await conversations.count("ann") == 0
    with pytest.raises(InvalidQuery, match=r"embedding.*4 numbers.*takes 3") as wrong:
        await conversations.search("ann", embedding=[1.0] * 4)
    assert wrong.value.field == "embedding"
    await conversations.add(said(1, embedding=[1.0, 2.0, 3.0]))
    await conversations.add(said(2))


async def test_duplicates_are_told_by_the_text_alone(conversations):
    await conversations.add(said(1, text_content="héllo"))
    assert await conversations.is_duplicate("ann", "héllo")
    assert not await conversations.is_duplicate("ann", "hello")
    await conversations.add(said(2, text_content="gone", expiration=PAST))
    assert not await conversations.is_duplicate("ann", "gone")


async def test_counts_take_filters_and_leave_out_what_has_expired(conversations):
    await conversations.add_many(said(n, session_id=f"s{n % 2}") for n in range(5))
    await conversations.add(said(9, session_id="s0", expiration=PAST))
    assert await conversations.count("ann") == 5
    assert await conversations.count("ann", session_id="s0") == 3
    assert await conversations.count("ann", session_id="s0", item_type="note") == 0
    assert await conversations.count("nobody") == 0


async def test_forgetting_a_session_takes_its_items_expired_ones_and_its_record(
    memory, conversations
):
    gone = [said(n, session_id="s", expiration=PAST if n % 2 else None) for n in range(450)]
    await conversations.add_many([*gone, said(900, session_id="t"), said(901)])
    await memory.put(UserSession(user_id="ann", session_id="s"))
    assert await conversations.forget_session("ann", "s") == 450
    assert [item.id async for item in conversations.scan("ann")] == ["ann-901", "ann-900"]
    everything = Query(MemoryItem, include_expired=True)
    assert len([item async for item in memory.scan(everything)]) == 2
    assert await memory.get(UserSession, UserSession.key_of("ann", "s")) is None
    assert await conversations.forget_session("ann", "s") == 0


async def test_forgetting_names_both_ids(conversations):
    with pytest.raises(InvalidRecord, match="session_id"):
        await conversations.forget_session("ann", "")


async def test_cleaning_up_deletes_expired_items_of_that_user_only(memory, conversations):
    await conversations.add_many(
        said(n, user, expiration=PAST if n < 3 else None)
        for user in ("ann", "anna")
        for n in range(5)
    )
    assert await conversations.cleanup_expired("ann") == 3
    assert await conversations.cleanup_expired("ann") == 0
    left = [item.user_id async for item in memory.scan(Query(MemoryItem, include_expired=True))]
    assert (left.count("ann"), left.count("anna")) == (2, 5)


async def test_cleaning_up_spares_what_is_renewed_meanwhile():
    class Renewed(LocalMemory):
        """Another process renews an item between the look and the deletion."""

        async def find(self, query, **options):
            page = await super().find(query, **options)
            if query.include_expired and page.items:
                await self.put(said(1))
            return page

    memory = Renewed()
    conversations = Conversations(memory)
    await conversations.add_many(said(n, expiration=PAST) for n in range(3))
    assert await conversations.cleanup_expired("ann") == 2
    assert [item.id async for item in conversations.scan("ann")] == ["ann-1"]


async def test_an_outage_is_never_reported_as_absence():
    class Partly(LocalMemory):
        async def find(self, query, **options):
            return Page((), complete=False)

    conversations = Conversations(Partly())
    with pytest.raises(Unavailable):
        await conversations.is_duplicate("ann", "anything")
    with pytest.raises(Unavailable):
        await conversations.forget_session("ann", "s")
    with pytest.raises(Unavailable):
        await conversations.cleanup_expired("ann")


async def test_twenty_adders_lose_nothing(conversations):
    async def add(number: int) -> None:
        for line in range(5):
            await conversations.add(user_id="ann", session_id="s", text_content=f"{number}/{line}")

    async with anyio.create_task_group() as adders:
        for number in range(20):
            adders.start_soon(add, number)
    found = {item.text_content async for item in conversations.scan("ann", page_size=30)}
    assert found == {f"{number}/{line}" for number in range(20) for line in range(5)}
    assert await conversations.count("ann", session_id="s") == 100


async def test_a_namespace_is_a_memory_of_its_own(memory):
    acme = Conversations(memory.with_options(namespace="acme"))
    await acme.add(said(1, session_id="s"))
    assert (await Conversations(memory).history("ann")).items == ()
    assert await Conversations(memory).forget_session("ann", "s") == 0
    assert await acme.forget_session("ann", "s") == 1


async def test_what_is_patched_below_is_seen_above(memory, conversations):
    await conversations.add(said(1))
    await memory.write([Patch(Ref(MemoryItem, "ann-1"), set={"item_type": "note"})])
    assert len((await conversations.history("ann", item_type="note")).items) == 1
