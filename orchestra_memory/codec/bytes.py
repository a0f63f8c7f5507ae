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
from math import isfinite
from typing import Any, Final

from ..values import Vector

TIME: Final = "$time"
BYTES: Final = "$bytes"
VECTOR: Final = "$vector"
FLOAT: Final = "$float"


def dumps(value: Any) -> str:
    """JSON text on one line. Raises ``TypeError`` for what no store can hold."""
    return _encoder.encode(_marked(value))


def loads(text: str | bytes) -> Any:
    """The value in `text`. Raises ``ValueError`` if it is no such text; it never shows the text."""
    try:
        return json.loads(text, object_hook=_unmarked)
    except json.JSONDecodeError as error:
        # The original error carries the whole text.
        raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _marked(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is int or kind is bool:
        return value
    if kind is float:
        return value if isfinite(value) else {FLOAT: str(value)}
    if kind is dict:
        return {
            "$" + name if name.startswith("$") else name: _marked(item)
            for name, item in value.items()
        }
    if kind is list:
        return [_marked(item) for item in value]
    if kind is Vector:
        return {VECTOR: value}
    if isinstance(value, datetime):
        return {TIME: time_text(value)}
    if kind is bytes:
        return {BYTES: b64encode(value).decode("ascii")}
    raise TypeError(f"{kind.__name__} cannot be stored")


def time_text(value: datetime) -> str:
    """ISO 8601 with microseconds and ``Z``."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_READERS: dict[str, Callable[[Any], Any]] = {
    TIME: _time,
    BYTES: _bytes,
    VECTOR: Vector,
    FLOAT: float,
}


def _unmarked(found: dict[str, Any]) -> Any:
    if not any(name.startswith("$") for name in found):
        return found
    if len(found) == 1:
        ((name, value),) = found.items()
        if name in _READERS:
            return _read(name, value)
    return {name.removeprefix("$"): value for name, value in found.items()}


def _read(name: str, value: Any) -> Any:
    try:
        return _READERS[name](value)
    except (TypeError, AttributeError, ValueError):
        # The original error shows the value.
        raise ValueError(f"{name} holds no such value, but {type(value).__name__}") from None
