"""What is appended is kept, in order, until it is settled."""

from __future__ import annotations

import asyncio
import stat

import anyio
import pytest

from orchestra_memory import ConfigurationError, DurabilityUnavailable, StorageError
from orchestra_memory.resilience.journal import DocumentKey, Draft

from .parts import Clock, bodies, crashed, document, draft, names, opened

pytestmark = pytest.mark.anyio


async def test_what_is_appended_is_pending_with_all_it_was_given(tmp_path):
    clock = Clock()
    given = Draft(DocumentKey("ours", "notes", "a/b é"), b"\0\xff", id="1", batch="é")
    async with opened(tmp_path, clock=clock) as journal:
        (number,) = await journal.append([given])
        (entry,) = await journal.pending()
    assert (entry.number, entry.id, entry.document, entry.body, entry.batch) == (
        number,
        given.id,
        given.document,
        given.body,
        given.batch,
    )
    assert entry.at == clock.micros
    assert entry.reason is None


async def test_what_is_acknowledged_is_in_the_file_already(tmp_path):
    async with opened(tmp_path / "now") as journal:
        await journal.append([draft("1"), draft("2", "b")])
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["1", "2"]


async def test_entries_come_back_in_the_order_in_which_append_was_called(tmp_path):
    async with opened(tmp_path) as journal:
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(journal.append([draft(str(number), f"{number % 3}")]))
        expected = [str(number) for number in range(50)]
        assert bodies(await journal.pending()) == expected
        assert bodies(await journal.pending_for(document("1"))) == expected[1::3]


async def test_a_clock_set_back_does_not_change_the_order(tmp_path):
    clock = Clock()
    async with opened(tmp_path / "now", clock=clock) as journal:
        for number in range(4):
            await journal.append([draft(str(number))])
            clock.move(seconds=-60)
        assert bodies(await journal.pending()) == ["0", "1", "2", "3"]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left, clock=clock) as journal:
        await journal.adopt()
        await journal.append([draft("4")])
        assert bodies(await journal.pending()) == ["0", "1", "2", "3", "4"]


async def test_what_is_settled_is_gone_for_good(tmp_path):
    async with opened(tmp_path / "now") as journal:
        numbers = await journal.append([draft("1"), draft("2"), draft("3")])
        await journal.settle(numbers[:2])
        await journal.settle([*numbers[:2], 12345])
        assert bodies(await journal.pending()) == ["3"]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["3"]


async def test_many_can_be_settled_at_once(tmp_path):
    async with opened(tmp_path / "now") as journal:
        for _ in range(3):
            await journal.append([draft() for _ in range(400)])
        await journal.append([draft("last")])
        *numbers, _ = [entry.number for entry in await journal.pending()]
        await journal.settle(numbers)
        assert journal.status().entries == 1
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["last"]


async def test_a_document_has_entries_from_the_call_of_append_until_they_are_settled(tmp_path):
    async with opened(tmp_path) as journal:
        appending = asyncio.ensure_future(journal.append([draft("1")]))
        await asyncio.sleep(0)
        assert journal.holds(document())
        assert not journal.holds(document("b"))
        await journal.settle(await appending)
        assert not journal.holds(document())


async def test_a_dead_letter_is_kept_and_listed_but_not_pending(tmp_path):
    async with opened(tmp_path / "now") as journal:
        first, _ = await journal.append([draft("1"), draft("2")])
        await journal.dead_letter(first, "the store refuses it")
        assert bodies(await journal.pending()) == ["2"]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        (letter,) = await journal.dead_letters()
        assert (letter.body, letter.reason, letter.intact) == (b"1", "the store refuses it", True)
        status = journal.status()
        assert (status.entries, status.dead_letters) == (1, 1)


async def test_a_revived_letter_is_pending_at_its_old_place(tmp_path):
    async with opened(tmp_path) as journal:
        first, _ = await journal.append([draft("1"), draft("2")])
        await journal.dead_letter(first, "a reason")
        assert bodies(await journal.dead_letters()) == ["1"]
        await journal.revive(first)
        assert bodies(await journal.pending()) == ["1", "2"]
        assert await journal.dead_letters() == []


async def test_a_dead_letter_can_be_given_up(tmp_path):
    async with opened(tmp_path) as journal:
        numbers = await journal.append([draft("1")])
        await journal.dead_letter(numbers[0], "a reason")
        await journal.settle(numbers)
        assert await journal.dead_letters() == []
        assert journal.status().bytes == 0


async def test_an_id_that_is_here_already_is_refused(tmp_path):
    async with opened(tmp_path) as journal:
        numbers = await journal.append([draft(id="same")])
        with pytest.raises(ValueError, match=r"Draft\.id"):
            await journal.append([draft(id="same")])
        with pytest.raises(ValueError, match=r"Draft\.id"):
            await journal.append([draft(id="twice"), draft(id="twice")])
        await journal.settle(numbers)
        await journal.append([draft(id="same")])
        assert len(await journal.pending()) == 1


async def test_nothing_to_append_bind_or_settle_is_nothing_to_do(tmp_path):
    async with opened(tmp_path) as journal:
        assert await journal.append([]) == []
        await journal.bind([7], "one")
        await journal.settle([])
        assert " 0 jobs in 0 commits" in repr(journal)


async def test_writers_at_once_share_commits(tmp_path):
    async with opened(tmp_path) as journal:

        async def write(writer: int) -> None:
            for number in range(10):
                await journal.append([draft(key=f"{writer}-{number}")])

        async with asyncio.TaskGroup() as group:
            for writer in range(64):
                group.create_task(write(writer))
        assert "640 jobs in 10 commits" in repr(journal)


