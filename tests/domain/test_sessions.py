"""What sessions promise, on every store."""

import anyio
import pytest

from orchestra_memory import Conflict, InvalidRecord, Patch, Ref, UserSession
from orchestra_memory.domain.sessions import Sessions

pytestmark = pytest.mark.anyio


@pytest.fixture
def sessions(memory) -> Sessions:
    return Sessions(memory)


async def test_a_session_without_an_id_gets_a_random_one(sessions):
    first, second = await sessions.start("ann"), await sessions.start("ann")
    assert first.session_id != second.session_id
    assert await sessions.get("ann", first.session_id) == first


async def test_a_session_starts_with_the_id_and_metadata_given(sessions):
    session = await sessions.start("ann", "s1", metadata={"channel": "web"})
    assert (session.user_id, session.session_id) == ("ann", "s1")
    assert session.metadata == {"channel": "web"}
    assert session.created_at == session.last_active
    assert await sessions.get("ann", "s1") == session


async def test_starting_an_existing_session_goes_on_with_it(sessions):
    first = await sessions.start("ann", "s1", metadata={"channel": "web"})
    again = await sessions.start("ann", "s1")
    assert again.created_at == first.created_at
    assert again.last_active > first.last_active
    assert again.metadata == {"channel": "web"}
    changed = await sessions.start("ann", "s1", metadata={"channel": "phone"})
    assert changed.metadata == {"channel": "phone"}


async def test_starting_an_ended_session_opens_it_again(sessions):
    await sessions.start("ann", "s1")
    await sessions.end("ann", "s1")
    assert (await sessions.start("ann", "s1")).ended_at is None


async def test_touching_moves_only_the_last_activity(sessions):
    first = await sessions.start("ann", "s1", metadata={"a": 1})
    await sessions.touch("ann", "s1")
    touched = await sessions.get("ann", "s1")
    assert touched is not None
    assert touched.last_active > first.last_active
    assert touched.evolve(last_active=first.last_active) == first


@pytest.mark.decided
async def test_what_does_not_exist_cannot_be_touched_or_ended(sessions):
    assert await sessions.get("ann", "none") is None
    with pytest.raises(Conflict):
        await sessions.touch("ann", "none")
    with pytest.raises(Conflict):
        await sessions.end("ann", "none")


async def test_ending_twice_keeps_the_first_end(sessions):
    await sessions.start("ann", "s1")
    ended = await sessions.end("ann", "s1")
    assert ended.ended_at is not None
    assert await sessions.end("ann", "s1") == ended
    assert await sessions.get("ann", "s1") == ended


async def test_sessions_are_listed_last_active_first(sessions):
    for name in ("s1", "s2", "s3"):
        await sessions.start("ann", name)
    await sessions.start("anna", "s9")
    await sessions.touch("ann", "s1")
    page = await sessions.list("ann", page_size=2)
    rest = await sessions.list("ann", page_size=2, after=page.cursor)
    assert [s.session_id for s in (*page.records, *rest.records)] == ["s1", "s3", "s2"]
    assert rest.cursor is None
    await sessions.end("ann", "s3")
    assert [s.session_id for s in (await sessions.list("ann", open_only=True)).records] == [
        "s1",
        "s2",
    ]


async def test_ids_that_look_alike_when_joined_are_different_sessions(sessions):
    await sessions.start("a_b", "c")
    await sessions.start("a", "b_c", metadata={"other": True})
    session = await sessions.get("a_b", "c")
    assert session is not None
    assert session.metadata == {}
    assert [s.session_id for s in (await sessions.list("a")).records] == ["b_c"]


async def test_empty_ids_are_refused(sessions):
    with pytest.raises(InvalidRecord, match="user_id"):
        await sessions.start("")
    with pytest.raises(InvalidRecord, match="session_id"):
        await sessions.start("ann", "")


async def test_twenty_starts_at_once_are_one_session(memory, sessions):
    async with anyio.create_task_group() as starters:
        for number in range(20):
            starters.start_soon(sessions.start, "ann", "s1")
            ref = Ref(UserSession, UserSession.key_of("ann", "s2"))
            other = UserSession(user_id="ann", session_id="s2")
            patch = Patch(ref, set={f"metadata.n{number}": True}, or_create=other)
            starters.start_soon(memory.write, [patch])
    assert len((await sessions.list("ann")).items) == 2
    second = await sessions.get("ann", "s2")
    assert second is not None
    assert len(second.metadata) == 20
