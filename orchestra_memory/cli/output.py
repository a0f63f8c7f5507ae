"""Answers for people and for programs: data on standard output, everything else on error."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, cast

from ..codec.bytes import time_text
from ..codec.document import encode
from ..record import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..models import MemoryItem

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SPEAKERS = ("speaker", "agent", "name", "role")


def note(text: str) -> None:
    """Something for the person at the terminal; not part of the answer."""
    print(text, file=sys.stderr)


def emit(value: object) -> None:
    """One line of JSON."""
    escaped = sys.stdout.encoding.lower().replace("-", "") != "utf8"
    print(json.dumps(plain(value), ensure_ascii=escaped, allow_nan=False))


def counted(number: int, one: str, many: str) -> str:
    """So many of something: ``1 entry``, ``2 entries``."""
    return f"{number:,} {one if number == 1 else many}"


def plain(value: object) -> object:
    """A stored value in JSON's own types: times as ISO 8601, bytes as base64, NaN as null."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return {name: plain(item) for name, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    return None if isinstance(value, float) and not isfinite(value) else value


def fields_of(record: Record) -> dict[str, object]:
    """A record as it is stored."""
    return dict(encode(record))


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, emoji=False)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def clean(text: str) -> str:
    """Text that cannot steer a terminal."""
    return _CONTROLS.sub("", text)


def speaker(item: MemoryItem) -> str:
    found = (item.metadata.get(name) for name in _SPEAKERS)
    return clean(next((str(who) for who in found if isinstance(who, str) and who), item.item_type))


def item_line(item: MemoryItem) -> str:
    """An item on one line, for pipes."""
    text = " ".join(clean(item.text_content).split())
    session = clean(item.session_id or "-")
    return f"{item.timestamp:%Y-%m-%d %H:%M:%S}  {session}  {speaker(item)}: {text}"


def item_table(items: Iterable[MemoryItem], *, sessions: bool, title: str | None = None) -> Table:
    """Items as a table that fits 80 columns."""
    table = new_table("time (UTC)", *(["session"] if sessions else []), "who", title=title)
    table.add_column("text", ratio=1, overflow="fold")
    table.columns[0].no_wrap = True
    table.columns[0].style = "dim"
    last = None
    for item in items:
        time = f"{item.timestamp:%Y-%m-%d %H:%M}"
        session = "" if item.session_id == last else clean(item.session_id or "-")
        last = item.session_id
        cells = [time, *([session] if sessions else []), speaker(item), clean(item.text_content)]
        table.add_row(*map(_literal, cells))
    return table


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def new_table(*columns: str, title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, expand=False, pad_edge=False, title=title, title_justify="left"
    )
    for column in columns:
        table.add_column(column, max_width=18, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """A table without the blank lines around it."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    print(*(line for line in captured.get().splitlines() if line.strip()), sep="\n")


def rows(pairs: Mapping[str, object]) -> Iterator[str]:
    """Names and values in two columns, for pipes."""
    width = max(map(len, pairs), default=0)
    return (f"{name:<{width}}  {value}" for name, value in pairs.items())


def show_facts(facts: Mapping[str, object]) -> None:
    """Names and values: a table on a terminal, a line for each in a pipe."""
    pairs = {name.replace("_", " "): cell(value) for name, value in facts.items()}
    if not is_terminal():
        print(*rows(pairs), sep="\n")
        return
    table = new_table("", "")
    table.show_header = False
    for column in table.columns:
        column.max_width = None
    table.columns[0].style = "dim"
    for name, value in pairs.items():
        table.add_row(name, _literal(value))
    print_table(table)


def show_table(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Lines of values: a table with a head on a terminal, columns of equal width in a pipe."""
    found = list(lines)
    if not found:
        return
    cells = [[cell(value) for value in line] for line in found]
    numbers = [
        any(type(line[place]) in (int, float) for line in found) for place in range(len(columns))
    ]
    if not is_terminal():
        print(*_aligned(cells, numbers), sep="\n")
        return
    table = new_table(*columns)
    for column, is_number in zip(table.columns, numbers, strict=True):
        column.justify = "right" if is_number else "left"
        column.max_width = None
    table.columns[0].no_wrap = True
    for line in cells:
        table.add_row(*map(_literal, line))
    print_table(table)


def _aligned(cells: Sequence[Sequence[str]], numbers: Sequence[bool]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = [
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(line, widths, numbers, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def cell(value: object) -> str:
    """A value in words."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else clean(str(value))