async def test_changes_that_share_a_commit_are_made_in_the_order_of_their_calls(tmp_path):
    async with opened(tmp_path / "now") as journal:
        one, two = await journal.append([draft("1"), draft("2")])
        await asyncio.gather(
            journal.bind([one], "first"),
            journal.dead_letter(one, "refused"),
            journal.append([draft("3")]),
            journal.revive(one),
            journal.bind([one, two], "second"),
            journal.settle([two]),
            journal.append([draft("4")]),
            journal.dead_letter(one, "refused again"),
        )
        assert "9 jobs in 2 commits" in repr(journal)
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        (letter,) = await journal.dead_letters()
        assert (letter.batch, letter.reason, letter.body) == ("second", "refused again", b"1")
        assert bodies(await journal.pending()) == ["3", "4"]


async def test_what_an_entry_is_applied_together_with_can_be_said_later_and_anew(tmp_path):
    async with opened(tmp_path / "now") as journal:
        one, two, three = await journal.append([draft("1"), draft("2"), draft("3")], batch="first")
        await journal.bind([one, three], "second")
        await journal.bind([two], "third")
        await journal.bind([three], "third")
        left = crashed(tmp_path / "now", tmp_path / "crashed")
        found = await journal.pending()
        assert [each.batch for each in found] == ["second", "third", "third"]
        assert journal.status().damaged == 0
    async with opened(left) as journal:
        assert (await journal.adopt()).damaged == 0
        assert [(each.batch, each.body) for each in await journal.pending()] == [
            (each.batch, each.body) for each in found
        ]


async def test_a_batch_no_journal_can_hold_is_refused(tmp_path):
    async with opened(tmp_path) as journal:
        numbers = await journal.append([draft()])
        for batch, error in (("\ud800", ValueError), (7, TypeError)):
            with pytest.raises(error, match="batch"):
                await journal.bind(numbers, batch)
            with pytest.raises(error, match="batch"):
                await journal.append([draft()], batch=batch)
        assert journal.status().entries == 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_cancelled_append_leaves_all_or_nothing(tmp_path, turns):
    async with opened(tmp_path / "now") as journal:
        appending = asyncio.ensure_future(journal.append([draft("1"), draft("2")]))
        for _ in range(turns):
            await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        await journal.append([draft("3")])
        found = bodies(await journal.pending())
        assert found in (["3"], ["1", "2", "3"])
        assert journal.status().entries == len(found)
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with opened(left) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == found


async def test_an_append_given_up_before_its_commit_leaves_no_trace(tmp_path):
    async with opened(tmp_path) as journal:
        appending = asyncio.ensure_future(journal.append([draft("1")]))
        await asyncio.sleep(0)
        appending.cancel()
        await asyncio.wait([appending])
        await journal.append([draft("2", "b")])
        assert bodies(await journal.pending()) == ["2"]
        assert not journal.holds(document())


async def test_leaving_waits_for_what_was_begun(tmp_path):
    async with opened(tmp_path) as journal:
        appending = [
            asyncio.ensure_future(journal.append([draft(str(number))])) for number in range(20)
        ]
        await asyncio.sleep(0)
    assert all(each.done() for each in appending)
    async with opened(tmp_path) as journal:
        assert (await journal.adopt()).entries == 20


async def test_a_cancelled_scope_leaves_what_was_acknowledged(tmp_path):
    with anyio.CancelScope() as scope:
        async with opened(tmp_path) as journal:
            await journal.append([draft("1")])
            scope.cancel()
            await anyio.sleep_forever()
    async with opened(tmp_path) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == ["1"]


async def test_a_closed_journal_says_so(tmp_path):
    async with opened(tmp_path) as journal:
        await journal.append([draft()])
    refusals = (
        journal.append([draft()]),
        journal.bind([1], "one"),
        journal.settle([1]),
        journal.adopt(),
    )
    for refused in refusals:
        with pytest.raises(DurabilityUnavailable, match="closed"):
            await refused
    with pytest.raises(StorageError, match="closed"):
        await journal.pending()


async def test_a_journal_that_holds_nothing_is_removed_at_the_end(tmp_path):
    async with opened(tmp_path) as journal:
        await journal.settle(await journal.append([draft()]))
    assert names(tmp_path) == set()


async def test_nobody_else_may_read_what_is_kept(tmp_path):
    async with opened(tmp_path / "journals") as journal:
        await journal.append([draft()])
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in journal.path.parent.iterdir()}
        assert len(modes) == 4
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


async def test_a_directory_that_is_none_is_a_matter_of_configuration(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="local disk"):
        async with opened(tmp_path / "file"):
            pass


async def test_the_status_tells_what_waits_and_since_when(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock=clock, medium="persistent") as journal:
        assert journal.status().oldest is None
        began = clock.micros
        first, *_ = await journal.append([draft("1" * 1000)])
        clock.move(minutes=5)
        await journal.append([draft("2")])
        status = journal.status()
        assert (status.entries, status.oldest, status.dead) == (2, began, None)
        assert 1000 < status.bytes < 1500
        assert status.medium == "persistent"
        await journal.settle([first])
        assert journal.status().oldest == clock.micros


@pytest.mark.parametrize(
    ("fields", "error", "named"),
    [
        ({"body": "text"}, TypeError, "body"),
        ({"id": 7}, TypeError, "id"),
        ({"batch": 7}, TypeError, "batch"),
        ({"document": DocumentKey(None, "notes", "\ud800")}, ValueError, "key"),
        ({"document": DocumentKey("\ud800", "notes", "a")}, ValueError, "namespace"),
    ],
)
def test_what_no_journal_can_hold_is_refused_before_it_is_appended(fields, error, named):
    with pytest.raises(error, match=named):
        Draft(**{"document": document(), "body": b"", **fields})
