"""Taking over loses nothing that can be read, whatever is damaged and whenever it is cut off."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import anyio
import pytest

from orchestra_memory.resilience.journal import (
    Adoption,
    Damaged,
    Event,
    adoption,
    files,
    inspection,
)
from orchestra_memory.resilience.journal.entries import UNSOUND, Row

from .parts import (
    altered,
    bodies,
    crashed,
    document,
    draft,
    left_behind,
    log_size,
    names,
    opened,
)

pytestmark = pytest.mark.anyio


async def test_a_torn_tail_is_skipped_and_what_was_acknowledged_is_not(tmp_path):
    async with opened(tmp_path / "now") as journal:
        await journal.append([draft("1")])
        whole = log_size(journal)
        await journal.append([draft("2" * 10_000)])
        torn = log_size(journal)
        left = crashed(tmp_path / "now", tmp_path / "crashed")
        assert torn > whole
    os.truncate(left / f"{journal.path.name}-wal", torn - 1)
    async with opened(left) as journal:
        came = await journal.adopt()
        assert bodies(await journal.pending()) == ["1"]
        assert came.damaged == 0


async def test_an_entry_with_a_wrong_checksum_becomes_a_dead_letter(tmp_path):
    left = await left_behind(tmp_path, [draft("1"), draft("2"), draft("3"), draft("4")])
    altered(
        left,
        "UPDATE entries SET body = x'78' WHERE number = 2",
        "UPDATE entries SET key = x'ff00', at = 'never', checksum = 'none' WHERE number = 3",
    )
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert (came.entries, came.damaged) == (4, 2)
        assert bodies(await journal.pending()) == ["1", "4"]
        letters = await journal.dead_letters()
        assert [(each.reason, each.intact) for each in letters] == [(UNSOUND, False)] * 2
        left = journal.path
    async with opened(tmp_path) as journal:
        await journal.adopt()
        assert [each.intact for each in await journal.dead_letters()] == [False, False]


@pytest.mark.parametrize(
    "column", ["id", "namespace", "collection", "key", "at", "body", "checksum", "batch"]
)
async def test_the_checksum_covers_each_part_of_an_entry(tmp_path, column):
    left = await left_behind(tmp_path, [draft("1")])
    altered(left, f"UPDATE entries SET {column} = 7")
    async with opened(tmp_path) as journal:
        assert (await journal.adopt()).damaged == 1


async def test_damage_to_an_open_journal_is_told_once_and_skipped(tmp_path):
    events: list[Event] = []
    async with opened(tmp_path, events=events) as journal:
        first, _ = await journal.append([draft("1", "a"), draft("2", "b")])
        altered(journal.path, "UPDATE entries SET body = x'00' WHERE number = 1")
        for _ in range(2):
            assert bodies(await journal.pending()) == ["2"]
        await anyio.lowlevel.checkpoint()
        assert events == [Damaged(first, document("a"))]
        status = journal.status()
        assert (status.entries, status.damaged) == (1, 1)
        assert not journal.holds(document("a"))


async def test_what_lies_around_a_damaged_page_comes_over_and_the_file_is_put_aside(tmp_path):
    left = await left_behind(tmp_path, [draft(f"{n:03}" + "x" * 2_000) for n in range(40)])
    content = bytearray(left.read_bytes())
    page = content.index(b"020x") // 4_096
    content[page * 4_096 : (page + 1) * 4_096] = b"\xff" * 4_096
    left.write_bytes(content)
    async with opened(tmp_path) as journal:
        came = await journal.adopt()
        assert came.adopted[0].damaged
        found = [body[:3] for body in bodies(await journal.pending())]
        assert {"000", "010", "030", "039"} <= {*found}
        assert "020" not in found
        assert found == sorted(found)
        assert files.DAMAGED in {path.suffix for path in tmp_path.iterdir()}
        assert await journal.adopt() == Adoption()


async def test_a_journal_that_cannot_be_read_now_waits_for_another_time(tmp_path, monkeypatch):
    left = await left_behind(tmp_path, [draft("1")])

    def failing(_: sqlite3.Connection) -> NoReturn:
        raise sqlite3.OperationalError

    async with opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(inspection, "every_row", failing)
            (found,) = (await journal.adopt()).left
        assert (found.path, found.refusal) == (left, "it cannot be read now (OperationalError)")
        await journal.adopt()
        assert bodies(await journal.pending()) == ["1"]


async def test_files_that_cannot_be_removed_are_told_and_not_taken_twice(tmp_path, monkeypatch):
    await left_behind(tmp_path, [draft("1")])

    def failing(_: Path) -> NoReturn:
        raise PermissionError

    async with opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(adoption, "remove", failing)
            came = await journal.adopt()
        assert came.entries == 1
        assert "cannot be removed" in str(came.left[0].refusal)
        await journal.settle([entry.number for entry in await journal.pending()])
        assert await journal.adopt() == Adoption()


@pytest.mark.parametrize("step", range(5))
async def test_a_crash_anywhere_in_taking_over_loses_nothing_and_brings_nothing_twice(
    tmp_path, monkeypatch, step
):
    async with opened(tmp_path / "first") as journal:
        await journal.append([draft("1"), draft("2")])
        left = crashed(tmp_path / "first", tmp_path / "left")
    whole_unlink, steps = Path.unlink, iter(range(10))

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if next(steps) >= step:
            raise InterruptedError
        whole_unlink(path, missing_ok=missing_ok)

    async with opened(left) as journal:
        await journal.append([draft("3")])
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            await journal.adopt()
        again = crashed(left, tmp_path / "again")
        assert (await journal.adopt()).adopted == ()
    async with opened(again) as journal:
        await journal.adopt()
        assert sorted(bodies(await journal.pending())) == ["1", "2", "3"]
        assert all(name.startswith(journal.path.stem) for name in names(again))


@pytest.mark.parametrize("stays", [True, False])
async def test_who_gives_up_taking_over_has_taken_all_or_nothing(tmp_path, monkeypatch, stays):
    expected = [str(number) for number in range(20)]
    await left_behind(tmp_path, map(draft, expected))
    loop, begun, rows = asyncio.get_running_loop(), asyncio.Event(), adoption.Taking.rows

    def telling(taking: adoption.Taking) -> Iterator[Row]:
        loop.call_soon_threadsafe(begun.set)
        yield from rows(taking)

    monkeypatch.setattr(adoption.Taking, "rows", telling)
    async with opened(tmp_path) as journal:
        taking = asyncio.ensure_future(journal.adopt())
        await begun.wait()
        taking.cancel()
        if stays:
            await asyncio.wait([taking])
            assert bodies(await journal.pending()) in ([], expected)
    async with opened(tmp_path) as journal:
        await journal.adopt()
        assert bodies(await journal.pending()) == expected
        assert all(name.startswith(journal.path.stem) for name in names(tmp_path))
