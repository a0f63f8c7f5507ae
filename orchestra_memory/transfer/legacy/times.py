"""Times as earlier systems wrote them: ISO 8601 in any form, or numbers since 1970."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final

from ...values import EPOCH, to_utc
from ..entries import as_map

_UNITS: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (float("inf"), 1e9))
"""Below which number a time counts in seconds, milli-, micro- and nanoseconds."""
_ZONE_NAME = re.compile(r"\s*(?:utc|gmt|zulu)$", re.IGNORECASE)
_SPACED_OFFSET = re.compile(r"\s+(?=[+-][0-9]{2}(?::?[0-9]{2})?$)")
_ORDINAL = re.compile(r"([0-9]{4})-?([0-9]{3})(?:[T ](.*))?", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{5,}(?:\.[0-9]+)?")
_COMPACT_DATE = re.compile(r"(?:19|20)[0-9]{6}")
_SECONDS = ("seconds", "_seconds")
_NANOS = ("nanoseconds", "_nanoseconds", "nanos")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in UTC; ``naive`` if it told no zone and was taken to be UTC."""

    value: datetime
    naive: bool = False


def moment_of(value: object) -> Moment | None:
    """The time in `value`; ``None`` if there is none, or none that can be stored.

    0 stands for "never" in earlier systems, and is none.
    """
    try:
        if isinstance(value, datetime):
            return _aware(value)
        if isinstance(value, str):
            return _of_text(value.strip())
        if isinstance(value, int | float):
            return _of_number(value)
        fields = as_map(value)
        return None if fields is None else _of_map(fields)
    except (ValueError, OverflowError):
        return None


def _aware(value: datetime) -> Moment:
    if value.utcoffset() is None:
        return Moment(value.replace(tzinfo=UTC), naive=True)
    return Moment(to_utc(value))


def _of_number(value: float) -> Moment | None:
    if isinstance(value, bool) or not isfinite(value) or value == 0:
        return None
    scale = next(scale for bound, scale in _UNITS if abs(value) < bound)
    if isinstance(value, int):
        # Whole numbers stay exact: a double has no room for the microseconds of today.
        return Moment(EPOCH + timedelta(microseconds=value * 1_000_000 // int(scale)))
    return Moment(EPOCH + timedelta(seconds=value / scale))


def _of_text(text: str) -> Moment | None:
    if _NUMBER.fullmatch(text) and not _COMPACT_DATE.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    text = _SPACED_OFFSET.sub("", _ZONE_NAME.sub("Z", text))
    if match := _ORDINAL.fullmatch(text):
        day = datetime(int(match[1]), 1, 1) + timedelta(days=int(match[2]) - 1)
        text = day.date().isoformat() + (f"T{match[3]}" if match[3] else "")
    return _aware(datetime.fromisoformat(text.upper()))


def _of_map(fields: dict[str, Any]) -> Moment | None:
    """What drivers make of a timestamp when they write it as JSON."""
    if "$date" in fields:
        return moment_of(fields["$date"])
    seconds = next((fields[name] for name in _SECONDS if name in fields), None)
    nanos = next((fields[name] for name in _NANOS if name in fields), 0)
    if type(seconds) is not int or type(nanos) is not int:
        return None
    return Moment(EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000))
