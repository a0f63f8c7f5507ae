"""What a dead process leaves is found, taken over once, and never what is not ours to take."""

from __future__ import annotations

import asyncio
import os

import pytest

from orchestra_memory import JournalFull
from orchestra_memory.resilience.journal import (
    Adoption,
    Bounds,
    adoption,
    files,
    journals,
    orphans,
)
from orchestra_memory.resilience.journal import journal as journal_module
from orchestra_memory.resilience.journal.schema import FORMAT

from .parts import (
    TARGET,
    Clock,
    altered,
    bodies,
    contents,
    crashed,
    document,
    draft,
    left_behind,
    names,
    opened,
)

pytestmark = pytest.mark.anyio


async def test_entries_of_a_dead_process_come_over_and_its_files_go(tmp_path):
    async with opened(tmp_path) as journal:
        numbers = await journal.append([draft("1"), draft("2"), draft("3")])
        await journal.dead_letter(numbers[1], "a reason")
        left = journal.path
    (found,) = await orphans(tmp_path, target=TARGET)
    assert (found.path, found.refusal, found.entries, found.dead_letters) == (left, None, 2, 1)
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert (came.entries, came.damaged, came.left) == (3, 0, ())
        assert [(each.path, each.entries, each.bytes) for each in came.adopted] == [(left, 2, 3)]
        assert bodies(await journal.pending()) == ["1", "3"]
        assert [letter.reason for letter in await journal.dead_letters()] == ["a reason"]
        assert not any(name.startswith(left.stem) for name in names(tmp_path))
        assert await journal.adopt() == Adoption()


async def test_entries_keep_what_they_are_applied_together_with(tmp_path):
    async with opened(tmp_path) as journal:
        await journal.append([draft("1"), draft("2", batch="own")], batch="one")
        (number,) = await journal.append([draft("3")])
        await journal.bind([number], "other")
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert (came.entries, came.damaged) == (3, 0)
        assert [each.batch for each in await journal.pending()] == ["one", "own", "other"]


async def test_a_living_journal_is_seen_but_not_taken(tmp_path):
    async with opened(tmp_path) as living, opened(tmp_path) as journal:
        await living.append([draft("1")])
        assert await journal.adopt() == Adoption()
        assert await orphans(tmp_path, target=TARGET) == []
        seen = {each.path: each for each in await journals(tmp_path, target=TARGET)}
        assert seen.keys() == {living.path, journal.path}
        assert seen[living.path].living
        assert (seen[living.path].holder, seen[living.path].entries) == (os.getpid(), 1)
        assert bodies(await living.pending()) == ["1"]


async def test_looking_at_an_orphan_changes_nothing_in_it(tmp_path):
    async with opened(tmp_path / "now") as journal:
        await journal.append([draft("1"), draft("2")])
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    before = contents(left)
    (found,) = await orphans(left, target=TARGET)
    assert found.entries == 2
    assert contents(left) == before


async def test_entries_of_several_journals_are_in_order_of_time(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock=clock) as journal:
        async with opened(tmp_path, clock=clock) as other:
            for number in range(3):
                await other.append([draft(f"theirs {number}")])
                clock.move(seconds=1)
                await journal.append([draft(f"ours {number}")])
                clock.move(seconds=1)
        await journal.adopt()
        expected = [f"{whose} {number}" for number in range(3) for whose in ("theirs", "ours")]
        assert bodies(await journal.pending_for(document())) == expected


async def test_what_is_written_after_taking_over_comes_after_it_whatever_the_clock(tmp_path):
    clock = Clock()
    await left_behind(tmp_path, [draft("1")], clock=clock)
    clock.move(hours=-1)
    async with opened(tmp_path, clock=clock) as journal:
        await journal.adopt()
        await journal.append([draft("2")])
        assert bodies(await journal.pending()) == ["1", "2"]


async def test_a_journal_for_another_store_is_listed_and_left_alone(tmp_path):
    await left_behind(tmp_path, [draft()], target="firestore://other/(default)")
    before = contents(tmp_path)
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert (came.adopted, came.entries) == ((), 0)
        (found,) = came.left
        assert found.refusal == "its entries are for firestore://other/(default)"
        assert found in await orphans(tmp_path, target=TARGET)
    assert contents(tmp_path) == before


