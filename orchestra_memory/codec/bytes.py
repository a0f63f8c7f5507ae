"""Stored values as JSON text, and back, type by type.

What JSON has no type for is a map with one key: ``{"$time": "2026-01-31T08:00:00.000001Z"}``,
``{"$bytes": "<base64>"}``, ``{"$vector": [...]}``, ``{"$float": "nan" | "inf" | "-inf"}``. A key
that begins with ``$`` gets a second one.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from math import isfinite
from typing import Any, Final

from ..values import Vector

TIME: Final = "$time"
BYTES: Final = "$bytes"
VECTOR: Final = "$vector"
FLOAT: Final = "$float"

_ISO: Final = "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ"


def dumps(value: Any) -> str:
    """JSON text on one line. Raises ``TypeError`` for what no store can hold."""
    return _WRITERS[type(value)](value)


def loads(text: str | bytes) -> Any:
    """The value in `text`. Raises ``ValueError`` if it is no such text; it never shows the text."""
    try:
        if isinstance(text, bytes):
            return json.loads(text, object_hook=_unmarked)
        return _decoder.decode(text)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        # The original error carries the whole text.
        raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def _text_of_map(value: dict[str, Any]) -> str:
    entries = [
        # Most values are text: so they are spared the look at the table.
        _name_text(name) + (quoted(item) if type(item) is str else _WRITERS[type(item)](item))
        for name, item in value.items()
    ]
    return "{" + ",".join(entries) + "}"


@lru_cache(maxsize=1024)
def _name_text(name: str) -> str:
    return quoted("$" + name if name.startswith("$") else name) + ":"


def _text_of_list(value: list[Any]) -> str:
    return "[" + ",".join([_WRITERS[type(item)](item) for item in value]) + "]"


def _text_of_float(value: float) -> str:
    return repr(value) if isfinite(value) else f'{{"{FLOAT}":"{value}"}}'


def _text_of_bool(value: bool) -> str:
    return "true" if value else "false"


def _text_of_none(_: None) -> str:
    return "null"


def _text_of_time(value: datetime) -> str:
    return f'{{"{TIME}":"{time_text(value)}"}}'


def _text_of_bytes(value: bytes) -> str:
    return f'{{"{BYTES}":"{b64encode(value).decode("ascii")}"}}'


def _text_of_vector(value: Vector) -> str:
    return f'{{"{VECTOR}":{_encoder.encode(value)}}}'


class _Writers(dict[type, Callable[[Any], str]]):
    """How the values of each type are written."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        if issubclass(kind, datetime):
            return _text_of_time
        raise TypeError(f"{kind.__name__} cannot be stored")


_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_WRITERS: Final = _Writers(
    {
        str: quoted,
        type(None): _text_of_none,
        bool: _text_of_bool,
        int: int.__repr__,
        float: _text_of_float,
        dict: _text_of_map,
        list: _text_of_list,
        Vector: _text_of_vector,
        datetime: _text_of_time,
        bytes: _text_of_bytes,
    }
)


def time_text(value: datetime) -> str:
    """ISO 8601 with microseconds and ``Z``."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    # A third less time than isoformat() takes, which tells the offset, too.
    return _ISO % (
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
    )


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_READERS: dict[str, Callable[[Any], Any]] = {
    TIME: _time,
    BYTES: _bytes,
    VECTOR: Vector,
    FLOAT: float,
}


def _unmarked(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        ((name, value),) = found.items()
        if name in _READERS:
            return _read(name, value)
    if "$" not in "".join(found):
        return found
    return {name.removeprefix("$"): value for name, value in found.items()}


_decoder = json.JSONDecoder(object_hook=_unmarked)


def _read(name: str, value: Any) -> Any:
    try:
        return _READERS[name](value)
    except (TypeError, AttributeError, ValueError):
        # The original error shows the value.
        raise ValueError(f"{name} holds no such value, but {type(value).__name__}") from None
