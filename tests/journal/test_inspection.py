"""What journals hold can be looked at by anybody, at any time, and stays as it is."""

from __future__ import annotations

import pytest

from orchestra_memory.resilience.journal import entries_in, journals
from orchestra_memory.resilience.journal.entries import UNSOUND
from orchestra_memory.resilience.journal.schema import FORMAT

from .parts import altered, bodies, contents, crashed, draft, left_behind, names, opened

pytestmark = pytest.mark.anyio


async def test_a_living_journal_tells_all_it_holds_in_order(tmp_path):
    async with opened(tmp_path) as journal:
        first, _ = await journal.append([draft("1"), draft("2")], batch="one")
        await journal.dead_letter(first, "refused")
        file, entries = await entries_in(journal.path)
        assert entries == [*await journal.dead_letters(), *await journal.pending()]
        assert (file.living, file.target, file.refusal) == (True, journal.target, None)
        assert (file.entries, file.dead_letters, file.bytes) == (1, 1, 2)


async def test_looking_into_a_dead_one_changes_nothing_and_lets_it_be_taken_over(tmp_path):
    async with opened(tmp_path / "now") as journal:
        await journal.append([draft("1"), draft("2")])
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    before = contents(left)
    file, entries = await entries_in(left / journal.path.name)
    assert (bodies(entries), file.living) == (["1", "2"], False)
    assert contents(left) == before
    async with opened(left) as journal:
        assert (await journal.adopt()).entries == 2


async def test_damaged_entries_are_among_what_is_told(tmp_path):
    left = await left_behind(tmp_path, [draft("1"), draft("2"), draft("3")])
    altered(
        left,
        "UPDATE entries SET body = x'78' WHERE number = 1",
        "UPDATE entries SET body = 7, at = 'never', batch = 8 WHERE number = 2",
    )
    file, entries = await entries_in(left)
    assert [(each.intact, each.reason) for each in entries] == [
        (False, UNSOUND),
        (False, UNSOUND),
        (True, None),
    ]
    assert (file.entries, file.dead_letters) == (1, 2)


async def test_what_cannot_be_read_says_why(tmp_path):
    later = await left_behind(tmp_path, [draft("1")])
    altered(later, f"PRAGMA user_version = {FORMAT + 1}")
    text = tmp_path / "journal-x.db"
    text.write_text("not a database, " * 1_000)
    for path, why in ((later, "upgrade"), (text, "header cannot be read")):
        file, entries = await entries_in(path)
        assert entries == []
        assert why in str(file.refusal)


async def test_a_journal_that_is_gone_leaves_no_trace_of_the_question(tmp_path):
    file, entries = await entries_in(tmp_path / "journal-x.db")
    assert (entries, file.refusal) == ([], "its file cannot be opened")
    assert names(tmp_path) == set()


async def test_journals_of_every_store_are_told_about_if_none_is_named(tmp_path):
    await left_behind(tmp_path, [draft()], target="one")
    await left_behind(tmp_path, [draft()], target="other")
    found = await journals(tmp_path, target=None)
    assert {(each.target, each.refusal, each.entries) for each in found} == {
        ("one", None, 1),
        ("other", None, 1),
    }
    assert {each.refusal for each in await journals(tmp_path, target="one")} == {
        None,
        "its entries are for other",
    }
