"""Files to import: opened whether packed or not, and recognised by what is in them."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

from .chats import is_chat, is_message, parse_chat
from .entries import ChatOptions, Parser, Unit, UnreadableFile, as_list, plain_json
from .jsonl import Models, is_header, is_record, named, parse_line
from .locomo import is_locomo, parse_locomo

STDIN: Final = "-"
HEAD: Final = 10
"""Lines by which a file is recognised; the first may be broken."""
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UNKNOWN = (
    "not a file to import; known are this library's JSONL, chats with messages "
    "of role and content, and LoCoMo conversations"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file being read: what it is, its units, and how one becomes entries."""

    format: str
    units: Iterator[Unit]
    parse: Parser


@contextmanager
def opened(path: str) -> Iterator[Iterable[bytes]]:
    """The bytes of a file, unpacked if it is gzip; ``-`` is standard input.

    Raises ``UnreadableFile`` if it cannot be opened, or ends before its packing does.
    """
    try:
        with _stream(path) as raw:
            packed = raw.peek(2)[:2] == _GZIP_MAGIC
            yield gzip.GzipFile(fileobj=raw) if packed else raw
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UnreadableFile(
            "the file is packed with gzip and broken or cut short; get it again"
        ) from None


def _stream(path: str) -> io.BufferedReader:
    if path == STDIN:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror}") from None


def read(stream: Iterable[bytes], options: ChatOptions, models: Models | None = None) -> Reading:
    """What is in `stream`. Only a JSON document is held in memory as a whole.

    Raises ``UnreadableFile`` for what is none of the known formats.
    """
    lines = numbered(stream)
    head = list(islice(lines, HEAD))
    if not head:
        raise UnreadableFile("the file is empty")
    whole = chain(head, lines)
    kinds = {kind_of(_value(unit)) for unit in head}
    if "jsonl" in kinds:
        return Reading("jsonl", whole, partial(parse_line, models=models or named()))
    if "chat" in kinds and not _raw(head[0]).startswith(b"["):
        return Reading("chat", whole, partial(parse_chat, options=options))
    return _document(whole, options)


def numbered(stream: Iterable[bytes]) -> Iterator[Unit]:
    """Lines that hold something, with their numbers."""
    for number, line in enumerate(stream, 1):
        raw = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if raw:
            yield Unit(number, raw)


def _raw(unit: Unit) -> bytes:
    return unit.raw or b""


def _value(unit: Unit) -> object:
    try:
        return plain_json(_raw(unit))
    except ValueError:
        return None


def kind_of(value: object) -> str | None:
    """Which format a JSON value is of."""
    if is_header(value) or is_record(value):
        return "jsonl"
    if is_chat(value):
        return "chat"
    return "locomo" if is_locomo(value) else None


def _document(lines: Iterable[Unit], options: ChatOptions) -> Reading:
    """A file that is one JSON value: a conversation or a list of them."""
    value = _parsed(b"\n".join(map(_raw, lines)))
    several = as_list(value)
    if several and all(map(is_message, several)):
        value, several = {"messages": several}, None
    conversations = [value] if several is None else several
    kinds = {kind_of(conversation) for conversation in conversations}
    units = (Unit(number, value=found) for number, found in enumerate(conversations, 1))
    if "chat" in kinds:
        return Reading("chat", units, partial(parse_chat, options=options))
    if "locomo" in kinds:
        return Reading("locomo", units, partial(parse_locomo, options=options))
    raise UnreadableFile(_UNKNOWN)


def _parsed(raw: bytes) -> object:
    try:
        return plain_json(raw)
    except ValueError as error:
        raise UnreadableFile(f"{_UNKNOWN}; it is {error}") from None
