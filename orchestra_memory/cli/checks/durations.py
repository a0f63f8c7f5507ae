"""How long, in words."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def duration(seconds: float) -> str:
    """In the largest unit of which there are two, or the smallest one: ``90 minutes``."""
    whole = max(0, round(seconds))
    for size, unit in _UNITS:
        if whole >= 2 * size or size == 1:
            number = whole // size
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    raise AssertionError
