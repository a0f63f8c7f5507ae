"""What a journal tells is in the log, where an operator looks at night."""

import logging

import pytest

from orchestra_memory.errors import JournalFull
from orchestra_memory.resilience.journal import (
    Bounds,
    Damaged,
    Died,
    DocumentKey,
    Draft,
    Journal,
)
from orchestra_memory.resilience.journal.logged import log_event

NAMED = DocumentKey(None, "notes", "the private key")


@pytest.mark.anyio
async def test_a_journal_that_fills_up_says_so_once(tmp_path, caplog) -> None:
    bounds = Bounds(max_entries=10)
    async with Journal.open(tmp_path, target="t", bounds=bounds, hooks=[log_event]) as journal:
        for _ in range(10):
            await journal.append([Draft(NAMED, b"private")])
        with pytest.raises(JournalFull):
            await journal.append([Draft(NAMED, b"private")])
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("orchestra_memory.journal", "WARNING")
    ]
    assert caplog.messages[0].startswith("the journal is 80 % full: 8 writes, ")
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Damaged(7, NAMED), "write 7 in the journal is damaged"),
        (Died("no space left"), "are refused (no space left)"),
    ],
)
def test_what_is_broken_is_an_error(event, text, caplog) -> None:
    with caplog.at_level(logging.INFO, "orchestra_memory"):
        log_event(event)
    assert caplog.records[0].levelname == "ERROR"
    assert text in caplog.text
    assert "private" not in caplog.text
