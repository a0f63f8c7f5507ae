"""JSON documents of any length, parsed piece by piece.

The parser of the standard library keeps the interpreter from all other threads, the event loop's
too, until it has gone through the whole text. Here what is too long for that is taken apart first.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import suppress
from json import JSONDecodeError, JSONDecoder, detect_encoding
from typing import Any, Final, TypeVar, cast

from ..slices import paced

T = TypeVar("T")

PIECE: Final = 1 << 16
"""Characters that are parsed at once: less than a millisecond's work."""
DEPTH: Final = 2
"""How deep within a document there may be many parts: what lies deeper is freed at once."""
_parse: Final = JSONDecoder().raw_decode
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def long_json(raw: bytes) -> object:
    """The value in `raw`, for a thread of one's own. Raises what ``json.loads`` does."""
    return _Text(_decoded(raw)).whole()


def let_go(value: object, depth: int = DEPTH) -> None:
    """Free a value that nobody needs any more, part by part: at once it would take long, too."""
    for part in paced(_taken_out(value)):
        if depth:
            let_go(part, depth - 1)


def _taken_out(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        while named:
            yield named.popitem()[1]
    elif isinstance(value, list):
        parts = cast("list[object]", value)
        while parts:
            yield parts.pop()


def _decoded(raw: bytes) -> str:
    decoder = getincrementaldecoder(detect_encoding(raw))("surrogatepass")
    pieces = (raw[at : at + PIECE] for at in range(0, len(raw), PIECE))
    text = "".join(map(decoder.decode, paced(pieces)))
    return text + decoder.decode(b"", final=True)


class _Text:
    """A text and how far it is parsed.

    What was last parsed lies in a window. A list or map that the window cuts short lies in the
    next one; if that cuts it short as well, its parts are parsed one by one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._window = ""
        self._start = 0

    def whole(self) -> object:
        self._skip_space()
        value = self._value()
        self._skip_space()
        if self._at < len(self._text):
            raise self._error("Extra data")
        return value

    def _value(self) -> Any:  # noqa: ANN401 -- any value of JSON
        opening = self._text[self._at : self._at + 1]
        if opening not in ("{", "[") or len(self._text) - self._at <= PIECE:
            value, self._at = _parse(self._text, self._at)
            return value
        with suppress(JSONDecodeError):
            return self._in_window()
        self._start, self._window = self._at, self._text[self._at : self._at + PIECE]
        with suppress(JSONDecodeError):
            return self._in_window()
        if opening == "[":
            return list(paced(self._parts("]", self._value)))
        return dict(paced(self._parts("}", self._member)))

    def _in_window(self) -> Any:  # noqa: ANN401
        value, end = _parse(self._window, self._at - self._start)
        self._at = self._start + end
        return value

    def _parts(self, closing: str, part: Callable[[], T]) -> Iterator[T]:
        """What is between brackets, from the opening one to behind the closing one."""
        self._at += 1
        if self._takes(closing):
            return
        while True:
            self._skip_space()
            yield part()
            if self._takes(closing):
                return
            if not self._takes(","):
                raise self._error("Expecting ',' delimiter")

    def _member(self) -> tuple[str, Any]:
        if self._text[self._at : self._at + 1] != '"':
            raise self._error("Expecting property name enclosed in double quotes")
        name = self._value()
        if not self._takes(":"):
            raise self._error("Expecting ':' delimiter")
        self._skip_space()
        return name, self._value()

    def _takes(self, sign: str) -> bool:
        """Whether this comes next; then it is behind us."""
        self._skip_space()
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()

    def _error(self, message: str) -> JSONDecodeError:
        return JSONDecodeError(message, self._text, self._at)