async def test_a_journal_of_a_later_release_is_listed_and_left_alone(tmp_path):
    left = await left_behind(tmp_path, [draft()])
    altered(
        left,
        f"PRAGMA user_version = {FORMAT + 1}",
        "UPDATE header SET value = '9.9' WHERE name = 'library'",
        "ALTER TABLE entries RENAME TO something_else",
    )
    before = contents(tmp_path)
    async with opened(tmp_path) as journal:
        (found,) = (await journal.adopt()).left
        assert found.format == FORMAT + 1
        assert "release 9.9" in str(found.refusal)
        assert "upgrade" in str(found.refusal)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["text", "other application", "cut", "no header"])
async def test_what_is_no_journal_of_ours_is_left_alone(tmp_path, kind):
    path = tmp_path / "journal-x.db"
    if kind == "text":
        path.write_text("not a database, " * 1_000)
    elif kind == "other application":
        altered(path, "CREATE TABLE t (x)", "PRAGMA application_id = 7")
    else:
        left = await left_behind(tmp_path, [draft("x" * 9_000)])
        altered(left, "DROP TABLE header") if kind == "no header" else os.truncate(left, 4_096)
    before = contents(tmp_path)
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert came.adopted == ()
        assert len(came.left) == 1
        assert came.left[0].refusal
        assert bodies(await journal.pending()) == []
    assert {
        name: content for name, content in contents(tmp_path).items() if name in before
    } == before


async def test_a_journal_that_was_never_written_to_is_removed(tmp_path):
    (tmp_path / "journal-x.db").touch()
    async with opened(tmp_path / "now"):
        crashed(tmp_path / "now", tmp_path / "crashed")
    (tmp_path / "journal-stray.lock").touch()
    for directory in (tmp_path, tmp_path / "crashed"):
        async with opened(directory) as journal:
            assert len((await journal.adopt()).adopted) == 1
        assert not list(directory.glob("journal-*"))


async def test_the_lock_of_a_living_journal_is_not_taken_for_a_stray_one(tmp_path):
    lock = files.Lock.take(tmp_path / "journal-being-made.lock")
    assert lock is not None
    async with opened(tmp_path) as journal:
        await journal.adopt()
    assert names(tmp_path) == {"journal-being-made.lock"}
    lock.release()


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_lock_that_its_holder_just_removed_is_none(tmp_path, monkeypatch, made_anew):
    path, flock = tmp_path / "journal-x.lock", files.fcntl.flock

    def late(descriptor: int, how: int) -> None:
        path.unlink()
        if made_anew:
            path.touch()
        flock(descriptor, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    assert files.Lock.take(path) is None


async def test_a_journal_that_another_process_took_meanwhile_is_passed_over(tmp_path, monkeypatch):
    left = await left_behind(tmp_path, [draft("1")])
    async with opened(tmp_path) as journal:
        monkeypatch.setattr(journal_module, "_tidied", lambda _: [left])
        files.remove(left)
        assert await journal.adopt() == Adoption()
    assert names(tmp_path) == set()


async def test_a_lock_that_cannot_be_opened_is_told(tmp_path):
    left = await left_behind(tmp_path, [draft()])
    files.lock_of(left).unlink()
    files.lock_of(left).mkdir()
    async with opened(tmp_path) as journal:
        (found,) = (await journal.adopt()).left
        assert "lock cannot be opened" in str(found.refusal)
        assert found in await orphans(tmp_path, target=TARGET)


async def test_a_journal_there_is_no_room_for_waits_until_there_is(tmp_path):
    await left_behind(tmp_path, [draft(str(number)) for number in range(4)])
    async with opened(tmp_path, bounds=Bounds(max_entries=5)) as journal:
        numbers = await journal.append([draft("5"), draft("6")])
        (found,) = (await journal.adopt()).left
        assert found.refusal == adoption.NO_ROOM
        assert bodies(await journal.pending()) == ["5", "6"]
        await journal.settle(numbers)
        assert (await journal.adopt()).entries == 4


async def test_an_empty_journal_takes_over_more_than_its_bounds_and_is_full_then(tmp_path):
    await left_behind(tmp_path, [draft(str(number)) for number in range(4)])
    async with opened(tmp_path, bounds=Bounds(max_entries=2)) as journal:
        assert (await journal.adopt()).entries == 4
        with pytest.raises(JournalFull):
            await journal.append([draft()])


async def test_two_processes_never_take_the_same_journal(tmp_path):
    for number in range(6):
        await left_behind(tmp_path, [draft(f"{number} {n}") for n in range(3)])
    async with opened(tmp_path) as ours, opened(tmp_path) as theirs:
        async with asyncio.TaskGroup() as group:
            group.create_task(ours.adopt())
            group.create_task(theirs.adopt())
        found = bodies(await ours.pending()) + bodies(await theirs.pending())
        assert sorted(found) == [f"{number} {n}" for number in range(6) for n in range(3)]
