"""Verbs for setting up: settings, indexes, the emulator."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Literal

from ..domain.indexes import render_indexes
from ..testing.emulator import VARIABLE, start
from .opening import plan_of, settings_of
from .output import clean, emit, is_terminal, new_table, note, print_table, rows
from .verb import Target


def config(target: Target) -> None:
    """Every setting: its value without secrets, and who set it."""
    settings = settings_of(target)
    origins, values = settings.origins(), settings.shown()
    shown = {
        settings.variable(name): {"value": values[name], "origin": origins[name]} for name in values
    }
    if target.as_json:
        emit(shown)
        return
    cells = {name: (clean(found["value"]) or "-", found["origin"]) for name, found in shown.items()}
    if is_terminal():
        table = new_table("setting", "value", "from")
        for column in table.columns:
            column.max_width = None
        for name, (value, origin) in cells.items():
            table.add_row(name, value, origin, style="dim" if origin == "default" else None)
        print_table(table)
    else:
        print(
            *rows({name: f"{value}  ({origin})" for name, (value, origin) in cells.items()}),
            sep="\n",
        )
    for reason in plan_of(target, settings).reasons:
        note(reason)


def indexes(
    target: Target, format_: Literal["firebase", "gcloud", "terraform"], dimensions: int | None
) -> None:
    """What a Firestore database needs, for one of the tools that create it."""
    settings = settings_of(target)
    text = render_indexes(
        format_,
        dimensions=dimensions or settings.embedding_dimensions,
        collections=settings.collections or None,
        database=settings.database,
    )
    if target.as_json and format_ != "firebase":
        emit({"format": format_, "text": text})
    else:
        print(text.rstrip("\n"))
    if dimensions is None and settings.embedding_dimensions is None:
        note("without vector indexes; add --dimensions with the length of your vectors")


def emulator(target: Target, port: int) -> None:
    """Run an emulator until Ctrl-C or a request to end."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    note("starting the Firestore emulator ...")
    with start(port=port, own=True) as running:
        if target.as_json:
            emit({VARIABLE: running.host, "origin": running.how, "pid": running.pid})
        else:
            print(f"export {VARIABLE}={running.host}", flush=True)
        note(f"running from {running.how}; it keeps nothing. Ctrl-C stops it")
        ended.wait()
    note("stopped")
