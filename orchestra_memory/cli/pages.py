"""One page of records: a table, lines for a pipe, or JSON; and how to get the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..operations import Page
from ..record import Record
from .output import emit, fields_of, note, show_table
from .verb import Target

R = TypeVar("R", bound=Record)


def show_page(
    target: Target, page: Page[R], columns: Sequence[str], line: Callable[[R], Sequence[object]]
) -> None:
    """The records, whole in JSON, else what `line` takes of each."""
    if target.as_json:
        for record in page.records:
            emit(fields_of(record))
    else:
        show_table(columns, map(line, page.records))
    note_rest(page)


def note_rest(page: Page[Any]) -> None:
    """What a page leaves open."""
    if not page.complete:
        note("an outage may hide some")
    if page.cursor is not None:
        note(f"there are more: add --after {page.cursor}")
    elif not page.items:
        note("nothing found")
